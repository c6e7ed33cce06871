"""ElectLeaders: on one node every partition has its leader."""

from __future__ import annotations

import pytest

from broker.coordinators.cluster import NewTopic
from broker.testing.contexts import World, versions_of, world
from kproto.errors import ErrorCode
from kproto.messages.elect_leaders import ElectLeadersRequest, ElectLeadersResponse, TopicPartitions

VERSIONS = versions_of(ElectLeadersRequest)
NEWEST = VERSIONS[-1]


def of(*partitions: int, topic: str = "t") -> list[TopicPartitions]:
    return [TopicPartitions(topic=topic, partitions=list(partitions))]


async def elect(w: World, request: ElectLeadersRequest, version: int = NEWEST) -> ElectLeadersResponse:
    reply: ElectLeadersResponse = await w.ask(request, version)
    return reply


def codes(reply: ElectLeadersResponse) -> list[tuple[str, int, ErrorCode]]:
    return [
        (topic.topic, part.partition_id, ErrorCode(part.error_code))
        for topic in reply.replica_election_results
        for part in topic.partition_result
    ]


@pytest.mark.parametrize("version", VERSIONS)
async def test_an_election_is_never_needed(version: int) -> None:
    """What is not there cannot be elected for."""
    async with world() as w:
        await w.cluster.create_topics([NewTopic("t")])
        reply = await elect(w, ElectLeadersRequest(topic_partitions=of(0, 1, -1) + of(0, topic="u")), version)
        unknown = ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
        assert codes(reply) == [
            ("t", 0, ErrorCode.ELECTION_NOT_NEEDED), ("t", 1, unknown), ("t", -1, unknown), ("u", 0, unknown),
        ]  # fmt: skip
        assert reply.error_code == 0


async def test_neither_is_an_unclean_one() -> None:
    """There is no other replica, in sync or not."""
    async with world() as w:
        await w.cluster.create_topics([NewTopic("t")])
        reply = await elect(w, ElectLeadersRequest(topic_partitions=of(0), election_type=1))
        assert codes(reply) == [("t", 0, ErrorCode.ELECTION_NOT_NEEDED)]


@pytest.mark.parametrize("version", VERSIONS)
async def test_of_all_partitions_those_that_need_none_are_left_out(version: int) -> None:
    """So a tool that asks for all prints nothing."""
    async with world() as w:
        await w.cluster.create_topics([NewTopic("t"), NewTopic("u")])
        reply = await elect(w, ElectLeadersRequest(topic_partitions=None), version)
        assert {topic.topic for topic in reply.replica_election_results} == {"t", "u"}
        assert codes(reply) == []


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"election_type": 2}, ErrorCode.INVALID_REQUEST),
        ({"election_type": -1}, ErrorCode.INVALID_REQUEST),
        ({"timeout_ms": 0}, ErrorCode.REQUEST_TIMED_OUT),
        ({"timeout_ms": -1}, ErrorCode.REQUEST_TIMED_OUT),
    ],
)
async def test_an_unknown_kind_and_no_time_are_refused(fields: dict[str, int], error: ErrorCode) -> None:
    """Above, and on each partition; a request for nothing is not looked at."""
    async with world() as w:
        await w.cluster.create_topics([NewTopic("t")])
        reply = await elect(w, ElectLeadersRequest(topic_partitions=of(0), **fields))
        assert (reply.error_code, codes(reply)) == (error, [("t", 0, error)])
        assert (await elect(w, ElectLeadersRequest(topic_partitions=None, **fields))).error_code == error
        assert await elect(w, ElectLeadersRequest(topic_partitions=[], **fields)) == ElectLeadersResponse()


async def test_the_oldest_version_has_its_errors_on_partitions_only() -> None:
    """There is no place for another."""
    async with world() as w:
        reply = await elect(w, ElectLeadersRequest(topic_partitions=of(0), timeout_ms=0), VERSIONS[0])
        assert codes(reply) == [("t", 0, ErrorCode.REQUEST_TIMED_OUT)]
