"""Starting a broker as a process of its own, and ending it: one way for every instrument, and for every broker.

A `Contender` says how: a command line with placeholders. A `Process` is one broker at a place: a port and a folder that
stay the same however often it is started, killed and started again. Each of its runs

* has a process group of its own, so that a signal reaches a shell in front of the broker as well as the broker;
* has a pipe as its standard input that ends when this process does, however it ends: a broker that looks there
  (`--exit-with-parent`) stops too;
* writes to one file, whose end is part of the message when a start fails.

Ports are taken below those that the system gives to clients: while a broker is down, a client that tries to reach a
port out of that range may by chance be given the very port as its own, reach itself, and keep the broker from coming
back.
"""

from __future__ import annotations

import os
import random
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kproto.errors import ProtocolError
from tools.trials.wire.client import WireClient
from tools.trials.wire.requests import Refusal, api_versions

ROOT = Path(__file__).parents[2]
START_SECONDS = 300.0
STOP_SECONDS = 60.0
FIRST_PORT, LAST_PORT = 20_000, 32_000


class BrokerFailed(Exception):
    """The broker did not start, ended by itself, or did not stop when it was asked to."""


def limit_open_files(most: int | None) -> None:
    """Let this process, and those that it starts, have no more than `most` files and sockets open, if it is a number.

    It is the hard limit, which a broker cannot raise again. Raises ValueError where there is no such limit.
    """
    if most is None:
        return
    try:
        import resource
    except ImportError:
        raise ValueError("this system has no limit on open files") from None
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


@dataclass(frozen=True)
class Contender:
    """How to start one kind of broker.

    `command` is its words, with `{port}`, `{controller}` (the port after it) and `{dir}` filled in. `settings` are
    `key=value`, with the same placeholders, each behind the word `flag` if there is one; they stand where the word
    `{settings}` stands alone, else at the end.
    """

    name: str
    command: tuple[str, ...]
    settings: tuple[str, ...] = ()
    flag: str = ""

    def at(self, port: int, directory: str | Path) -> list[str]:
        """The command line for this port and data directory."""
        known = {"{port}": str(port), "{controller}": str(port + 1), "{dir}": str(directory)}
        settings = [word for setting in self.settings for word in ((self.flag, setting) if self.flag else (setting,))]
        words = self.command if "{settings}" in self.command else (*self.command, "{settings}")
        filled: list[str] = []
        for word in words:
            filled += settings if word == "{settings}" else [word]
        for placeholder, value in known.items():
            filled = [word.replace(placeholder, value) for word in filled]
        return filled


def ottla(*settings: str) -> Contender:
    """This Ottla, run by this interpreter from its source tree."""
    command = (
        sys.executable,
        "-m",
        "ottla",
        "serve",
        "--no-environment",
        "--exit-with-parent",
        "--port",
        "{port}",
        "--data",
        "{dir}",
    )
    return Contender("ottla", command, settings, "--set")


def kafka(command: str, *settings: str) -> Contender:
    """Apache Kafka, run by `command`, the words of a shell with placeholders in it."""
    return Contender("kafka", tuple(shlex.split(command)), settings)


class Process:
    """A broker at a port and a folder. A context manager that stops it in the end."""

    def __init__(self, contender: Contender, data: Path, output: Path, port: int | None = None) -> None:
        self.contender = contender
        self.port = port or quiet_port()
        self.data = data
        self.output = output
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """The process id of the present run."""
        assert self._process is not None, "it runs"
        return self._process.pid

    def start(self, **environment: str) -> None:
        """Start a run, and do not wait for it; `environment` is added to this process's own."""
        assert self._process is None, "the run before has ended"
        with self.output.open("ab") as output:
            self._process = subprocess.Popen(
                self.contender.at(self.port, self.data),
                stdin=subprocess.PIPE, stdout=output, stderr=output, start_new_session=True,
                cwd=ROOT, env={**os.environ, **environment},
            )  # fmt: skip

    def wait_until(
        self, ask: Callable[[WireClient], Any] = api_versions, *, seconds: float = START_SECONDS, every: float = 0.005
    ) -> float:
        """Ask again and again, each time on a new connection, until there is an answer without error.

        Returns the moment (`time.perf_counter`) at which the connection of that answer was accepted. Raises
        BrokerFailed when the process has ended or `seconds` are over.
        """
        deadline = time.monotonic() + seconds
        while True:
            self.check_alive()
            try:
                with WireClient(self.port, timeout=seconds) as client:
                    accepted = time.perf_counter()
                    ask(client)
                return accepted
            except (OSError, ProtocolError, Refusal) as error:
                if time.monotonic() > deadline:
                    words = f"{self.contender.name} does not serve after {seconds:g} s: {error}\n{self.last_words()}"
                    raise BrokerFailed(words) from error
                pause(every)

    def check_alive(self) -> None:
        """Raises BrokerFailed with the last words of a broker that has ended by itself."""
        if self._process is not None and (status := self._process.poll()) is not None:
            self._ended()
            raise BrokerFailed(f"{self.contender.name} ended by itself with status {status}:\n{self.last_words()}")

    def last_words(self) -> str:
        """The end of what the broker has printed."""
        return self.output.read_text(errors="replace")[-3000:] if self.output.exists() else ""

    def kill(self) -> None:
        """SIGKILL, if it runs; returns when the process is gone."""
        if self._process is not None:
            self._signal(signal.SIGKILL)
            self._process.wait()
            self._ended()

    def stop(self, seconds: float = STOP_SECONDS) -> None:
        """SIGTERM, if it runs. Raises BrokerFailed, after a SIGKILL, when that does not end it in `seconds`."""
        if self._process is None:
            return
        self._signal(signal.SIGTERM)
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            words = f"{self.contender.name} did not stop within {seconds:g} s of SIGTERM"
            raise BrokerFailed(f"{words}:\n{self.last_words()}") from None
        self._ended()

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, number)

    def _ended(self) -> None:
        assert self._process is not None and self._process.stdin is not None
        self._process.stdin.close()
        self._process = None

    def __enter__(self) -> Process:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def quiet_port() -> int:
    """A free port that no client will be given by chance, with the next one free too (Kafka's controller wants it)."""
    chance = random.SystemRandom()
    while True:
        port = chance.randrange(FIRST_PORT, LAST_PORT)
        with socket.socket() as first, socket.socket() as second, suppress(OSError):
            first.bind(("127.0.0.1", port))
            second.bind(("127.0.0.1", port + 1))
            return port


def pause(seconds: float) -> None:
    """Let the broker, which is another process, run: it can only be asked again."""
    time.sleep(seconds)
