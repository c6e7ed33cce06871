"""The broker under test: started, asked, killed, started again, always with the same data and on the same port."""

from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
import time
from contextlib import suppress
from pathlib import Path

from kproto.batches.records import RecordData, build_batch
from kproto.errors import ProtocolError
from kproto.ids import TopicPartition
from tools.trials.benchmark.brokers import Contender
from tools.trials.kill_test import wire
from tools.trials.kill_test.ledger import Acknowledged, LedgerWriter, Producer, Sent
from tools.trials.kill_test.values import make_value
from tools.trials.wire_client import WireClient

PROBE = TopicPartition("kill-probe", 0)
SERVING_SECONDS = 120.0
STOP_SECONDS = 30.0
POLL_SECONDS = 0.005
FIRST_PORT, LAST_PORT = 20_000, 32_000
"""Below the ports that the system gives to clients: while the broker is down, a client that tries to reach a port out
of that range may by chance be given the very port as its own, reach itself, and keep the broker from coming back."""


class BrokerDied(Exception):
    """The broker ended though nobody killed it."""


class KilledBroker:
    """A broker that will be killed. `directory` is kept for who wants to look at it afterwards."""

    def __init__(self, contender: Contender, directory: Path, ledger: LedgerWriter) -> None:
        self.port = quiet_port()
        self.output = directory / "broker.log"
        self._contender = contender
        self._data = directory / "data"
        self._ledger = ledger
        self._process: subprocess.Popen[bytes] | None = None
        self._probes = 0
        ledger.write(Producer("probe", "probe"))

    def start(self) -> None:
        """Start the process, and do not wait for it."""
        assert self._process is None
        with self.output.open("ab") as output:
            self._process = subprocess.Popen(
                self._contender.at(self.port, str(self._data)),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    def wait_until_it_answers(self) -> None:
        """Wait until ApiVersions is answered. Raises BrokerDied."""
        self._wait_for(wire.api_versions)

    def wait_until_it_serves(self) -> None:
        """Wait until a record with acks=all has been acknowledged. Raises BrokerDied."""
        self._wait_for(self._probe)

    def _wait_for(self, ask: object) -> None:
        assert callable(ask)
        deadline = time.monotonic() + SERVING_SECONDS
        while True:
            self.check_alive()
            try:
                with WireClient(self.port, timeout=10.0) as client:
                    ask(client)
                return
            except (OSError, ProtocolError, wire.Refusal) as error:
                if time.monotonic() > deadline:
                    raise BrokerDied(f"the broker does not serve after {SERVING_SECONDS:g} s: {error}") from error
                time.sleep(POLL_SECONDS)

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

    def check_alive(self) -> None:
        """Raises BrokerDied with the last words of a broker that has ended by itself."""
        if self._process is not None and (status := self._process.poll()) is not None:
            self._process = None
            words = self.output.read_text(errors="replace")[-3000:]
            raise BrokerDied(f"the broker ended by itself with status {status}:\n{words}")

    def kill(self) -> None:
        """SIGKILL; returns when the process is gone. Raises BrokerDied when it was gone before."""
        self.check_alive()
        if self._process is not None:
            self._signal(signal.SIGKILL)
            self._process.wait()
            self._process = None

    def stop(self) -> None:
        """SIGTERM. Raises BrokerDied when that does not stop it."""
        self.check_alive()
        if self._process is None:
            return
        self._signal(signal.SIGTERM)
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
            raise BrokerDied(f"the broker does not stop within {STOP_SECONDS:g} s of SIGTERM") from None
        self._process = None

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, number)

    def tracebacks(self) -> list[str]:
        """Exceptions that the broker did not expect, out of what it printed: the last line of each."""
        lines = self.output.read_text(errors="replace").splitlines()
        return [line[:300] for line in lines if "Traceback (most recent call last)" in line]


def quiet_port() -> int:
    """A free port that no client will be given by chance, with the next one free too (Kafka's controller wants it)."""
    chance = random.SystemRandom()
    while True:
        port = chance.randrange(FIRST_PORT, LAST_PORT)
        with socket.socket() as first, socket.socket() as second, suppress(OSError):
            first.bind(("127.0.0.1", port))
            second.bind(("127.0.0.1", port + 1))
            return port
