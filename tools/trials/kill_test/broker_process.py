"""The broker under test: started, asked, killed, started again, always with the same data and on the same port."""

from __future__ import annotations

import time
from pathlib import Path

from kproto.batches.records import RecordData, build_batch
from kproto.ids import TopicPartition
from tools.trials.brokers import Contender, Process
from tools.trials.kill_test.ledger import Acknowledged, LedgerWriter, Producer, Sent
from tools.trials.kill_test.values import make_value
from tools.trials.wire import requests as wire
from tools.trials.wire.client import WireClient

PROBE = TopicPartition("kill-probe", 0)
SERVING_SECONDS = 120.0


class KilledBroker(Process):
    """A broker that will be killed. `directory` is kept for the person who wants to look at it afterwards."""

    def __init__(self, contender: Contender, directory: Path, ledger: LedgerWriter) -> None:
        super().__init__(contender, directory / "data", directory / "broker.log")
        self._ledger = ledger
        self._probes = 0
        ledger.write(Producer("probe", "probe"))

    def wait_until_it_answers(self) -> None:
        """Wait until ApiVersions is answered. Raises BrokerFailed."""
        self.wait_until(seconds=SERVING_SECONDS)

    def wait_until_it_serves(self) -> None:
        """Wait until a record with acks=all has been acknowledged. Raises BrokerFailed."""
        self.wait_until(self._probe, seconds=SERVING_SECONDS)

    def _probe(self, client: WireClient) -> None:
        """Send one record, a new one each time: an attempt without an answer is not tried again."""
        wire.api_versions(client)
        sequence, self._probes = self._probes, self._probes + 1
        value = make_value("probe", *PROBE, sequence)
        batch = build_batch([RecordData(0, int(time.time() * 1000), None, value)])
        client.socket.sendall(wire.produce_request(client, PROBE, batch, -1))
        error, offset = wire.produced(client)
        wire.accept("Produce", error)
        self._ledger.write(Acknowledged("probe", *PROBE, sequence, 1, offset, time.monotonic()))

    def close_ledger(self) -> None:
        """No more probes."""
        self._ledger.write(Sent("probe", *PROBE, self._probes))
        self._ledger.close()

    def tracebacks(self) -> list[str]:
        """Exceptions that the broker did not expect, out of what it printed: the last line of each."""
        lines = self.output.read_text(errors="replace").splitlines()
        return [line[:300] for line in lines if "Traceback (most recent call last)" in line]
