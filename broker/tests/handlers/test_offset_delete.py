"""OffsetDelete: single offsets are forgotten."""

from __future__ import annotations

from broker.testing.contexts import World, world
from broker.tests.handlers.group_requests import commit_request, committed_by, with_coordinator, with_member, with_topic
from kproto.errors import ErrorCode
from kproto.messages.offset_delete import (
    OffsetDeleteRequest,
    OffsetDeleteRequestPartition,
    OffsetDeleteRequestTopic,
    OffsetDeleteResponse,
)


async def _delete(w: World, group: str, *topics: tuple[str, list[int]]) -> OffsetDeleteResponse:
    request = OffsetDeleteRequest(
        group_id=group,
        topics=[
            OffsetDeleteRequestTopic(
                name=name, partitions=[OffsetDeleteRequestPartition(partition_index=each) for each in indexes]
            )
            for name, indexes in topics
        ],
    )
    response = await w.ask(request, 0)
    assert isinstance(response, OffsetDeleteResponse)
    return response


def _codes(response: OffsetDeleteResponse) -> list[list[int]]:
    return [[partition.error_code for partition in topic.partitions] for topic in response.topics]


async def test_offsets_are_forgotten_one_by_one() -> None:
    """Never committed is fine; what does not exist is refused; a topic without partitions is not in the answer."""
    async with world(groups=True) as w:
        await with_coordinator(w)
        await with_topic(w, partitions=3)
        await w.ask(commit_request((0, 5), (1, 6)), 9)
        response = await _delete(w, "g", ("t", [0, 2, 9]), ("nope", [0]))
        assert _codes(response) == [
            [0, 0, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION],
            [ErrorCode.UNKNOWN_TOPIC_OR_PARTITION],
        ]
        assert _codes(await _delete(w, "g", ("t", []))) == []
        assert [place.partition for place in await committed_by(w, "g")] == [1]


async def test_what_members_read_stays() -> None:
    """A consumer group's own subscription protects its offsets."""
    async with world(groups=True) as w:
        await with_coordinator(w)
        await with_topic(w)
        await with_member(w)
        assert _codes(await _delete(w, "g", ("t", [0]))) == [[ErrorCode.GROUP_SUBSCRIBED_TO_TOPIC]]


async def test_an_unknown_group_is_an_error_of_the_whole() -> None:
    """Even if the topics do not exist either."""
    async with world(groups=True) as w:
        await with_coordinator(w)
        response = await _delete(w, "unknown", ("nope", [0]))
        assert (response.error_code, response.topics) == (ErrorCode.GROUP_ID_NOT_FOUND, [])
        assert (await _delete(w, "", ("nope", [0]))).error_code == ErrorCode.INVALID_GROUP_ID
