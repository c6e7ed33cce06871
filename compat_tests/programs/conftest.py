"""Brokers for programs, guarded and plain; programs are asked for by name because they take minutes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from compat_tests.brokers import Unable, free_port
from compat_tests.conftest import Brokers
from compat_tests.programs import guarded
from compat_tests.programs.guarded import Guarded
from compat_tests.programs.plain import Plain
from compat_tests.programs.running import missing
from compat_tests.secured import Files


@pytest.fixture
def start_guarded(request: pytest.FixtureRequest, files: Files) -> Iterator[Callable[[], Guarded]]:
    """Starts another broker that asks who its clients are and what they may do."""
    if not request.config.getoption("--programs"):
        pytest.skip("with --programs")
    if lacking := missing():
        pytest.skip(lacking)
    brokers = Brokers(request.config)

    def started() -> Guarded:
        port = free_port()
        try:
            return Guarded(brokers.get(f"programs at {port}", **guarded.settings(files, port)), files, port)
        except Unable as reason:
            pytest.skip(str(reason))

    yield started
    brokers.stop()


@pytest.fixture
def plain(request: pytest.FixtureRequest, brokers: Brokers, tmp_path: Path) -> Plain:
    """The broker that all programs share, beside the module's `KIT`."""
    if not request.config.getoption("--programs"):
        pytest.skip("with --programs")
    kit = request.module.KIT
    if lacking := kit.missing():
        pytest.skip(lacking)
    try:
        return Plain(brokers.get("shared").bootstrap, kit, tmp_path)
    except Unable as reason:
        pytest.skip(str(reason))
