"""`python -m tools.trials bench recovery`: how long a start takes after SIGKILL, with much to check and with little.

So many gigabytes in batches of sixteen 1,000-byte records are produced, acks=1, over so many partitions. Then
the broker is killed, and the recovery points that it may have written meanwhile are removed, so that all of it counts
as never synced, however long the writing took. Everything is in the page cache. The start that follows has to check
every byte. It is killed again after its first checkpoint and a batch more in each of a few logs: the case with little
to check. In the end every partition is asked where it ends.

The machine needs memory for all of it: a start that reads from the disk measures the disk.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from kproto.batches.records import RecordData, build_batch
from kproto.messages.create_topics import CreatableTopic, CreateTopicsRequest
from kproto.messages.list_offsets import ListOffsetsPartition, ListOffsetsRequest, ListOffsetsTopic
from kproto.messages.produce import PartitionProduceData, ProduceRequest, TopicProduceData
from storage.local import dirty_logs
from storage.local.checkpoints import RECOVERY_POINTS
from tools.trials.benchmark.brokers import BrokerProcess
from tools.trials.benchmark.load import CREATE_VERSION, LIST_OFFSETS_VERSION, PRODUCE_VERSION
from tools.trials.benchmark.partitions import Report, read_frame
from tools.trials.brokers import ottla, pause
from tools.trials.wire.client import WireClient

TOPIC = "recovery"
RECORDS = 16
RECORD_BYTES = 1000
BATCHES_PER_REQUEST = 40
IN_FLIGHT = 8
FEW = 20
CHECKPOINTED_SECONDS = 150


def main(arguments: Sequence[str]) -> int:
    """Measure and print; 1 if a target is missed."""
    parser = argparse.ArgumentParser(prog="python -m tools.trials bench recovery", description=__doc__)
    parser.add_argument("--gib", type=float, default=10.0, help="GiB to recover (default 10)")
    parser.add_argument("--partitions", type=int, default=1000, help="over so many partitions (default 1000)")
    parser.add_argument("--skip-little", action="store_true", help="leave out the case with little to check")
    options = parser.parse_args(arguments)
    from tools.trials.benchmark.command import machine

    print(machine())
    batches = f"batches of {RECORDS} records of {RECORD_BYTES} bytes"
    print(f"{options.gib:g} GiB in {batches}, {options.partitions} partitions")
    report = Report()
    with BrokerProcess(ottla("ottla.log.format=json")) as broker:
        ends = fill(broker, options.partitions, int(options.gib * (1 << 30)), report)
        broker.kill()
        for name in (RECOVERY_POINTS, dirty_logs.NAME):
            (Path(broker.data) / name).unlink(missing_ok=True)
        report.tell("restart after SIGKILL", broker.start(), "s", 10)
        tell_checked(broker, report)
        assert ends_of(broker, options.partitions) == ends, "the logs end elsewhere"
        if not options.skip_little:
            until_checkpointed(broker)
            few = min(FEW, options.partitions)
            produce(broker, range(few), 1)
            broker.kill()
            report.tell("restart after SIGKILL, one batch in each of a few logs", broker.start(), "s", 0.5)
            tell_checked(broker, report)
            grown = [end + RECORDS * (number < few) for number, end in enumerate(ends)]
            assert ends_of(broker, options.partitions) == grown, "the logs end elsewhere"
        print("  every partition ends where it did")
    return 1 if report.missed else 0


def fill(broker: BrokerProcess, partitions: int, size: int, report: Report) -> list[int]:
    """Produce `size` bytes; where each partition ends then."""
    with WireClient(broker.port) as client:
        topic = CreatableTopic(name=TOPIC, num_partitions=partitions, replication_factor=1)
        reply: Any = client.call(CreateTopicsRequest(topics=[topic], timeout_ms=60_000), CREATE_VERSION)
        assert reply.topics[0].error_code == 0, reply
    batches = max(1, size // (partitions * len(one_batch())))
    began = time.perf_counter()
    produce(broker, range(partitions), batches)
    report.tell(f"producing {batches} batches to each", time.perf_counter() - began, "s")
    return [batches * RECORDS] * partitions


def one_batch() -> bytes:
    """Sixteen records."""
    now = int(time.time() * 1000)
    return bytes(build_batch([RecordData(index, now, None, bytes(RECORD_BYTES), ()) for index in range(RECORDS)]))


def produce(broker: BrokerProcess, partitions: range, batches: int) -> None:
    """So many batches to each partition, acks=1, several partitions in a request."""
    batch = one_batch()
    with WireClient(broker.port, timeout=300) as client:
        requests = []
        for first in range(0, len(partitions), BATCHES_PER_REQUEST):
            part = partitions[first : first + BATCHES_PER_REQUEST]
            data = [PartitionProduceData(index=index, records=batch) for index in part]
            request = ProduceRequest(
                acks=1, timeout_ms=30_000, topic_data=[TopicProduceData(name=TOPIC, partition_data=data)]
            )
            requests.append(client.encode(request, PRODUCE_VERSION, expect_reply=False))
        waiting = 0
        for _ in range(batches):
            for encoded in requests:
                if waiting == IN_FLIGHT:
                    read_frame(client)
                    waiting -= 1
                client.socket.sendall(encoded)
                waiting += 1
        for _ in range(waiting):
            read_frame(client)


def ends_of(broker: BrokerProcess, partitions: int) -> list[int]:
    """Where each partition ends."""
    asked = [ListOffsetsPartition(partition_index=index, timestamp=-1) for index in range(partitions)]
    request = ListOffsetsRequest(replica_id=-1, topics=[ListOffsetsTopic(name=TOPIC, partitions=asked)])
    with WireClient(broker.port, timeout=120) as client:
        reply: Any = client.call(request, LIST_OFFSETS_VERSION)
    assert {part.error_code for part in reply.topics[0].partitions} == {0}
    return [part.offset for part in sorted(reply.topics[0].partitions, key=lambda part: int(part.partition_index))]


def tell_checked(broker: BrokerProcess, report: Report) -> None:
    """What the broker itself says of its last recovery, and what the start took of the processors."""
    said = [json.loads(line) for line in broker.log.read_text().splitlines() if '"recovered"' in line][-1]
    report.tell("  of that: recovery, by the broker's log", said["millis"] / 1000, "s")
    report.tell("  logs looked at", said["logs"], "")
    report.tell("  checked", said["checked_mb"], "MB")
    report.tell("  CPU time of the start", broker.cpu_seconds(), "s")


def until_checkpointed(broker: BrokerProcess) -> None:
    """Wait until the broker has noted that everything is synced: about a minute."""
    path = Path(broker.data) / RECOVERY_POINTS
    deadline = time.monotonic() + CHECKPOINTED_SECONDS
    before = path.read_bytes() if path.exists() else b""
    while not path.exists() or path.read_bytes() == before:
        if time.monotonic() > deadline:
            raise TimeoutError("no checkpoint in two minutes and a half")
        pause(1.0)
    pause(1.0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
