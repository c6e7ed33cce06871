"""DescribeTopicPartitions, as Kafka answers it: pages of topics, cursors, limits."""

from __future__ import annotations

from broker.coordinators.cluster import NewTopic
from broker.testing.contexts import World, world
from kproto.errors import ErrorCode
from kproto.messages.describe_topic_partitions import (
    Cursor,
    DescribeTopicPartitionsRequest,
    DescribeTopicPartitionsResponse,
    TopicRequest,
)


async def populate(w: World) -> None:
    await w.cluster.create_topics([NewTopic("b", 3, 1), NewTopic("a", 2, 1), NewTopic("c", 1, 1)])


async def ask(
    w: World, *names: str, limit: int = 2000, cursor: tuple[str, int] | None = None
) -> DescribeTopicPartitionsResponse:
    response: DescribeTopicPartitionsResponse = await w.ask(
        DescribeTopicPartitionsRequest(
            topics=[TopicRequest(name=name) for name in names],
            response_partition_limit=limit,
            cursor=None if cursor is None else Cursor(topic_name=cursor[0], partition_index=cursor[1]),
        ),
        0,
    )
    return response


def described(response: DescribeTopicPartitionsResponse) -> list[tuple[str | None, int, list[int]]]:
    return [
        (topic.name, topic.error_code, [part.partition_index for part in topic.partitions]) for topic in response.topics
    ]


async def test_topics_are_described_sorted_and_once() -> None:
    """Unknown ones are 3, impossible ones 17; operations are in every answer."""
    async with world() as w:
        await populate(w)
        response = await ask(w, "b", "a", "zz", "b ad", "a")
        assert described(response) == [
            ("a", 0, [0, 1]),
            ("b", 0, [0, 1, 2]),
            ("b ad", ErrorCode.INVALID_TOPIC_EXCEPTION, []),
            ("zz", ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, []),
        ]
        assert {topic.topic_authorized_operations for topic in response.topics} == {3576}
        assert response.topics[0].topic_id == w.cluster.image.topics["a"].topic_id
        assert response.next_cursor is None
        partition = response.topics[0].partitions[0]
        assert (partition.leader_id, partition.leader_epoch) == (1, 0)
        assert partition.replica_nodes == partition.isr_nodes == [1]
        assert (partition.eligible_leader_replicas, partition.last_known_elr) == ([], [])


async def test_no_topics_named_means_all() -> None:
    """This is how describeTopics reads a large cluster."""
    async with world() as w:
        await populate(w)
        assert [name for name, _, _ in described(await ask(w))] == ["a", "b", "c"]


async def test_pages_follow_each_other_until_nothing_is_left() -> None:
    """Every partition once, no page above the limit."""
    async with world() as w:
        await populate(w)
        for limit in range(1, 8):
            seen: list[tuple[str | None, int]] = []
            cursor: tuple[str, int] | None = None
            while True:
                response = await ask(w, limit=limit, cursor=cursor)
                page = [(name, index) for name, _, indexes in described(response) for index in indexes]
                assert 0 < len(page) <= limit
                seen += page
                if response.next_cursor is None:
                    break
                cursor = (response.next_cursor.topic_name, response.next_cursor.partition_index)
            assert seen == [("a", 0), ("a", 1), ("b", 0), ("b", 1), ("b", 2), ("c", 0)]


async def test_a_limit_below_one_is_one() -> None:
    """As Kafka, so that a client always gets on."""
    async with world() as w:
        await populate(w)
        for limit in (0, -1):
            assert described(await ask(w, limit=limit)) == [("a", 0, [0])]


async def test_the_brokers_limit_counts_too() -> None:
    """max.request.partition.size.limit."""
    async with world({"max.request.partition.size.limit": "2"}) as w:
        await populate(w)
        response = await ask(w)
        assert described(response) == [("a", 0, [0, 1])]
        assert response.next_cursor == Cursor(topic_name="b", partition_index=0)


async def test_a_cursor_must_lie_in_a_topic_asked_for() -> None:
    """INVALID_REQUEST on each topic otherwise, and for a partition below 0; beyond the last is just past it."""
    async with world() as w:
        await populate(w)
        refused: list[tuple[str | None, int, list[int]]] = [
            ("a", ErrorCode.INVALID_REQUEST, []),
            ("b", ErrorCode.INVALID_REQUEST, []),
        ]
        assert described(await ask(w, "a", "b", cursor=("aa", 0))) == refused
        assert described(await ask(w, "a", "b", cursor=("a", -1))) == refused
        assert described(await ask(w, "a", "b", cursor=("a", 7))) == [("a", 0, []), ("b", 0, [0, 1, 2])]
        assert described(await ask(w, cursor=("aa", 7))) == [("b", 0, [0, 1, 2]), ("c", 0, [0])]
