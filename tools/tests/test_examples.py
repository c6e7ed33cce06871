"""Every example in `examples` is run, as it is, against a broker: it sends something and prints what came back.

`examples/testing` is a project with a test of its own (`test_testing_example.py`).

Python's run wherever the clients are. Node's, Java's and Streams' run with what `python -m compat_tests prepare` and
`python -m tools.trials streams-test` have fetched into `.compat`. Those that compile a client, Go's, Rust's and
Spring's, take minutes of two cores the first time: `make examples` runs all, and keeps what it builds in
`.compat/examples`.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

import ottla

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"
PREPARED = ROOT / ".compat"
BUILT = PREPARED / "examples"
EVERY = os.environ.get("OTTLA_EXAMPLES") == "1"


@dataclass(frozen=True)
class Example:
    """A program: how it is built if it has to be, how it is run, what it prints last."""

    file: str
    prints: str
    run: tuple[str, ...]
    needs: tuple[str, ...] = ()
    """Programs."""
    fetched: str = ""
    """A folder in `.compat`."""
    build: tuple[str, ...] = ()
    variables: tuple[tuple[str, str], ...] = ()
    commands: bool = False
    """It commands its broker (docs/control.md), which no other uses."""


COMMANDED = "2 refused, 2 expired, 1 restored, 1 after a reset"


def python(module: str, client: str) -> Example:
    """An example in Python."""
    file = f"python/hello_{module}.py"
    return Example(file, f"hello from {client}", (sys.executable, str(EXAMPLES / file)))


JAVA = ("java", "-XX:TieredStopAtLevel=1", "-Xshare:auto", "-cp")
RUN = [
    python("kafka_python", "kafka-python"),
    python("confluent_kafka", "confluent-kafka"),
    python("aiokafka", "aiokafka"),
    python("faststream", "FastStream"),
    Example(
        "java/Hello.java", "hello from Java", (*JAVA, f"{PREPARED}/java/jars/*", f"{EXAMPLES}/java/Hello.java"),
        needs=("java",), fetched="java/jars",
    ),
    Example(
        "python/commanded.py", COMMANDED, (sys.executable, f"{EXAMPLES}/python/commanded.py"), commands=True
    ),
    Example(
        "java/Commanded.java", COMMANDED, (*JAVA, f"{PREPARED}/java/jars/*", f"{EXAMPLES}/java/Commanded.java"),
        needs=("java",), fetched="java/jars", commands=True,
    ),
    Example(
        "node/commanded.js", COMMANDED, ("node", f"{EXAMPLES}/node/commanded.js"),
        needs=("node",), fetched="kafkajs/node_modules", commands=True,
        variables=(("NODE_PATH", f"{PREPARED}/kafkajs/node_modules"), ("KAFKAJS_NO_PARTITIONER_WARNING", "1")),
    ),
    Example(
        "streams/WordCount.java", "hello 2",
        (*JAVA, f"{PREPARED}/streams/jars/*", f"{EXAMPLES}/streams/WordCount.java"),
        needs=("java",), fetched="streams/jars",
    ),
    Example(
        "node/hello.js", "hello from kafkajs", ("node", f"{EXAMPLES}/node/hello.js"),
        needs=("node",), fetched="kafkajs/node_modules",
        variables=(("NODE_PATH", f"{PREPARED}/kafkajs/node_modules"), ("KAFKAJS_NO_PARTITIONER_WARNING", "1")),
    ),
    Example(
        "go/main.go", "hello from franz-go", (f"{BUILT}/go",), needs=("go",),
        build=("go", "build", "-C", f"{EXAMPLES}/go", "-o", f"{BUILT}/go"),
    ),
    Example(
        "rust/src/main.rs", "hello from rskafka", (f"{BUILT}/rust/debug/ottla-example",), needs=("cargo",),
        build=("cargo", "build", "--quiet", "--locked", "--manifest-path", f"{EXAMPLES}/rust/Cargo.toml",
               "--target-dir", f"{BUILT}/rust"),
    ),
    Example(
        "spring/src/main/java/Hello.java", "hello from Spring",
        (*JAVA, f"{BUILT}/spring/classes:{BUILT}/spring/jars/*", "Hello"), needs=("java", "mvn"),
        build=("mvn", "--quiet", "--batch-mode", "--file", f"{EXAMPLES}/spring/pom.xml",
               f"-DbuildDirectory={BUILT}/spring", "compile", "dependency:copy-dependencies",
               f"-DoutputDirectory={BUILT}/spring/jars"),
    ),
]  # fmt: skip


def test_every_example_is_run() -> None:
    """A program in the folder that no test runs is a promise that none keeps."""
    programs = {
        str(path.relative_to(EXAMPLES))
        for path in EXAMPLES.rglob("*")
        if path.suffix in (".py", ".java", ".js", ".go", ".rs") and not {"node_modules", "testing"} & set(path.parts)
    }
    assert programs == {example.file for example in RUN}
    page = (EXAMPLES / "README.md").read_text()
    assert [example.file for example in RUN if f"({example.file})" not in page] == []


@pytest.fixture(scope="module")
def broker() -> Iterator[ottla.Broker]:
    """One for all: each example has a topic of its own."""
    with ottla.Broker() as broker:
        yield broker


@pytest.fixture(scope="module")
def commanded() -> Iterator[ottla.Broker]:
    """One for those that command it, one after the other: each resets it."""
    with ottla.Broker(control=True) as broker:
        yield broker


@pytest.mark.parametrize("example", RUN, ids=lambda example: example.file)
def test_an_example_prints_what_it_sent(example: Example, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    """Run as its first line says, save for the port, it ends by itself and its last line is the greeting."""
    if missing := [name for name in example.needs if shutil.which(name) is None]:
        pytest.skip(f"{example.file} IS NOT RUN: {', '.join(missing)} is not here")
    if example.fetched and not (PREPARED / example.fetched).is_dir():
        pytest.skip(f"{example.file} IS NOT RUN: python -m compat_tests prepare fetches its client")
    if example.build:
        if not EVERY:
            pytest.skip(f"{example.file} IS NOT RUN: make examples builds it")
        BUILT.mkdir(parents=True, exist_ok=True)
        built = subprocess.run(example.build, capture_output=True, text=True, check=False)
        assert built.returncode == 0, built.stdout + built.stderr
    broker: ottla.Broker = request.getfixturevalue("commanded" if example.commands else "broker")
    environment = {**os.environ, **dict(example.variables), "BOOTSTRAP_SERVERS": broker.bootstrap_servers}
    if example.commands:
        environment |= {"CONTROL": broker.control.address, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        example.run, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=150, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1:] == [example.prints], done.stdout + done.stderr
