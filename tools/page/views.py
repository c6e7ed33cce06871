"""What the views show, asked of the cluster: frozen values, in the order in which they are shown.

Lists are paged here, and what costs a question for each entry is asked for the entries of the page alone.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Sequence
from typing import Any, Final, Generic, NamedTuple, TypeVar

from kproto.errors import ErrorCode
from kproto.ids import TopicPartition
from kproto.messages.describe_log_dirs import DescribableLogDirTopic, DescribeLogDirsRequest
from kproto.messages.describe_transactions import DescribeTransactionsRequest
from kproto.messages.find_coordinator import FindCoordinatorRequest
from kproto.messages.list_transactions import ListTransactionsRequest
from kproto.messages.offset_fetch import OffsetFetchRequest, OffsetFetchRequestGroup
from tools.client.cluster import EARLIEST, LATEST, TRANSACTION, Cluster, Refused, check
from tools.client.groups import BY_NAME, list_groups, log_ends
from tools.failures import Failed

T = TypeVar("T")

PAGE: Final = 100
GROUPS_PAGE: Final = 50
COUNTED_PARTITIONS: Final = 5_000
FRESH_SECONDS: Final = 3.0


class Page(NamedTuple, Generic[T]):
    """Some of a list: `number` counts from 1, `found` is how many there are in all."""

    entries: Sequence[T]
    number: int
    pages: int
    found: int


def page_of(entries: Sequence[T], number: int, size: int = PAGE) -> Page[T]:
    """The page of this number, or the nearest that there is."""
    pages = max(1, -(-len(entries) // size))
    number = min(max(1, number), pages)
    return Page(entries[(number - 1) * size : number * size], number, pages, len(entries))


class TopicName(NamedTuple):
    """A topic as it is listed."""

    name: str
    partitions: int
    internal: bool
    error: int


class TopicRow(NamedTuple):
    """The same with what the page of the list shows beside it; None where that is not known."""

    topic: TopicName
    records: int | None
    bytes: int | None


class PartitionRow(NamedTuple):
    """A partition."""

    partition: int
    leader: int
    replicas: Sequence[int]
    in_sync: Sequence[int]
    start: int | None
    end: int | None
    bytes: int | None


class GroupLag(NamedTuple):
    """What a group has committed for a partition, and where that ends; -1 where there is nothing."""

    place: TopicPartition
    committed: int
    end: int | None

    @property
    def lag(self) -> int | None:
        """Records between the two."""
        return None if self.end is None or self.committed < 0 else max(0, self.end - self.committed)


class Transaction(NamedTuple):
    """A transactional id as it is listed."""

    id: str
    state: str
    producer_id: int
    coordinator: int


class Topics:
    """The list of all topics, asked for again when it is older than `FRESH_SECONDS`."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._at = float("-inf")
        self._names: list[TopicName] = []

    def all(self, cluster: Cluster) -> list[TopicName]:
        """By name."""
        with self._lock:
            if time.monotonic() - self._at > FRESH_SECONDS:
                self._names = sorted(
                    TopicName(topic.name, len(topic.partitions), topic.is_internal, topic.error_code)
                    for topic in cluster.metadata().topics
                )
                self._at = time.monotonic()
            return self._names

    def forget(self) -> None:
        """The list has changed."""
        self._at = float("-inf")


def rows_of(cluster: Cluster, topics: Sequence[TopicName]) -> list[TopicRow]:
    """What is shown of these topics beside their names."""
    sizes = sizes_of(cluster, topics)
    counts: dict[str, int] = {}
    asked = [topic for topic in topics if not topic.error]
    if sum(topic.partitions for topic in asked) <= COUNTED_PARTITIONS:
        places = [TopicPartition(topic.name, index) for topic in asked for index in range(topic.partitions)]
        starts = cluster.offsets(dict.fromkeys(places, EARLIEST))
        ends = cluster.offsets(dict.fromkeys(places, LATEST))
        for place in places:
            counts[place.topic] = counts.get(place.topic, 0) + max(0, ends[place].offset - starts[place].offset)
    return [TopicRow(topic, counts.get(topic.name), sizes.get(topic.name)) for topic in topics]


def sizes_of(cluster: Cluster, topics: Sequence[TopicName]) -> dict[str, int]:
    """Bytes of each topic, on its leaders and followers together; nothing where that must not be asked."""
    found: dict[str, int] = {}
    for (topic, _), size in partition_sizes(cluster, topics).items():
        found[topic] = found.get(topic, 0) + size
    return found


def partition_sizes(cluster: Cluster, topics: Sequence[TopicName]) -> dict[TopicPartition, int]:
    """Bytes of each partition, all its copies together."""
    asked = [
        DescribableLogDirTopic(topic=topic.name, partitions=list(range(topic.partitions)))
        for topic in topics
        if not topic.error
    ]
    found: dict[TopicPartition, int] = {}
    try:
        replies = cluster.ask_all(DescribeLogDirsRequest(topics=asked)) if asked else {}
    except Failed:
        return {}
    for reply in replies.values():
        for directory in reply.results:
            for topic in directory.topics:
                for each in topic.partitions:
                    place = TopicPartition(topic.name, each.partition_index)
                    found[place] = found.get(place, 0) + each.partition_size
    return found


