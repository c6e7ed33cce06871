"""The two brokers, each on a data directory that is put under it, looked at, and taken away again.

Where a broker keeps its data within the folder it is given is its own business (a command that runs Apache Kafka may
put its configuration beside it): `prepare` starts it once on nothing and finds the place by `meta.properties`.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from kproto.errors import ErrorCode
from kproto.messages.metadata import MetadataRequest
from storage.local.checkpoints import META_PROPERTIES
from tools.trials import brokers
from tools.trials.brokers import BrokerFailed, Contender, Process
from tools.trials.wire.client import WireClient
from tools.trials.wire.requests import Refusal

START_SECONDS = 90.0
POLL_SECONDS = 0.05
OFTEN = "log.retention.check.interval.ms=2000"


def ottla() -> Contender:
    """This Ottla, looking for expired segments often."""
    return brokers.ottla(OFTEN)


def kafka(command: str) -> Contender:
    """Apache Kafka, run by `command`, with a quorum of its own making."""
    return brokers.kafka(command, OFTEN)


def kafka_with_fixed_voter(command: str) -> Contender:
    """Apache Kafka where only its configuration says that it is the one voter of its quorum."""
    fixed = ("controller.quorum.bootstrap.servers=", "controller.quorum.voters=1@127.0.0.1:{controller}")
    return brokers.kafka(command, OFTEN, *fixed)


class Site:
    """A folder with one broker's data in it, and the broker when it runs."""

    def __init__(self, contender: Contender, folder: Path) -> None:
        self.contender = contender
        self.folder = folder
        self.data = folder
        folder.mkdir(parents=True)

    def prepare(self) -> None:
        """Let the broker make its directory, and find it. Raises BrokerFailed."""
        with self.running():
            pass
        found = sorted(self.folder.rglob(META_PROPERTIES))
        if not found:
            raise BrokerFailed(f"{self.contender.name} left no {META_PROPERTIES} in {self.folder}")
        self.data = found[0].parent

    def put(self, data: Path) -> None:
        """Replace the data by a copy of another directory."""
        shutil.rmtree(self.data)
        shutil.copytree(data, self.data)

    @contextmanager
    def running(self, *, kill: bool = False) -> Iterator[int]:
        """The broker at work: the port it listens on. In the end it is stopped, or killed. Raises BrokerFailed."""
        process = Process(self.contender, self.folder, self.folder.with_suffix(".log"))
        process.start()
        try:
            process.wait_until(_knows_a_broker, seconds=START_SECONDS, every=POLL_SECONDS)
            yield process.port
        finally:
            if kill:
                process.kill()
            process.stop()


def _knows_a_broker(client: WireClient) -> None:
    """Kafka answers before it knows itself; it is of use when its metadata has a broker."""
    if not client.call(MetadataRequest(topics=[]), 12).brokers:
        raise Refusal("Metadata", ErrorCode.BROKER_NOT_AVAILABLE)
