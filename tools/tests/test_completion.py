"""What shells offer behind Tab, as they ask for it."""

from __future__ import annotations

import importlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from ottla import Broker
from tools.__main__ import VERBS, main

ROOT = Path(__file__).parents[2]


def offered(line: str, tmp_path: Path, **environment: str) -> set[str]:
    """What the command answers to a shell in which `line` has been typed."""
    answer = tmp_path / "answer"
    given = {"_ARGCOMPLETE": "1", "_ARGCOMPLETE_STDOUT_FILENAME": str(answer), "_ARGCOMPLETE_IFS": "\n",
             "COMP_LINE": line, "COMP_POINT": str(len(line)), "COMP_TYPE": "9"}  # fmt: skip
    words = [sys.executable, "-P", str(ROOT / "ottla" / "__main__.py")]
    subprocess.run(words, env={**os.environ, **given, **environment}, check=False, timeout=60, capture_output=True)
    return {word.strip().replace("\\:", ":") for word in answer.read_text().split("\n") if word.strip()}


@pytest.mark.parametrize(
    ("line", "some"),
    [
        ("ottla ", set(VERBS)),
        ("ottla to", {"topics"}),
        ("ottla topics ", {"list", "create", "describe", "alter", "delete"}),
        ("ottla topics create --pa", {"--partitions"}),
        ("ottla groups reset-offsets --to-", {"--to-earliest", "--to-latest", "--to-datetime"}),
        ("ottla completion ", {"bash", "zsh", "fish"}),
        ("ottla produce -z ", {"gzip", "zstd"}),
    ],
)
def test_words_are_completed(line: str, some: set[str], tmp_path: Path) -> None:
    """Verbs, actions, options, and the choices of an option."""
    found = offered(line, tmp_path)
    assert some <= found
    assert all(word.startswith(line.rpartition(" ")[2]) for word in found)


def test_topics_that_are_there_are_offered(tmp_path: Path) -> None:
    """By the broker that the line names; if none answers, nothing is."""
    with Broker() as broker:
        assert main(["topics", "create", "orders", "-b", broker.bootstrap_servers]) == 0
        assert offered("ottla topics describe o", tmp_path, OTTLA_BOOTSTRAP_SERVER=broker.bootstrap_servers) == {
            "orders"
        }
    assert offered("ottla topics describe o", tmp_path, OTTLA_BOOTSTRAP_SERVER="127.0.0.1:1") == set()


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_is_completed(verb: str) -> None:
    """Its module makes its parser by itself, under its name."""
    module = importlib.import_module(VERBS[verb].target.partition(":")[0])
    assert module.parser().prog == f"ottla {verb}"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_takes_its_script(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Each script names the command, and is accepted where the shell is installed."""
    assert main(["completion", shell]) == 0
    script = capsys.readouterr().out
    assert "ottla" in script
    if (program := shutil.which(shell)) is not None:
        subprocess.run([program, "-n"], input=script, text=True, check=True)


def test_completion_without_its_library_is_one_sentence(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is an extra."""
    monkeypatch.setitem(sys.modules, "argcomplete.shell_integration", None)
    assert main(["completion", "bash"]) == 1
    assert "pip install 'ottla[cli]'" in capsys.readouterr().err
