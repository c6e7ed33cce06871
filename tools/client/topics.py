"""Topics as a client sees them: which there are, and where each partition lives."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from kproto.errors import ErrorCode
from kproto.ids import format_uuid
from kproto.messages.describe_topic_partitions import Cursor, DescribeTopicPartitionsRequest, TopicRequest
from tools.client.cluster import Cluster, Refused, check


class PartitionPlace(NamedTuple):
    """Where one partition lives; nodes by their ids. `leader` is None if there is none, the two lists of eligible
    leaders (KIP-966) are if the broker does not know of them."""

    partition: int
    leader: int | None
    replicas: list[int]
    isr: list[int]
    elr: list[int] | None
    last_known_elr: list[int] | None


class DescribedTopic(NamedTuple):
    """A topic."""

    name: str
    id: str
    internal: bool
    partitions: list[PartitionPlace]

    @property
    def replication_factor(self) -> int:
        """Of its first partition, as Kafka counts."""
        return len(self.partitions[0].replicas) if self.partitions else 0


def topic_names(cluster: Cluster, *, internal: bool = True) -> list[str]:
    """All topics that the user may see, by name."""
    topics = cluster.metadata().topics
    return sorted(topic.name for topic in topics if not topic.error_code and (internal or not topic.is_internal))


def matching(cluster: Cluster, wanted: Iterable[str], *, internal: bool = True) -> list[str]:
    """The topics that `wanted` names: each word is a name, or, if no topic is called so, a regular expression for whole
    names, as in Kafka's tools. Raises Refused for a word without any."""
    every = topic_names(cluster, internal=internal)
    found: set[str] = set()
    for word in wanted:
        names = {word} & set(every) or {name for name in every if _matches(word, name)}
        if not names:
            raise Refused(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, f"Topic '{word}' does not exist as expected")
        found |= names
    return sorted(found)


def _matches(pattern: str, name: str) -> bool:
    try:
        return re.fullmatch(pattern, name) is not None
    except re.error:
        return False


def describe_topics(cluster: Cluster, names: Sequence[str]) -> list[DescribedTopic]:
    """What is known of these topics, in order of their names. Raises Refused."""
    if not cluster.serves(DescribeTopicPartitionsRequest):
        return _from_metadata(cluster, names)
    described: dict[str, DescribedTopic] = {}
    cursor: Cursor | None = None
    while True:
        asked = [TopicRequest(name=name) for name in sorted(names) if cursor is None or name >= cursor.topic_name]
        reply = cluster.ask(DescribeTopicPartitionsRequest(topics=asked, cursor=cursor))
        for topic in reply.topics:
            check(topic.error_code, what=f"topic {topic.name}")
            partitions = [
                PartitionPlace(
                    each.partition_index,
                    None if each.leader_id < 0 else each.leader_id,
                    list(each.replica_nodes),
                    list(each.isr_nodes),
                    None if each.eligible_leader_replicas is None else list(each.eligible_leader_replicas),
                    None if each.last_known_elr is None else list(each.last_known_elr),
                )
                for each in topic.partitions
            ]
            known = described.get(topic.name)
            if known is not None:
                known.partitions.extend(partitions)
            else:
                described[topic.name] = DescribedTopic(
                    topic.name, format_uuid(topic.topic_id), topic.is_internal, partitions
                )
        cursor = reply.next_cursor
        if cursor is None:
            return sorted(described.values())


def _from_metadata(cluster: Cluster, names: Sequence[str]) -> list[DescribedTopic]:
    """The same from brokers before Kafka 3.8."""
    found = []
    for topic in cluster.metadata(names).topics:
        check(topic.error_code, what=f"topic {topic.name}")
        places = [
            PartitionPlace(
                each.partition_index,
                None if each.leader_id < 0 else each.leader_id,
                list(each.replica_nodes),
                list(each.isr_nodes),
                None,
                None,
            )
            for each in topic.partitions
        ]
        found.append(DescribedTopic(topic.name, format_uuid(topic.topic_id), topic.is_internal, sorted(places)))
    return sorted(found)
