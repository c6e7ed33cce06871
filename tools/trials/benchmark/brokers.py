"""A broker process under measurement: in an empty folder of its own, started, weighed, stopped."""

from __future__ import annotations

import ssl
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from tools.trials.brokers import Contender, Process
from tools.trials.wire.client import WireClient

STOP_SECONDS = 120.0
POLL_SECONDS = 0.002


class BrokerProcess:
    """A running broker with an empty data directory of its own, which is made in `within`. A context manager.

    `secured` is the port of its listener with TLS, and the context of a client there.
    """

    def __init__(
        self,
        contender: Contender,
        port: int | None = None,
        *,
        within: str | None = None,
        secured: tuple[int, ssl.SSLContext] | None = None,
    ) -> None:
        self.name = contender.name
        self._secured = secured
        self._in_tls = False
        self._directory = tempfile.TemporaryDirectory(prefix=f"bench-{contender.name}-", dir=within)
        place = Path(self._directory.name)
        self.log = place / "output"
        self.data = str(place / "data")
        self._process = Process(contender, place / "data", self.log, port)
        self.port = self._process.port
        self.start()

    def start(self) -> float:
        """Start the process (again); returns the seconds until it answered its first request.

        `accepted_seconds` are those until it accepted the connection of that request.
        """
        began = time.perf_counter()
        self._process.start()
        accepted = self._process.wait_until(every=POLL_SECONDS)
        self.accepted_seconds, self.started_seconds = accepted - began, time.perf_counter() - began
        return self.started_seconds

    @property
    def secured(self) -> tuple[int, ssl.SSLContext]:
        """Port and context of the listener with TLS."""
        assert self._secured is not None, "it has one"
        return self._secured

    @contextmanager
    def loaded_in_tls(self, wanted: bool) -> Iterator[None]:
        """Meanwhile load goes to the listener with TLS, or not."""
        self._in_tls, before = wanted, self._in_tls
        yield
        self._in_tls = before

    def connect(self) -> WireClient:
        """A connection for load."""
        if not self._in_tls:
            return WireClient(self.port)
        port, tls = self.secured
        return WireClient(port, tls=tls)

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

    def stop(self) -> None:
        """SIGTERM, if it runs. Raises BrokerFailed if that does not end it in two minutes."""
        self._process.stop(STOP_SECONDS)

    def kill(self) -> None:
        """SIGKILL."""
        self._process.kill()

    def __enter__(self) -> BrokerProcess:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        self._directory.cleanup()
