"""One run: lanes and faults for so many operations, then everything is read once more, in peace."""

from __future__ import annotations

import itertools
import random
import threading
import time
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, Final

from confluent_kafka import Consumer, IsolationLevel, KafkaError, TopicPartition

from tools.trials.brokers import pause
from tools.trials.transaction_test.faults import Faults, Target
from tools.trials.transaction_test.history import HistoryWriter, Operation, read_history
from tools.trials.transaction_test.lanes import PARTITIONS, Keys, Lane, key_of, place_of, value_in

STABLE_SECONDS: Final = 60.0
READ_SECONDS: Final = 200.0
LANE_ENDS_SECONDS: Final = 30.0
SAY_SECONDS: Final = 10.0
# Its types are there, but not exported in a way that type checkers accept.
admin: Any = import_module("confluent_kafka.admin")


class Unfinished(Exception):
    """The run did not come to its end, which says what did not."""


def record(
    bootstrap: str, path: Path, *, operations: int, seconds: float, lanes: int, seed: int,
    targets: Sequence[Target], say: Callable[[str], None],
) -> Faults:  # fmt: skip
    """Write a history of so many operations, or fewer when the seconds are over; the faults that there were.

    `targets` are what has faults, if any are wanted. Raises Unfinished, BrokerFailed.
    """
    prefix = f"transaction-test-{seed}-{int(time.time())}"
    keys, history, until = Keys(prefix), HistoryWriter(path), threading.Event()
    create_topics(bootstrap, keys.topics)
    processes = itertools.count()
    chance = random.Random(seed)
    threads = [
        Lane(
            number, bootstrap, prefix, keys, history, random.Random(chance.randrange(1 << 32)),
            lambda: next(processes), until,
        )
        for number in range(lanes)
    ]  # fmt: skip
    faults = Faults(targets, random.Random(chance.randrange(1 << 32)), until, say)
    watch = threading.Thread(target=_watch, args=(history, operations, seconds, until, say), daemon=True)
    for thread in (*threads, watch):
        thread.start()
    try:
        if targets:
            faults.play()
        else:
            until.wait()
    finally:
        until.set()
    deadline = time.monotonic() + LANE_ENDS_SECONDS
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    # After a kill librdkafka's send_offsets_to_transaction may never return, whatever its time-out. Such a lane has not
    # asked for its commit: its transaction ends by time-out, so what it has sent is read by no lane.
    if stuck := sum(thread.is_alive() for thread in threads):
        say(f"{stuck} lanes are left behind: their clients do not return")
    say(f"{history.count:,} operations; now everything is read once more")
    used = keys.used()
    wait_until_stable(bootstrap, used)
    read_all(bootstrap, prefix, used, history, next(processes))
    history.close()
    return faults


def read_again(bootstrap: str, path: Path) -> None:
    """Read all keys of a history that was recorded before, and write it there too. Raises Unfinished."""
    known = read_history(path)
    keys = sorted({key for operation in known for key, _, _ in operation.sends})
    history = HistoryWriter(path, go_on=True)
    wait_until_stable(bootstrap, keys)
    read_all(bootstrap, path.name, keys, history, 1 + max(operation.process for operation in known))
    history.close()


def _watch(
    history: HistoryWriter, operations: int, seconds: float, until: threading.Event, say: Callable[[str], None]
) -> None:
    """Ask for the end when there is enough."""
    began = last = time.monotonic()
    while history.count < operations and time.monotonic() - began < seconds and not until.wait(0.1):
        if time.monotonic() - last > SAY_SECONDS:
            last = time.monotonic()
            say(f"{history.count:,} operations in {last - began:.0f} s")
    until.set()


def create_topics(bootstrap: str, names: Sequence[str]) -> None:
    """All topics at once. Raises KafkaException."""
    client = admin.AdminClient({"bootstrap.servers": bootstrap})
    for done in client.create_topics([admin.NewTopic(name, PARTITIONS, 1) for name in names]).values():
        done.result(60)


def ends(bootstrap: str, keys: Sequence[str], level: Any) -> dict[str, int]:
    """Where each log ends for readers of an isolation level. Raises KafkaException."""
    client = admin.AdminClient({"bootstrap.servers": bootstrap})
    asked = {place_of(key): admin.OffsetSpec.latest() for key in keys}
    return {
        key_of(place): done.result(30).offset
        for place, done in client.list_offsets(asked, isolation_level=level).items()
    }


def wait_until_stable(bootstrap: str, keys: Sequence[str]) -> None:
    """Until no transaction holds a reader back. Raises Unfinished: then one hangs."""
    deadline = time.monotonic() + STABLE_SECONDS
    while True:
        stable, high = (
            ends(bootstrap, keys, level) for level in (IsolationLevel.READ_COMMITTED, IsolationLevel.READ_UNCOMMITTED)
        )
        if stable == high:
            return
        if time.monotonic() > deadline:
            held = {key: (stable[key], high[key]) for key in keys if stable[key] != high[key]}
            raise Unfinished(f"after {STABLE_SECONDS:g} s transactions still hold readers back: {held}")
        pause(0.2)


def read_all(bootstrap: str, prefix: str, keys: Sequence[str], history: HistoryWriter, process: int) -> None:
    """Read every key from its start to its end, as one process. Raises Unfinished."""
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap, "group.id": f"{prefix}-last", "isolation.level": "read_committed",
            "enable.auto.commit": False, "auto.offset.reset": "error", "enable.partition.eof": True, "log_level": 0,
        }
    )  # fmt: skip
    consumer.assign([place_of(key, 0) for key in keys])
    history.write(Operation(process, "ok", "assign", positions=dict.fromkeys(keys, 0), lane=-1))
    left = set(keys)
    deadline = time.monotonic() + READ_SECONDS
    try:
        while left:
            if time.monotonic() > deadline:
                raise Unfinished(f"after {READ_SECONDS:g} s these are not read to their end: {sorted(left)[:10]}")
            operation = Operation(process, "ok", "poll", lane=-1, began=time.monotonic())
            for message in consumer.consume(500, 1.0):
                error = message.error()
                key = key_of(TopicPartition(message.topic() or "", message.partition() or 0))
                if error is None:
                    operation.polls.append((key, message.offset() or 0, value_in(key, message.value())))
                elif error.code() == KafkaError._PARTITION_EOF:
                    left.discard(key)
            operation.ended = time.monotonic()
            history.write(operation)
    finally:
        consumer.close()
