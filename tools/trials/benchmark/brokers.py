"""A broker process under measurement: started, asked whether it answers, weighed, stopped."""

from __future__ import annotations

import os
import shlex
import signal
import socket
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import psutil

from kproto.errors import ProtocolError
from kproto.messages.api_versions import ApiVersionsRequest
from tools.trials.wire_client import WireClient

START_SECONDS = 300.0
STOP_SECONDS = 20.0
POLL_SECONDS = 0.002


@dataclass(frozen=True)
class Contender:
    """How to start one of the brokers: `command` with `{port}` and `{dir}` filled in."""

    name: str
    command: tuple[str, ...]

    def at(self, port: int, directory: str) -> list[str]:
        """The command line for this port and data directory."""
        return [word.replace("{port}", str(port)).replace("{dir}", directory) for word in self.command]


def ottla(*settings: str) -> Contender:
    """This Ottla, run by this interpreter."""
    words = [sys.executable, "-m", "ottla", "serve", "--port", "{port}", "--data", "{dir}"]
    for setting in settings:
        words += ["--set", setting]
    return Contender("ottla", tuple(words))


def kafka(command: str) -> Contender:
    """Apache Kafka, run by `command`."""
    return Contender("kafka", tuple(shlex.split(command)))


class BrokerProcess:
    """A running broker with an empty data directory of its own. A context manager."""

    def __init__(self, contender: Contender, port: int | None = None) -> None:
        self.name = contender.name
        self.port = port or free_port()
        self._directory = tempfile.TemporaryDirectory(prefix=f"bench-{contender.name}-")
        self._contender = contender
        self.log = Path(self._directory.name) / "output"
        self.data = str(Path(self._directory.name) / "data")
        self.start()

    def start(self) -> float:
        """Start the process (again); returns the seconds until it answered its first request.

        `accepted_seconds` are those until it accepted the connection of that request.
        """
        began = time.perf_counter()
        with self.log.open("ab") as output:
            # The pipe ends when this process does, however it ends: a broker that looks there stops too.
            self._process = subprocess.Popen(
                self._contender.at(self.port, self.data),
                stdin=subprocess.PIPE, stdout=output, stderr=output, start_new_session=True,
            )  # fmt: skip
        accepted, answered = self._until_it_answers()
        self.accepted_seconds, self.started_seconds = accepted - began, answered - began
        return self.started_seconds

    def _until_it_answers(self) -> tuple[float, float]:
        deadline = time.perf_counter() + START_SECONDS
        while True:
            if self._process.poll() is not None:
                raise RuntimeError(f"{self.name} stopped while starting:\n{self.log.read_text()[-2000:]}")
            try:
                with WireClient(self.port, timeout=START_SECONDS) as client:
                    accepted = time.perf_counter()
                    client.call(ApiVersionsRequest(client_software_name="bench", client_software_version="1"), 3)
                return accepted, time.perf_counter()
            except (OSError, ProtocolError):
                if time.perf_counter() > deadline:
                    raise
                pause(POLL_SECONDS)

    def processes(self) -> list[psutil.Process]:
        """The broker's process and its children (a shell that runs it does no work of its own)."""
        root = psutil.Process(self._process.pid)
        return [root, *root.children(recursive=True)]

    def cpu_seconds(self) -> float:
        """CPU time spent so far, user and system, all threads."""
        return sum(float(times.user + times.system) for times in (each.cpu_times() for each in self.processes()))

    def user_seconds(self) -> float:
        """The part of it that was not spent in the kernel."""
        return sum(float(each.cpu_times().user) for each in self.processes())

    def resident_bytes(self) -> int:
        """Memory held now."""
        return sum(each.memory_info().rss for each in self.processes())

    def descriptors(self) -> int:
        """Files, sockets and the like that are open now."""
        return sum(each.num_fds() for each in self.processes())

    def stop_gracefully(self, patience: float = 120.0) -> None:
        """SIGTERM; raises if that does not end it in `patience` seconds."""
        os.killpg(self._process.pid, signal.SIGTERM)
        self._process.wait(patience)
        self._close_pipe()

    def kill(self) -> None:
        """SIGKILL."""
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._close_pipe()

    def _close_pipe(self) -> None:
        if self._process.stdin is not None:
            self._process.stdin.close()

    def stop(self) -> None:
        """SIGTERM, then SIGKILL if that is not enough."""
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGTERM)
            try:
                self._process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self.kill()
        self._close_pipe()

    def __enter__(self) -> BrokerProcess:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        self._directory.cleanup()


def free_port() -> int:
    """A port that was free a moment ago, with the next one free too (Kafka's controller wants it)."""
    while True:
        with socket.socket() as first, socket.socket() as second:
            first.bind(("127.0.0.1", 0))
            port: int = first.getsockname()[1]
            try:
                second.bind(("127.0.0.1", port + 1))
            except (OSError, OverflowError):
                continue
            return port


def pause(seconds: float) -> None:
    """Let the broker under measurement run."""
    time.sleep(seconds)
