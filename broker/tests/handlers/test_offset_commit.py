"""OffsetCommit: what exists is committed, what does not has its error."""

from __future__ import annotations

import pytest

from broker.testing.contexts import versions_of, world
from broker.tests.handlers.group_requests import (
    commit_codes,
    commit_request,
    committed_by,
    with_coordinator,
    with_member,
    with_topic,
)
from kproto.errors import ErrorCode
from kproto.ids import ZERO_UUID
from kproto.messages.offset_commit import OffsetCommitRequest


@pytest.mark.parametrize("version", versions_of(OffsetCommitRequest, before=10))
async def test_every_version_commits_by_name(version: int) -> None:
    """Partitions that do not exist are refused, in the order asked; the others are kept."""
    async with world(groups=True) as w:
        await with_coordinator(w)
        await with_topic(w, partitions=2)
        response = await w.ask(commit_request((0, 5), (7, 1), (1, 6)), version)
        assert [partition.partition_index for partition in response.topics[0].partitions] == [0, 7, 1]
        assert commit_codes(response) == [0, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, 0]
        assert {place.partition: each.offset for place, each in (await committed_by(w, "g")).items()} == {
            0: 5,
            1: 6,
        }


async def test_version_10_names_topics_by_id() -> None:
    """An id of no topic is UNKNOWN_TOPIC_ID, and comes back in the response."""
    async with world(groups=True) as w:
        await with_coordinator(w)
        topic = await with_topic(w)
        for topic_id, code in [
            (topic.topic_id, ErrorCode.NONE),
            (b"x" * 16, ErrorCode.UNKNOWN_TOPIC_ID),
            (ZERO_UUID, ErrorCode.UNKNOWN_TOPIC_ID),
        ]:
            request = commit_request((0, 5), topic="")
            request.topics[0].topic_id = topic_id
            response = await w.ask(request, 10)
            assert (response.topics[0].topic_id, commit_codes(response)) == (topic_id, [code])


async def test_topics_that_do_not_exist_are_refused_without_asking_the_group() -> None:
    """Even a stranger hears about the topic first, as in Kafka."""
    async with world(groups=True) as w:
        await with_coordinator(w)
        request = commit_request((0, 5), topic="nope")
        request.generation_id_or_member_epoch = 7
        assert commit_codes(await w.ask(request, 9)) == [ErrorCode.UNKNOWN_TOPIC_OR_PARTITION]
        assert await w.ask(OffsetCommitRequest(group_id="g", generation_id_or_member_epoch=7), 9) is not None


async def test_a_topic_without_partitions_is_not_in_the_answer() -> None:
    """As in Kafka's."""
    async with world(groups=True) as w:
        await with_coordinator(w)
        await with_topic(w)
        assert (await w.ask(commit_request(), 9)).topics == []


async def test_who_may_not_commit_gets_an_error_for_each_partition() -> None:
    """An outsider in a live group; a group that does not exist, in old and new words."""
    async with world(groups=True) as w:
        await with_coordinator(w)
        await with_topic(w)
        await with_member(w)
        assert commit_codes(await w.ask(commit_request((0, 1), (1, 1)), 9)) == [ErrorCode.UNKNOWN_MEMBER_ID] * 2
        claiming = commit_request((0, 1), group="other")
        claiming.generation_id_or_member_epoch = 3
        assert commit_codes(await w.ask(claiming, 8)) == [ErrorCode.ILLEGAL_GENERATION]
        assert commit_codes(await w.ask(claiming, 9)) == [ErrorCode.GROUP_ID_NOT_FOUND]


async def test_metadata_may_be_null() -> None:
    """It is kept as no text."""
    async with world(groups=True) as w:
        await with_coordinator(w)
        await with_topic(w)
        request = commit_request((0, 5))
        request.topics[0].partitions[0].committed_metadata = None
        assert commit_codes(await w.ask(request, 9)) == [0]
        [found] = (await committed_by(w, "g")).values()
        assert found.metadata == ""


async def test_a_refusal_names_every_partition() -> None:
    """As Kafka's OffsetCommitRequest.getErrorResponse. Here: the topic of groups does not exist yet."""
    async with world(groups=True) as w:
        await with_topic(w)
        assert commit_codes(await w.ask(commit_request((0, 1), (1, 1)), 9)) == [ErrorCode.NOT_COORDINATOR] * 2
