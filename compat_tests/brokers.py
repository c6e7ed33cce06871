"""The broker under test: one that runs already, or one whose process this suite owns and may kill.

`--bootstrap HOST:PORT` names a running one. Otherwise `--launch ottla` starts `ottla serve` (from the environment that
runs the tests), and `--launch kafka` starts the command given by `--kafka-command` or OTTLA_KAFKA_COMMAND, a shell-like
line in which `{port}`, `{dir}` and, standing alone, `{settings}` are filled in: the port to listen on (the next one is
free too, for a controller), an empty folder for its data, and `key=value` words. The command must stay in the
foreground and be able to start on the data it left behind.

`--launch ottla-cluster` starts three brokers of Ottla over one database and one bucket, and kills and stops them
together; clients are given the address of the first.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path

START_TIMEOUT = 90.0
STOP_TIMEOUT = 30.0
MEMBERS = 3
"""Brokers of a cluster."""
LISTENERS = ("listeners", "advertised.listeners")
"""Settings that name ports."""


class Unable(Exception):
    """This kind of broker cannot do that; the message says why. The scenario is skipped."""


class Broker(ABC):
    """Where clients connect."""

    bootstrap: str

    def stop(self) -> None:  # noqa: B027  (who did not start it does not stop it)
        """Stop it for good."""


class RunningBroker(Broker):
    """A broker that runs already; it is neither started nor stopped here."""

    def __init__(self, bootstrap: str) -> None:
        self.bootstrap = bootstrap


class OwnedBroker(Broker):
    """One that this suite may kill, and start again with the data that it left."""

    @abstractmethod
    def start(self) -> None:
        """Start it and return when it accepts connections. Raises AssertionError with the end of its log."""

    @abstractmethod
    def accepts(self) -> bool:
        """Whether it accepts connections."""

    @abstractmethod
    def kill(self) -> None:
        """SIGKILL; what it had only in memory is gone."""

    @abstractmethod
    def shut_down(self) -> None:
        """SIGTERM, and wait; `start` brings it back."""


class LaunchedBroker(OwnedBroker):
    """A process of ours, with a folder of data that lives as long as this object is not stopped."""

    def __init__(self, settings: Mapping[str, str]) -> None:
        self.settings = settings
        self.port = free_port()
        self.bootstrap = f"127.0.0.1:{self.port}"
        self.folder = Path(tempfile.mkdtemp(prefix="compat-"))
        self._process: subprocess.Popen[bytes] | None = None

    @abstractmethod
    def command(self) -> list[str]:
        """The command line that serves `port` with the data in `folder`."""

    def filled(self) -> dict[str, str]:
        """The settings, with `{port}` and `{controller}` filled in."""
        known = {"{port}": str(self.port), "{controller}": str(self.port + 1)}
        found = dict(self.settings)
        for key in found:
            for placeholder, value in known.items():
                found[key] = found[key].replace(placeholder, value)
        return found

    def start(self) -> None:
        log = self.folder / "log"
        with log.open("ab") as output:
            # Its standard input ends with this process, and a group of its own keeps Ctrl-C from it.
            self._process = subprocess.Popen(
                self.command(),
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        deadline = time.monotonic() + START_TIMEOUT
        while not self.accepts():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.kill()
                said = log.read_text(errors="replace")[-3000:]
                raise AssertionError(f"the broker did not start: {shlex.join(self.command())}\n{said}")
            time.sleep(0.02)

    def accepts(self) -> bool:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
            return True
        return False

    @property
    def runs(self) -> bool:
        """Whether it has been started, and has not ended."""
        return self._process is not None and self._process.poll() is None

    def kill(self) -> None:
        self._end(signal.SIGKILL)

    def shut_down(self) -> None:
        self._end(signal.SIGTERM)

    def _end(self, how: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        if process.poll() is None:
            os.killpg(process.pid, how)
            try:
                process.wait(STOP_TIMEOUT)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait(STOP_TIMEOUT)
        assert process.stdin is not None
        process.stdin.close()

    def stop(self) -> None:
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)


class Ottla(LaunchedBroker):
    """`ottla serve`; `secure`: encrypted, for known users only."""

    def __init__(self, settings: Mapping[str, str], *, secure: bool = False) -> None:
        super().__init__(settings)
        self._secure = secure

    @property
    def client_properties(self) -> Path:
        """Of a secure broker: the settings of its administrator, as Kafka's Java clients read them."""
        return self.folder / "data" / "secure" / "client.properties"

    def command(self) -> list[str]:
        words = [sys.executable, "-m", "ottla", "serve", "--no-environment", "--exit-with-parent"]
        words += ["--port", str(self.port), "--data", str(self.folder / "data")]
        words += ["--secure"] if self._secure else []
        for key, value in self.filled().items():
            words += ["--set", f"{key}={value}"]
        return words


