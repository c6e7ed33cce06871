"""Where instruments keep their files."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from tools.trials.places import folder


def test_a_folder_that_is_missing_is_made(tmp_path: Path) -> None:
    """Also inside one that is missing."""
    place = tmp_path / "new" / "runs"
    assert folder(str(place)) == str(place)
    assert place.is_dir()


def test_a_relative_folder_is_the_same_from_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Brokers and databases are started in other folders."""
    monkeypatch.chdir(tmp_path)
    assert folder("runs") == str(tmp_path / "runs")


def test_what_cannot_be_a_folder_is_refused_with_one_sentence(tmp_path: Path) -> None:
    """A file has the name: argparse prints the sentence behind the option's name."""
    file = tmp_path / "file"
    file.write_text("")
    with pytest.raises(argparse.ArgumentTypeError, match="cannot be a folder for files"):
        folder(str(file))
