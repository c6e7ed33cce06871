"""The command's process from its first import on: signals at any moment, and standard streams that are not there."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX signals and file descriptors")

ROOT = Path(__file__).parents[2]
SIGNAL_AT_IMPORT = """
import signal, sys

class Watch:
    def find_spec(self, name, path=None, target=None):
        if name == sys.argv[1]:
            signal.raise_signal(int(sys.argv[2]))

sys.meta_path.insert(0, Watch())
from ottla.__main__ import main
sys.exit(main(["serve", "--memory", "--port", "0"]))
"""
"""`ottla serve`, which gets a signal when it imports a module."""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize(
    "module", ["tools.__main__", "tools.commands.serve", "trio", "broker.server", "storage.memory"]
)
def test_a_signal_while_modules_are_imported(module: str, number: signal.Signals) -> None:
    """The process ends by that signal, with one line and no traceback."""
    # As at a terminal: tests that run in the background inherit that SIGINT is ignored.
    handler = "default_int_handler" if number is signal.SIGINT else "SIG_DFL"
    listening = f"import signal; signal.signal({int(number)}, signal.{handler})\n"
    words = [sys.executable, "-c", listening + SIGNAL_AT_IMPORT, module, str(int(number))]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == -number
    assert done.stderr == f"ottla serve: ended by {number.name}\n"
    assert done.stdout == ""


def test_an_ignored_signal_stays_ignored() -> None:
    """As a shell has it for what it starts in the background: the broker would be ended with the shell's own Ctrl-C."""
    ignoring = f"import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)\n{SIGNAL_AT_IMPORT}"
    words = [sys.executable, "-c", ignoring.replace('"serve"', '"--version", "serve"'), "tools.verbs", "2"]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("ottla ")


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_a_broker_serves_without_standard_streams(closed: str, tmp_path: Path) -> None:
    """What would be printed goes nowhere, above all into no file of the data, and the stop is clean."""
    ready, data = tmp_path / "ready", tmp_path / "data"
    command = f"exec {sys.executable} -P ottla/__main__.py serve --port 0 --data {data} --ready-file {ready} {closed}"
    with subprocess.Popen(["sh", "-c", command], cwd=ROOT) as broker:
        while not ready.exists():
            assert broker.poll() is None
            os.sched_yield()
        assert ready.read_text().splitlines()[1] == f"pid {broker.pid}"
        broker.terminate()
        assert broker.wait(30) == 0
    assert (data / ".kafka_cleanshutdown").exists()
    assert not ready.exists()


def test_one_line_says_what_has_started(tmp_path: Path) -> None:
    """Version, addresses, data directory, engine and Kafka's release, in one line and before the ready line."""
    words = [sys.executable, "-P", "ottla/__main__.py", "serve", "--port", "0", "--data", str(tmp_path / "data")]
    environment = {**os.environ, "KAFKA_NO_SETTING": "1", "KAFKA_NODE_ID": "4"}
    with subprocess.Popen(
        words, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as broker:
        assert broker.stdout is not None
        address = broker.stdout.readline().split()[1]
        broker.terminate()
        _, log = broker.communicate(timeout=30)
    lines = [json.loads(line) for line in log.splitlines()]
    assert [line["event"] for line in lines] == ["started", "about the configuration", "stopping", "stopped"]
    started = lines[0]
    assert started["listeners"] == [f"PLAINTEXT://{address}"]
    assert started["engine"] == "local"
    assert started["data"] == str(tmp_path / "data")
    assert started["node_id"] == 4
    assert started["version"] and started["kafka"] and started["cluster_id"]
    assert "KAFKA_NO_SETTING" in lines[1]["notice"]
