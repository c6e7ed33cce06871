"""The two brokers, each on a data directory that is put under it, looked at, and taken away again.

Where a broker keeps its data within the folder it is given is its own business (a command that runs Apache Kafka may
put its configuration beside it): `prepare` starts it once on nothing and finds the place by `meta.properties`.
"""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from kproto.errors import ProtocolError
from kproto.messages.metadata import MetadataRequest
from storage.local.checkpoints import META_PROPERTIES
from tools.trials.kill_test.broker_process import quiet_port
from tools.trials.wire_client import WireClient

START_SECONDS = 90.0
STOP_SECONDS = 60.0
POLL_SECONDS = 0.05
OFTEN = "log.retention.check.interval.ms=2000"


class BrokerFailed(Exception):
    """The broker did not start, or did not stop when it was asked to."""


@dataclass(frozen=True)
class Kind:
    """How to run a broker: a command with `{port}`, `{controller}`, `{dir}` and, standing alone, `{settings}` in it."""

    name: str
    command: tuple[str, ...]
    settings: tuple[str, ...] = ()

    def at(self, port: int, folder: Path) -> list[str]:
        """The command line for this port and folder."""
        known = {"port": str(port), "controller": str(port + 1), "dir": str(folder)}
        words: list[str] = []
        for word in self.command:
            if word == "{settings}":
                words += [setting.format(**known) for setting in self.settings]
            else:
                words.append(word.format(**known))
        return words


def ottla() -> Kind:
    """This Ottla, run by this interpreter."""
    command = (sys.executable, "-m", "ottla", "serve", "--port", "{port}", "--data", "{dir}")
    return Kind("Ottla", (*command, "--set", OFTEN))


def kafka(command: str) -> Kind:
    """Apache Kafka, run by `command`, with a quorum of its own making."""
    return Kind("Kafka", tuple(shlex.split(command)), (OFTEN,))


def kafka_with_fixed_voter(command: str) -> Kind:
    """Apache Kafka where nothing but its configuration says that it is the only voter of its quorum."""
    fixed = (OFTEN, "controller.quorum.bootstrap.servers=", "controller.quorum.voters=1@127.0.0.1:{controller}")
    return Kind("Kafka", tuple(shlex.split(command)), fixed)


class Site:
    """A folder with one broker's data in it, and the broker when it runs."""

    def __init__(self, kind: Kind, folder: Path) -> None:
        self.kind = kind
        self.folder = folder
        self.data = folder
        folder.mkdir(parents=True)

    def prepare(self) -> None:
        """Let the broker make its directory, and find it. Raises BrokerFailed."""
        with self.running():
            pass
        found = sorted(self.folder.rglob(META_PROPERTIES))
        if not found:
            raise BrokerFailed(f"{self.kind.name} left no {META_PROPERTIES} in {self.folder}")
        self.data = found[0].parent

    def put(self, data: Path) -> None:
        """Replace the data by a copy of another directory."""
        shutil.rmtree(self.data)
        shutil.copytree(data, self.data)

    @contextmanager
    def running(self, *, kill: bool = False) -> Iterator[int]:
        """The broker at work: the port it listens on. In the end it is stopped, or killed. Raises BrokerFailed."""
        port = quiet_port()
        log = self.folder.with_suffix(".log")
        with log.open("ab") as output:
            process = subprocess.Popen(
                self.kind.at(port, self.folder),
                stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True,
            )  # fmt: skip
        try:
            self._wait(process, port, log)
            yield port
        finally:
            if kill:
                os.killpg(process.pid, signal.SIGKILL)
            self._stop(process)

    def _wait(self, process: subprocess.Popen[bytes], port: int, log: Path) -> None:
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                with WireClient(port, timeout=START_SECONDS) as client:
                    if client.call(MetadataRequest(topics=[]), 12).brokers:
                        return
            except (OSError, ProtocolError):
                pass
            if process.poll() is not None or time.monotonic() > deadline:
                said = log.read_text(errors="replace")[-2000:]
                raise BrokerFailed(f"{self.kind.name} does not start on {self.data}:\n{said}")
            time.sleep(POLL_SECONDS)

    def _stop(self, process: subprocess.Popen[bytes]) -> None:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            raise BrokerFailed(f"{self.kind.name} did not stop within {STOP_SECONDS:g} s of SIGTERM") from None
