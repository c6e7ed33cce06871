"""What pages show is true: their Python programs run as printed, and their commands are ones that the command has.

A block of Python that begins with an import of a client is a program, of the page alone or of the one block: it is run
against a broker of its own. In a block of a console each line behind a `$` is a command. Those that begin with `ottla`
or `python -m tools.trials` are asked for their help, with all options of the line known to it; `make` has the target;
files that they name in this tree exist. The command-line page has a test of its own, and so have README's examples.
"""

from __future__ import annotations

import functools
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import ottla

ROOT = Path(__file__).parents[2]
PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "deploy/README.md", *(ROOT / "docs").glob("*.md")])
CLIENTS = ("confluent_kafka", "kafka", "aiokafka")


def blocks(page: Path, language: str) -> Iterator[tuple[int, str]]:
    """The line that each block of a language begins at, and its text."""
    text = page.read_text(encoding="utf-8")
    for match in re.finditer(rf"^```{language}\n(.*?)^```$", text, re.DOTALL | re.MULTILINE):
        yield text.count("\n", 0, match.start()) + 2, match[1]


PROGRAMS = [
    pytest.param(text, id=f"{page.name}:{line}")
    for page in PAGES
    if page.name != "README.md"
    for line, text in blocks(page, "python")
    if re.match(rf"from ({'|'.join(CLIENTS)})[ .]", text)
]


def test_the_page_on_queues_has_an_example_for_each_job() -> None:
    """Decoupling, broadcast, peaks, parallel work, keeping, requests."""
    assert len([program for program in PROGRAMS if "which-queue" in str(program.id)]) == 6


@pytest.fixture(scope="module")
def broker() -> Iterator[ottla.Broker]:
    """For all programs: each has topics of its own."""
    with ottla.Broker() as broker:
        yield broker


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_program_of_a_page_runs(program: str, broker: ottla.Broker) -> None:
    """As printed, save for the port, and a comment behind a `print` is what it prints."""
    assert "localhost:9092" in program
    done = subprocess.run(
        [sys.executable, "-c", program.replace("localhost:9092", f"localhost:{broker.port}")],
        capture_output=True, text=True, timeout=90, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr + broker.log
    for promised in re.findall(r"print\(.*\)  # (?:each of them: )?(b'.*)$", program, re.MULTILINE):
        assert promised in done.stdout


COMMANDS = [
    pytest.param(command, id=f"{page.name}:{line} {command[:60]}")
    for page in PAGES
    if page.name != "command-line.md"
    for line, text in blocks(page, "console")
    for command in re.findall(r"^\$ (.*?)(?:\s+#.*)?$", text.replace("\\\n", ""), re.MULTILINE)
]


def test_there_are_commands_to_try() -> None:
    """The pattern above still finds them."""
    assert len(COMMANDS) > 20


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_of_a_page_is_one(command: str) -> None:
    """Its verb and its options are there."""
    for part in re.split(r" (?:&&|\|) |; ", command):
        words = shlex.split(part)
        while words and re.fullmatch(r"[A-Z_]+=.*", words[0]):
            words.pop(0)
        if words[:1] == ["make"]:
            targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
            assert {word for word in words[1:] if "=" not in word} <= set(targets)
        elif words[:1] == ["ottla"]:
            _check([sys.executable, "-P", "ottla/__main__.py"], words[1:])
        elif words[:3] == ["python", "-m", "tools.trials"]:
            _check([sys.executable, "-m", "tools.trials"], words[3:])


def _check(command: list[str], words: list[str]) -> None:
    """Each option of `words` is in the help of their verb."""
    verbs = [
        word for word in words[:2] if re.fullmatch(r"[a-z][a-z-]+", word)
    ]  # the second may be a verb of the first's
    known = _help(*command, *verbs[:1]) + _help(*command, *verbs)
    options = {word.partition("=")[0] for word in words if re.match(r"--[a-z]", word)}
    assert {option for option in options if option not in known} == set()


@functools.cache
def _help(*words: str) -> str:
    done = subprocess.run([*words, "--help"], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
