"""OffsetCommit: what exists is committed, what does not has its error."""

from __future__ import annotations

from typing import cast

import pytest

from broker.context import FirstPhase, Later
from broker.handlers import offset_commit
from broker.testing.contexts import versions_of, world
from broker.tests.handlers.group_requests import (
    commit_codes,
    commit_request,
    committed_by,
    headers_from,
    with_coordinator,
    with_member,
    with_topic,
)
from kproto.errors import ErrorCode
from kproto.ids import ZERO_UUID, TopicPartition
from kproto.messages.offset_commit import OffsetCommitRequest
from storage.memory.engine import MemoryLog


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


async def test_commits_count_in_the_order_in_which_they_are_read() -> None:
    """A short commit is decided when it is read; a long one holds up those behind it until it is decided, too."""
    async with world(groups=True) as w:
        await with_coordinator(w)
        await with_topic(w, partitions=offset_commit.FEW + 1)
        await w.ask(commit_request((0, 1)), 9)  # the shard is loaded
        ctx = w.context(9)
        short = offset_commit.handle(commit_request((0, 2)), ctx)
        again = offset_commit.handle(commit_request((0, 3)), ctx)
        assert isinstance(short, Later) and isinstance(again, Later)
        many = commit_request(*((index, 4) for index in range(offset_commit.FEW + 1)))
        long = offset_commit.handle(many, ctx)
        assert isinstance(long, FirstPhase)
        assert [commit_codes(await each) for each in (again, short)] == [[0], [0]]
        assert (await committed_by(w, "g"))[TopicPartition("t", 0)].offset == 3
        await long.coroutine
        assert {each.offset for each in (await committed_by(w, "g")).values()} == {4}


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


async def test_a_commit_of_many_partitions_is_one_batch() -> None:
    """A crash leaves all of it or nothing. Of a partition that is there twice the last offset counts."""
    async with world(groups=True) as w:
        await with_coordinator(w)
        await with_topic(w, partitions=1_500)
        await w.ask(commit_request((0, 5)), 9)
        log = cast(MemoryLog, await w.services.groups.shards.loaded_log_of("g"))
        before = log.log_end_offset
        request = commit_request(*((number, number) for number in range(1_500)), (3, 99), (4, 99))
        request.topics[0].partitions[7].committed_metadata = "m" * 5_000
        expected = [0] * 1_502
        expected[7] = ErrorCode.OFFSET_METADATA_TOO_LARGE
        assert commit_codes(await w.ask(request, 9)) == expected
        offsets = {place.partition: each.offset for place, each in (await committed_by(w, "g")).items()}
        assert offsets == {number: number for number in range(1_500) if number != 7} | {3: 99, 4: 99}
        assert [header.record_count for header in headers_from(log, before)] == [1_499]


async def test_a_commit_that_does_not_fit_into_a_batch_changes_nothing() -> None:
    """UNKNOWN_SERVER_ERROR for every partition, as Kafka where it is above max.message.bytes. However few there are."""
    async with world(groups=True) as w:
        await with_coordinator(w)
        await with_topic(w, partitions=100)
        request = commit_request(*((number, 1) for number in range(100)), group="g" * 30_000)
        assert commit_codes(await w.ask(request, 9)) == [ErrorCode.UNKNOWN_SERVER_ERROR] * 100
        assert await committed_by(w, "g" * 30_000) == {}


async def test_one_partition_very_often_is_one_record() -> None:
    """The last offset counts, and each is answered."""
    async with world(groups=True) as w:
        await with_coordinator(w)
        await with_topic(w)
        assert commit_codes(await w.ask(commit_request(*((0, number) for number in range(2_000))), 9)) == [0] * 2_000
        assert [each.offset for each in (await committed_by(w, "g")).values()] == [1_999]
