"""Records of a topic, read and searched over Fetch.

**Places.** Where reading stands is a mapping of partition to offset. Going back, from the newest on, a place is the end
(exclusive) of what has not been seen; going on, it is the next offset. A link to what comes next holds the places, so
the page keeps nothing between two requests.

**Windows.** Fetch reads forward only. Going back is reading a window of `WINDOW` offsets before the place, then the one
before that. Batches are as their producer made them: one that reaches into a window is read whole, and what lies
outside is dropped. Compaction leaves gaps, so a window may hold nothing.

**Bounds.** One request of the page looks at `MOST_SCANNED` records at most, and for `MOST_SECONDS`; then it shows what
it has found and a link to search on. Broken batches are passed over, and said to be there.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple

from kproto.batches.header import HEADER_SIZE, read_header
from kproto.batches.records import RecordData, build_batch, iter_records
from kproto.errors import KafkaError
from kproto.ids import TopicPartition
from kproto.messages.fetch import FetchPartition, FetchRequest, FetchTopic
from kproto.messages.produce import PartitionProduceData, ProduceRequest, TopicProduceData
from tools.client.cluster import EARLIEST, LATEST, Cluster, check

WINDOW: Final = 200
MOST_SCANNED: Final = 10_000
MOST_SECONDS: Final = 3.0
MOST_PARTITIONS: Final = 50
FETCHED_BYTES: Final = 4 << 20
BY_NAME: Final = 12
"""The newest version of Fetch and Produce that names topics by their names."""


class Message(NamedTuple):
    """A record and where it is."""

    partition: int
    record: RecordData
    is_transactional: bool


class Search(NamedTuple):
    """What is looked for: `text` in `where` (any, key, value, headers); an empty text is in everything."""

    text: str = ""
    where: str = "any"

    def finds(self, record: RecordData) -> bool:
        """Whether a record is one of those."""
        if not self.text:
            return True
        wanted = self.text.encode("utf-8", "surrogateescape")
        if self.where in ("any", "key") and wanted in (record.key or b""):
            return True
        if self.where in ("any", "value") and wanted in (record.value or b""):
            return True
        return self.where in ("any", "headers") and any(
            self.text in name or wanted in (value or b"") for name, value in record.headers
        )


class Found(NamedTuple):
    """Messages in the order in which they are shown, where to go on, and how far that was."""

    messages: Sequence[Message]
    places: Mapping[int, int]
    scanned: int
    is_end: bool
    broken: int


class Bounds(NamedTuple):
    """The offsets that a partition has: from `start` to before `end`."""

    start: int
    end: int


def bounds_of(cluster: Cluster, topic: str, partitions: Iterable[int]) -> dict[int, Bounds]:
    """The offsets that there are, of those partitions that have a leader."""
    places = [TopicPartition(topic, partition) for partition in partitions]
    starts = cluster.offsets(dict.fromkeys(places, EARLIEST))
    ends = cluster.offsets(dict.fromkeys(places, LATEST))
    found = {}
    for place in places:
        if not starts[place].error and not ends[place].error:
            found[place.partition] = Bounds(starts[place].offset, ends[place].offset)
    return found


def places_at(cluster: Cluster, topic: str, bounds: Mapping[int, Bounds], timestamp: int) -> dict[int, int]:
    """Where the first records no earlier than `timestamp`, in milliseconds, are; the end where there are none."""
    found = cluster.offsets({TopicPartition(topic, partition): timestamp for partition in bounds})
    return {
        place.partition: bounds[place.partition].end if at.error or at.offset < 0 else at.offset
        for place, at in found.items()
    }


def back(
    cluster: Cluster, topic: str, bounds: Mapping[int, Bounds], places: Mapping[int, int], search: Search, count: int
) -> Found:
    """The newest messages before `places`, newest first, `count` at most."""
    cursors = {partition: min(at, bounds[partition].end) for partition, at in places.items() if partition in bounds}
    kept: list[Message] = []
    scanned = broken = 0
    ends_at = time.monotonic() + MOST_SECONDS
    window = WINDOW if search.text else min(WINDOW, count)
    while scanned < MOST_SCANNED and len(kept) < count and time.monotonic() < ends_at:
        windows = {
            partition: (max(bounds[partition].start, at - window), at)
            for partition, at in cursors.items()
            if at > bounds[partition].start
        }
        if not windows:
            break
        read, errors = read_windows(cluster, topic, windows)
        broken += errors
        scanned += len(read)
        kept += [message for message in read if search.finds(message.record)]
        cursors |= {partition: start for partition, (start, _) in windows.items()}
    kept.sort(key=lambda message: (message.record.timestamp, message.partition, message.record.offset), reverse=True)
    for message in kept[count:]:  # not shown, so not seen: of its partition, nothing older has been either
        cursors[message.partition] = max(cursors[message.partition], message.record.offset + 1)
    is_end = all(at <= bounds[partition].start for partition, at in cursors.items())
    return Found(kept[:count], cursors, scanned, is_end, broken)


def on(
    cluster: Cluster, topic: str, bounds: Mapping[int, Bounds], places: Mapping[int, int], search: Search, count: int
) -> Found:
    """The next messages from `places` on, oldest first, `count` at most."""
    cursors = {partition: max(at, bounds[partition].start) for partition, at in places.items() if partition in bounds}
    kept: list[Message] = []
    scanned = broken = 0
    ends_at = time.monotonic() + MOST_SECONDS
    window = WINDOW if search.text else min(WINDOW, count)
    while scanned < MOST_SCANNED and len(kept) < count and time.monotonic() < ends_at:
        windows = {
            partition: (at, min(bounds[partition].end, at + window))
            for partition, at in cursors.items()
            if at < bounds[partition].end
        }
        if not windows:
            break
        read, errors = read_windows(cluster, topic, windows)
        broken += errors
        scanned += len(read)
        kept += [message for message in read if search.finds(message.record)]
        cursors |= {partition: end for partition, (_, end) in windows.items()}
    kept.sort(key=lambda message: (message.record.timestamp, message.partition, message.record.offset))
    for message in kept[count:]:
        cursors[message.partition] = min(cursors[message.partition], message.record.offset)
    is_end = all(at >= bounds[partition].end for partition, at in cursors.items())
    return Found(kept[:count], cursors, scanned, is_end, broken)


def read_windows(cluster: Cluster, topic: str, windows: Mapping[int, tuple[int, int]]) -> tuple[list[Message], int]:
    """The records from the first to before the second offset of each window, and how many batches cannot be read."""
    found: list[Message] = []
    broken = 0
    wanted = dict(windows)
    ends_at = time.monotonic() + MOST_SECONDS
    while wanted and time.monotonic() < ends_at:
        before = dict(wanted)
        led = cluster.leaders_of(TopicPartition(topic, partition) for partition in wanted)
        for node, places in led.items():
            if node == -1:
                for place in places:
                    del wanted[place.partition]
                continue
            request = FetchRequest(
                max_wait_ms=0,
                min_bytes=0,
                max_bytes=FETCHED_BYTES,
                topics=[
                    FetchTopic(
                        topic=topic,
                        partitions=[
                            FetchPartition(
                                partition=place.partition,
                                fetch_offset=wanted[place.partition][0],
                                partition_max_bytes=max(64 * 1024, FETCHED_BYTES // len(places)),
                            )
                            for place in places
                        ],
                    )
                ],
            )
            reply = cluster.ask(request, node=node, newest=BY_NAME)
            check(reply.error_code)
            for data in (data for each in reply.responses for data in each.partitions):
                check(data.error_code, what=f"{topic}-{data.partition_index}")
                start, end = wanted[data.partition_index]
                some, next_offset, errors = _records(data.partition_index, bytes(data.records or b""), start, end)
                found += some
                broken += errors
                if next_offset >= end:
                    del wanted[data.partition_index]
                else:
                    wanted[data.partition_index] = next_offset, end
        if wanted == before:
            break
    return found, broken


def _records(partition: int, data: bytes, start: int, end: int) -> tuple[list[Message], int, int]:
    """The records of fetched batches that lie in a window, the offset behind them, and how many are broken."""
    found: list[Message] = []
    view, position, next_offset, broken = memoryview(data), 0, start, 0
    while position + HEADER_SIZE <= len(view):
        try:
            header = read_header(view, position)
        except KafkaError:  # nothing behind it can be found
            return found, end, broken + 1
        if position + header.size > len(view):
            break  # the last batch of a reply may be cut
        if not header.is_control:
            try:
                found += [
                    Message(partition, record, header.is_transactional)
                    for record in iter_records(view[position : position + header.size])
                    if start <= record.offset < end
                ]
            except KafkaError:
                broken += 1
        next_offset = header.next_offset
        position += header.size
    return found, next_offset, broken


def produce(cluster: Cluster, topic: str, partition: int, record: RecordData) -> int:
    """Write one record with acks=all; its offset. Raises Refused."""
    batch = build_batch([record])
    part = PartitionProduceData(index=partition, records=memoryview(batch))
    request = ProduceRequest(
        acks=-1, timeout_ms=10_000, topic_data=[TopicProduceData(name=topic, partition_data=[part])]
    )
    ((node, _),) = cluster.leaders_of([TopicPartition(topic, partition)]).items()
    reply = cluster.ask(request, node=None if node == -1 else node, newest=BY_NAME)
    answer = reply.responses[0].partition_responses[0]
    check(answer.error_code, answer.error_message)
    offset: int = answer.base_offset
    return offset
