"""Stopping `ottla serve`: it ends in time whatever threads do, and at once when it is asked twice."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from broker import server
from tools.commands import serve

pytestmark = pytest.mark.skipif(not hasattr(signal, "SIGUSR1"), reason="needs POSIX signals")

SCRIPT = """
import os, signal, sys, threading
from broker import server
from tools.commands import serve

server.STOP_SECONDS, serve.LAST_RESORT_SECONDS = 0.5, float(sys.argv[2])
hangs = threading.Event()

def hanging(sync):
    def call(descriptor):
        if hangs.is_set():
            threading.Event().wait()
        sync(descriptor)
    return call

os.fsync, os.fdatasync = hanging(os.fsync), hanging(os.fdatasync)
signal.signal(signal.SIGUSR1, lambda *_: hangs.set())
sys.exit(serve.main(["--port", "0", "--data", sys.argv[1]]))
"""
"""A broker whose disk does not answer any more from SIGUSR1 on."""

ROOT = Path(__file__).parents[3]


@pytest.fixture
def broker(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[subprocess.Popen[str]]:
    """A broker that is ready; the parameter is when its last resort comes."""
    words = [sys.executable, "-c", SCRIPT, str(tmp_path / "data"), str(request.param)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline().startswith("ready ")
            yield process
        finally:
            process.kill()


@pytest.mark.parametrize("broker", [1.0], indirect=True)
def test_a_stop_ends_though_the_disk_hangs(broker: subprocess.Popen[str], tmp_path: Path) -> None:
    """Exit status 1, one sentence, and no mark of a clean stop."""
    broker.send_signal(signal.SIGUSR1)
    broker.terminate()
    _, errors = broker.communicate(timeout=60)
    assert broker.returncode == 1
    assert "the stop was not over after 1 s" in errors.splitlines()[-1]
    assert not (tmp_path / "data" / ".kafka_cleanshutdown").exists()


@pytest.mark.parametrize("broker", [600.0], indirect=True)
@pytest.mark.parametrize("second", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_ends_at_once(broker: subprocess.Popen[str], second: signal.Signals) -> None:
    """By that signal, as a shell expects of a program that was interrupted."""
    broker.send_signal(signal.SIGUSR1)
    broker.terminate()
    assert broker.stderr is not None
    while "stopping" not in broker.stderr.readline():
        assert broker.poll() is None
    deadline = time.monotonic() + 60
    while broker.poll() is None and time.monotonic() < deadline:
        broker.send_signal(second)  # the first ones may come before the broker has heard of the stop
        try:
            broker.wait(0.1)
        except subprocess.TimeoutExpired:
            continue
    assert broker.returncode == -second


@pytest.mark.parametrize("broker", [600.0], indirect=True)
def test_a_stop_that_goes_well_ends_with_0(broker: subprocess.Popen[str], tmp_path: Path) -> None:
    """And leaves the mark."""
    broker.terminate()
    broker.communicate(timeout=60)
    assert broker.returncode == 0
    assert (tmp_path / "data" / ".kafka_cleanshutdown").exists()


def test_a_broker_that_cannot_go_on_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A fault of its own ends it with exit status 1 and one sentence, and not with a screen of Python."""

    def broken(*_: object, **__: object) -> None:
        raise ExceptionGroup("nursery", [ExceptionGroup("nursery", [RuntimeError("a part is broken")])])

    monkeypatch.setattr(server, "run", broken)
    assert serve.main(["--data", str(tmp_path)]) == serve.FAULT == 1
    assert capsys.readouterr().err.endswith("ottla serve: the broker cannot go on: RuntimeError: a part is broken\n")
