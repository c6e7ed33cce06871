"""Guarded brokers for programs, which are asked for by name because they take minutes."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from compat_tests.brokers import Unable, free_port
from compat_tests.conftest import Brokers
from compat_tests.programs import guarded
from compat_tests.programs.guarded import Guarded
from compat_tests.programs.running import missing
from compat_tests.secured import Files, make_files


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    """Certificates for this run."""
    return make_files(tmp_path_factory.mktemp("certificates"))


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
