"""The load: a process of its own that outlives every broker.

    python -m tools.trials.kill_test.load --port PORT --ledger FILE

It prints `ready` when all clients have been started. A line on standard input with a number asks it to end: it goes on
until so many records have been acknowledged (but not forever), has every producer finish, lets the consumers come to
the end of every log, and exits. When standard input ends without such a line the test is gone, and so is the load.
"""

from __future__ import annotations

import argparse
import os
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from kproto.errors import ProtocolError
from kproto.ids import TopicPartition
from tools.trials.kill_test.administrator import Administrator
from tools.trials.kill_test.clients import ClientProducer, GroupMember, Progress
from tools.trials.kill_test.ledger import CommitAcknowledged, CommittedSeen, Complaint, EndSeen, LedgerWriter
from tools.trials.kill_test.wire_producers import (
    IdempotentWireProducer,
    SingleAttemptProducer,
    WireProducer,
)
from tools.trials.kill_test.workload import PLACES, PLAIN, READERS, ROLLING, SIMPLE, SIMPLE_PLACE
from tools.trials.wire import requests as wire
from tools.trials.wire.client import WireClient

CLIENT_PRODUCERS = (
    ("idempotent-0", "idempotent"),
    ("idempotent-1", "idempotent"),
    ("acks-all-0", "acks-all"),
    ("acks-1-0", "acks-1"),
    ("acks-0-0", "acks-0"),
)
WIRE_PRODUCERS: tuple[tuple[str, str, type[WireProducer], TopicPartition], ...] = (
    ("wire-0", "wire-idempotent", IdempotentWireProducer, TopicPartition(PLAIN, 0)),
    ("wire-1", "wire-idempotent", IdempotentWireProducer, TopicPartition(ROLLING, 0)),
    ("wire-2", "wire-idempotent", IdempotentWireProducer, TopicPartition(ROLLING, 1)),
    ("single-0", "wire-single-attempt", SingleAttemptProducer, TopicPartition(PLAIN, 1)),
    ("single-1", "wire-single-attempt", SingleAttemptProducer, TopicPartition(ROLLING, 0)),
)
MEMBERS = 2

OBSERVE_SECONDS = 0.05
RECONNECT_SECONDS = 0.02
MORE_SECONDS = 120.0
"""How long the load goes on for the sake of the number of records it was asked for."""

CATCH_UP_SECONDS = 60.0


class Observer(threading.Thread):
    """Asks for the end of every log and for committed offsets, and commits for a group that has no members."""

    def __init__(self, port: int, ledger: LedgerWriter, until: threading.Event) -> None:
        super().__init__(name="observer", daemon=True)
        self._port = port
        self._ledger = ledger
        self._until = until
        self._next = 0

    def run(self) -> None:
        """Observe until the end is asked for."""
        while not self._until.is_set():
            try:
                with WireClient(self._port) as client:
                    while not self._until.is_set():
                        self.look(client)
                        self._commit_some(client)
                        self._until.wait(OBSERVE_SECONDS)
            except (OSError, ProtocolError, wire.Refusal):
                time.sleep(RECONNECT_SECONDS)

    def look(self, client: WireClient) -> dict[TopicPartition, int]:
        """Ask once, and write down what was answered; returns the ends."""
        asked = time.monotonic()
        ends = wire.log_offsets(client, PLACES, wire.LATEST)
        answered = time.monotonic()
        self._ledger.write(*(EndSeen(*place, end, asked, answered) for place, end in ends.items()))
        asked = time.monotonic()
        committed = wire.committed_offsets(client, (READERS, SIMPLE))
        answered = time.monotonic()
        for group, offsets in committed.items():
            # A partition that is not in the answer has no committed offset, which is what -1 says elsewhere.
            places = PLACES if group == READERS else (SIMPLE_PLACE,)
            self._ledger.write(
                *(CommittedSeen(group, *place, offsets.get(place, -1), asked, answered) for place in places)
            )
        return ends

    def _commit_some(self, client: WireClient) -> None:
        """A few commits one after the other, each one more than the last, whatever became of that."""
        for _ in range(5):
            self._next += 1
            asked = time.monotonic()
            wire.commit_offset(client, SIMPLE, SIMPLE_PLACE, self._next)
            answered = time.monotonic()
            self._ledger.write(CommitAcknowledged(SIMPLE, *SIMPLE_PLACE, self._next, asked, answered))


class Load:
    """Everything that runs, and its end."""

    def __init__(self, port: int, ledger: LedgerWriter, records_per_second: float) -> None:
        self._port = port
        self._ledger = ledger
        self._no_more, self._all_read = threading.Event(), threading.Event()
        share = records_per_second / (len(CLIENT_PRODUCERS) + len(WIRE_PRODUCERS))
        self._producers: list[threading.Thread] = [
            ClientProducer(name, kind, PLACES, port, ledger, self._no_more, share) for name, kind in CLIENT_PRODUCERS
        ]
        self._producers += [
            type_(name, kind, place, port, ledger, self._no_more, share) for name, kind, type_, place in WIRE_PRODUCERS
        ]
        self._progress = Progress()
        self._observer = Observer(port, ledger, self._all_read)
        self._administrator = Administrator(port, ledger, self._all_read)
        self._consumers = [
            GroupMember(f"reader-{n}", READERS, (PLAIN, ROLLING), port, ledger, self._all_read, self._progress)
            for n in range(MEMBERS)
        ]

    def start(self) -> None:
        """Start every client."""
        for thread in (*self._producers, *self._consumers, self._observer, self._administrator):
            thread.start()

    def finish(self, records: int) -> None:
        """Come to an end, with at least `records` acknowledged if that is to be had."""
        deadline = time.monotonic() + MORE_SECONDS
        while self._ledger.acknowledged_records < records and time.monotonic() < deadline:
            time.sleep(0.05)
        self._no_more.set()
        for thread in self._producers:
            thread.join()
        self._let_consumers_catch_up()
        self._all_read.set()
        for thread in (*self._consumers, self._observer, self._administrator):
            thread.join(CATCH_UP_SECONDS)
            if thread.is_alive():
                self._ledger.write(Complaint(thread.name, "does not come to an end"))
        with WireClient(self._port) as client:
            self._observer.look(client)

    def _let_consumers_catch_up(self) -> None:
        with WireClient(self._port) as client:
            ends = wire.log_offsets(client, PLACES, wire.LATEST)
        deadline = time.monotonic() + CATCH_UP_SECONDS
        while behind := self._progress.behind(ends):
            if time.monotonic() > deadline:
                left = {f"{place.topic}-{place.partition}": count for place, count in behind.items()}
                self._ledger.write(Complaint(READERS, f"after {CATCH_UP_SECONDS:g} s records are left to read: {left}"))
                return
            time.sleep(0.05)


def main(arguments: Sequence[str]) -> int:
    """Run the load; the exit status is 0 when it came to its end."""
    parser = argparse.ArgumentParser(prog="python -m tools.trials.kill_test.load")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--ledger", type=Path, required=True)
    parser.add_argument("--rate", type=float, required=True, help="records per second, all producers together")
    options = parser.parse_args(arguments)
    ledger = LedgerWriter(options.ledger)
    load = Load(options.port, ledger, options.rate)
    load.start()
    print("ready", flush=True)
    words = sys.stdin.readline()
    if not words:
        os._exit(1)  # threads that wait for a broker which is gone would hold up everything else
    load.finish(int(words))
    ledger.close()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
