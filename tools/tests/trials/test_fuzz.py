"""`trials fuzz`: what it says where it cannot run, how it distinguishes findings, which inputs it keeps."""

from __future__ import annotations

import importlib.util
import time
from pathlib import Path
from typing import Any

import pytest

from kproto.tests.fuzz.families import PACKAGES, Family, families
from tools.trials.fuzz import command
from tools.trials.fuzz.branches import best
from tools.trials.fuzz.hunt import Watched


def without(monkeypatch: pytest.MonkeyPatch, missing: str) -> None:
    """Let a module look as if it were not installed."""
    honest = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == missing else honest(name))


def test_without_atheris_it_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One sentence, status 2."""
    without(monkeypatch, "atheris")
    assert command.main(["frames"]) == 2
    assert "pip install 'ottla[fuzz]'" in capsys.readouterr().err


def test_from_a_wheel_it_says_where_the_targets_are(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Tests are not installed, so the targets are not there."""
    without(monkeypatch, "kproto.tests")
    assert command.main([]) == 2
    assert "source tree" in capsys.readouterr().err


def test_an_unknown_family_is_answered_with_the_known_ones(capsys: pytest.CaptureFixture[str]) -> None:
    """So that one need not look for the list."""
    assert command.main(["freams"]) == 2
    assert "frames" in capsys.readouterr().err


def test_a_file_can_be_tried_without_atheris(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """That is how a finding is looked into."""
    without(monkeypatch, "atheris")
    path = tmp_path / "input"
    path.write_bytes(b"\0\0\0\0\0\5hello")
    assert command.main(["frames", "--input", str(path)]) == 0
    assert "fine" in capsys.readouterr().out

    def fail(data: bytes) -> None:
        raise AssertionError(len(data))

    monkeypatch.setattr(Family, "target", lambda self: fail)
    assert command.main(["frames", "--input", str(path)]) == 1
    assert "AssertionError: 11" in capsys.readouterr().out


def test_each_place_that_complains_is_one_finding(tmp_path: Path) -> None:
    """A thousand inputs that run into the same line are one file with its explanation."""

    def target(data: bytes) -> None:
        if len(data) > 5:
            raise ValueError("long")
        if data == b"bad":
            raise KeyError("bad")

    watched = Watched(target, tmp_path)
    for data in (b"fine", b"too long", b"much too long", b"bad", b"bad"):
        watched(data)
    found = command.found_in(tmp_path)
    assert sorted(path.read_bytes() for path in found) == [b"bad", b"too long"]
    assert sorted(command.last_line(path) for path in found) == ["KeyError: 'bad'", "ValueError: long"]


def test_a_corpus_is_thinned_out_to_the_shortest_inputs_that_take_every_branch() -> None:
    """Of the inputs that go the same way one stays; one that is a finding does not."""

    def target(data: bytes) -> None:
        if data.startswith(b"a"):
            len(data)
        elif data.startswith(b"b"):
            if len(data) > 3:
                len(data)
        else:
            assert data != b"c"

    kept, branches = best(target, [b"aaaa", b"a", b"bb", b"bbbbb", b"bbbb", b"c", b"d", b"a"])
    assert kept == [b"a", b"d", b"bb", b"bbbb"]
    assert branches > 4
    assert best(target, [b"a", b"bb", b"bbbb"], seeds=[b"along", b"b"])[0] == [b"bbbb"]


def test_every_family_has_seeds_and_a_name_of_its_own() -> None:
    """Names are what the command is given, so no two packages may use the same."""
    found = [(package, name) for package in PACKAGES for name in families(package)]
    assert len({name for _, name in found}) == len(found) >= 14
    for package, name in found:
        assert next(iter(Family(package, name).seeds())) is not None


def test_seeds_are_the_same_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """A client writes the time into its gzip header, and so "seed 141" was another input in each run."""
    found = [Family(package, name) for package in PACKAGES for name in families(package)]
    before = {family.name: list(family.seeds()) for family in found}
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 100_000)
    assert {family.name: list(family.seeds()) for family in found} == before


@pytest.mark.skipif(importlib.util.find_spec("atheris") is None, reason="atheris is not installed")
def test_a_short_hunt(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The real thing, for a second: inputs are run and counted, and nothing is found."""
    arguments: list[Any] = ["primitives", "--seconds", "1", "--findings", str(tmp_path / "findings")]
    assert command.main(arguments) == 0
    first = capsys.readouterr().out.splitlines()[0].split()
    assert first[0] == "primitives" and int(first[1].replace(",", "")) > 100 and "0 findings" in " ".join(first)