class Ground(LaunchedBroker):
    """The database and the bucket of a cluster."""

    def __init__(self) -> None:
        super().__init__({})

    @property
    def properties(self) -> Path:
        """Where brokers find both."""
        return self.folder / "cluster" / "cluster.properties"

    def command(self) -> list[str]:
        words = [sys.executable, "-m", "ottla", "cluster", "local", "--brokers", "0", "--exit-with-parent"]
        return [*words, "--data", str(self.folder / "cluster")]

    def accepts(self) -> bool:
        return "\nready " in (self.folder / "log").read_text(errors="replace")


class Member(Ottla):
    """One broker of a cluster. A port that settings name for a listener is the first one's, and others have their own
    instead of it."""

    def __init__(self, settings: Mapping[str, str], node_id: int, ground: Ground) -> None:
        super().__init__(settings)
        self._node_id = node_id
        self._ground = ground
        self._own_ports: dict[str, str] = {}

    def command(self) -> list[str]:
        words = [sys.executable, "-m", "ottla", "serve", "--no-environment", "--exit-with-parent"]
        words += ["--port", str(self.port), "--node-id", str(self._node_id)]
        for key, value in self.filled().items():
            words += ["--set", f"{key}={self._at_own_ports(value) if key in LISTENERS else value}"]
        return [*words, str(self._ground.properties)]

    def _at_own_ports(self, listeners: str) -> str:
        if self._node_id == 1:
            return listeners
        known = {str(self.port), str(self.port + 1)}

        def own(found: re.Match[str]) -> str:
            port = found[0]
            return port if port in known else self._own_ports.setdefault(port, str(free_port()))

        return re.sub(r"(?<=:)\d+(?=,|$)", own, listeners)


class OttlaCluster(OwnedBroker):
    """Brokers of Ottla that share a database and a bucket. They start, stop and die together; the ground they stand on
    stays."""

    def __init__(self, settings: Mapping[str, str]) -> None:
        self._ground = Ground()
        self._members = [Member(settings, number, self._ground) for number in range(1, MEMBERS + 1)]
        self.bootstrap = self._members[0].bootstrap

    def start(self) -> None:
        if not self._ground.runs:
            self._ground.start()
        for member in self._members:
            member.start()
        words = [sys.executable, "-m", "ottla", "cluster", "describe", "--bootstrap-server", self.bootstrap, "--json"]
        deadline = time.monotonic() + START_TIMEOUT
        while True:
            said = subprocess.run(words, capture_output=True, text=True, check=False)
            if not said.returncode and len(json.loads(said.stdout)["brokers"]) == MEMBERS:
                return
            if time.monotonic() > deadline:
                self.kill()
                raise AssertionError(f"the brokers do not know of each other: {said.stdout}{said.stderr}")

    def accepts(self) -> bool:
        return all(member.accepts() for member in self._members)

    def kill(self) -> None:
        for member in self._members:
            member.kill()

    def shut_down(self) -> None:
        for member in self._members:
            member.shut_down()

    def stop(self) -> None:
        for process in (*self._members, self._ground):
            process.stop()


class Kafka(LaunchedBroker):
    """Apache Kafka, or whatever else the command starts."""

    def __init__(self, settings: Mapping[str, str], template: str) -> None:
        super().__init__(settings)
        self._template = shlex.split(template)
        if settings and "{settings}" not in self._template:
            raise Unable("the command that starts the broker has no place for {settings}")

    def command(self) -> list[str]:
        words: list[str] = []
        for word in self._template:
            if word == "{settings}":
                words += [f"{key}={value}" for key, value in self.filled().items()]
            else:
                words.append(word.format(port=self.port, dir=self.folder / "data"))
        return words


def free_port() -> int:
    """A port without a listener, and so is the next one; below those that outgoing connections take."""
    while True:
        port = random.randrange(20_000, 32_000, 2)
        with contextlib.suppress(OSError), socket.socket() as first, socket.socket() as second:
            first.bind(("127.0.0.1", port))
            second.bind(("127.0.0.1", port + 1))
            return port