def partition_rows(cluster: Cluster, topic: TopicName, described: Any, number: int) -> Page[PartitionRow]:
    """A page of a topic's partitions. `described` is what Metadata says of the topic."""
    page = page_of(sorted(described.partitions, key=lambda each: each.partition_index), number)
    places = [TopicPartition(topic.name, each.partition_index) for each in page.entries]
    starts = cluster.offsets(dict.fromkeys(places, EARLIEST))
    ends = cluster.offsets(dict.fromkeys(places, LATEST))
    sizes = partition_sizes(cluster, [topic])
    rows = [
        PartitionRow(
            each.partition_index,
            each.leader_id,
            each.replica_nodes,
            each.isr_nodes,
            None if starts[place].error else starts[place].offset,
            None if ends[place].error else ends[place].offset,
            sizes.get(place),
        )
        for place, each in zip(places, page.entries, strict=True)
    ]
    return Page(rows, page.number, page.pages, page.found)


def all_groups(cluster: Cluster, text: str) -> list[Any]:
    """The groups whose ids have `text` in them."""
    return [group for group in list_groups(cluster) if text.lower() in group.id.lower()]


def committed_by(cluster: Cluster, groups: Sequence[str]) -> dict[str, dict[TopicPartition, int]]:
    """What each of these groups has committed; a group that must not be read is left out."""
    if not groups:
        return {}
    if cluster.newest(OffsetFetchRequest) < 8 or cluster.newest(FindCoordinatorRequest) < 4:
        from tools.client.groups import committed_offsets

        return {
            group: {place: each.offset for place, each in committed_offsets(cluster, group).items()} for group in groups
        }
    reply = cluster.settled(
        lambda: cluster.ask(FindCoordinatorRequest(key_type=0, coordinator_keys=list(groups))),
        lambda found: next((each.error_code for each in found.coordinators if each.error_code), 0),
    )
    by_node: dict[int, list[str]] = {}
    for each in reply.coordinators:
        if not each.error_code:
            by_node.setdefault(each.node_id, []).append(each.key)
    found: dict[str, dict[TopicPartition, int]] = {}
    for node, ids in by_node.items():
        request = OffsetFetchRequest(groups=[OffsetFetchRequestGroup(group_id=group, topics=None) for group in ids])
        for group in cluster.ask(request, node=node, newest=BY_NAME).groups:
            if not group.error_code:
                found[group.group_id] = {
                    TopicPartition(topic.name, each.partition_index): each.committed_offset
                    for topic in group.topics
                    for each in topic.partitions
                }
    return found


def lags_of(cluster: Cluster, groups: Sequence[str]) -> dict[str, list[GroupLag]]:
    """Each group's offsets beside the ends of their partitions, by topic and partition."""
    committed = committed_by(cluster, groups)
    ends = log_ends(cluster, {place for each in committed.values() for place in each})
    return {
        group: [GroupLag(place, offset, ends.get(place)) for place, offset in sorted(offsets.items())]
        for group, offsets in committed.items()
    }


def with_assigned(cluster: Cluster, lags: Sequence[GroupLag], assigned: Iterable[TopicPartition]) -> list[GroupLag]:
    """The same, and the partitions that members read without having committed anything yet."""
    missing = set(assigned) - {each.place for each in lags}
    ends = log_ends(cluster, missing)
    return sorted([*lags, *(GroupLag(place, -1, ends.get(place)) for place in missing)])


def total_lag(lags: Iterable[GroupLag]) -> int:
    """Of all partitions whose end is known."""
    return sum(each.lag or 0 for each in lags)


def transactions(cluster: Cluster, text: str) -> list[Transaction]:
    """The transactional ids that have `text` in them, of all brokers."""
    found = []
    for node, reply in cluster.ask_all(ListTransactionsRequest()).items():
        check(reply.error_code)
        found += [
            Transaction(each.transactional_id, each.transaction_state, each.producer_id, node)
            for each in reply.transaction_states
            if text.lower() in each.transactional_id.lower()
        ]
    return sorted(found)


def transaction(cluster: Cluster, transactional_id: str) -> Any:
    """One of them, as DescribeTransactions says. Raises Refused."""
    reply = cluster.ask_coordinator(
        transactional_id,
        DescribeTransactionsRequest(transactional_ids=[transactional_id]),
        lambda reply: reply.transaction_states[0].error_code,
        kind=TRANSACTION,
    )
    found = reply.transaction_states[0]
    check(found.error_code)
    return found


def described_topic(cluster: Cluster, name: str) -> Any:
    """What Metadata says of one topic. Raises Refused."""
    (found,) = cluster.metadata([name]).topics
    if found.error_code == ErrorCode.UNKNOWN_TOPIC_OR_PARTITION:
        raise Refused(found.error_code, f"there is no topic {name}")
    check(found.error_code)
    return found
