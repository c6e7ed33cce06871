"""The directory that the tests here look at, made once, and copies of it to damage."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tools.tests.log_files.data_directory import write


@pytest.fixture(scope="session")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory as it was written. To be read only."""
    path = tmp_path_factory.mktemp("sound") / "data"
    write(path)
    return path


@pytest.fixture
def data(sound: Path, tmp_path: Path) -> Path:
    """A copy that a test may change."""
    return shutil.copytree(sound, tmp_path / "data")
