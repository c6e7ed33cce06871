"""The README's examples are programs that run: each is taken from the page and run against a broker."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

import ottla

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
EXAMPLES: list[str] = re.findall(r"```python\n(from .*?)```", README, flags=re.DOTALL)


def test_the_readme_has_its_two_examples() -> None:
    """One for each of the clients most people have."""
    assert [example.split()[1] for example in EXAMPLES] == ["kafka", "confluent_kafka"]


@pytest.mark.parametrize("example", EXAMPLES, ids=["kafka-python", "confluent-kafka"])
def test_an_example_prints_its_record(example: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """As printed, save for the port: the example prints the greeting it sent, the first time and the next."""
    assert "localhost:9092" in example
    program = tmp_path / "example.py"
    with ottla.Broker(data=tmp_path / "data") as broker:
        program.write_text(example.replace("localhost:9092", f"localhost:{broker.port}"), encoding="utf-8")
        for _ in range(2):
            run = subprocess.run([sys.executable, program], capture_output=True, text=True, timeout=60, check=False)
            assert run.returncode == 0, run.stderr + broker.log
            assert run.stdout == f"b'hello from {request.node.callspec.id}'\n"


def test_the_broker_block_prints_an_address(tmp_path: Path) -> None:
    """The example of `ottla.Broker` runs as printed."""
    (example,) = re.findall(r"```python\n(import ottla\n.*?)```", README, flags=re.DOTALL)
    run = subprocess.run(
        [sys.executable, "-c", example], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
    )
    assert run.returncode == 0, run.stderr
    assert re.fullmatch(r"127\.0\.0\.1:\d+\n", run.stdout)


def test_every_page_that_the_readme_names_is_there() -> None:
    """No link of the README leads nowhere."""
    links = re.findall(r"\]\(([^)#:]+)\)", README)
    assert links
    assert [link for link in links if not (Path(__file__).parents[2] / link).exists()] == []
