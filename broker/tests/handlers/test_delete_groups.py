"""DeleteGroups: empty ones go."""

from __future__ import annotations

from typing import cast

import pytest

from broker.testing.contexts import versions_of, world
from broker.tests.handlers.group_requests import (
    commit_request,
    committed_by,
    headers_from,
    with_coordinator,
    with_member,
    with_topic,
)
from kproto.errors import ErrorCode
from kproto.messages.delete_groups import DeleteGroupsRequest
from storage.memory.engine import MemoryLog


@pytest.mark.parametrize("version", versions_of(DeleteGroupsRequest))
async def test_every_version_deletes(version: int) -> None:
    """Each group on its own; one named twice is answered once."""
    async with world(groups=True) as w:
        await with_coordinator(w)
        await with_topic(w)
        await w.ask(commit_request((0, 1), group="empty"), 9)
        await with_member(w, "live")
        names = ["empty", "live", "unknown", "unknown"]
        response = await w.ask(DeleteGroupsRequest(groups_names=names), version)
        assert [(each.group_id, each.error_code) for each in response.results] == [
            ("empty", ErrorCode.NONE),
            ("live", ErrorCode.NON_EMPTY_GROUP),
            ("unknown", ErrorCode.GROUP_ID_NOT_FOUND),
        ]
        assert [each.error_message for each in response.results] == [None, None, None]
        assert await committed_by(w, "empty") == {}


async def test_without_a_coordinator_each_group_has_the_error() -> None:
    """NOT_COORDINATOR for each."""
    async with world(groups=True) as w:
        response = await w.ask(DeleteGroupsRequest(groups_names=["a"]), 2)
        assert [each.error_code for each in response.results] == [ErrorCode.NOT_COORDINATOR]


async def test_a_group_with_many_offsets_is_deleted_with_one_batch() -> None:
    """G19: a crash leaves all of it or nothing, for nothing stands between the group and its absence. Kafka does the
    same."""
    async with world(groups=True) as w:
        await with_coordinator(w)
        await with_topic(w, partitions=1_500)
        await w.ask(commit_request(*((number, number) for number in range(1_500))), 9)
        log = cast(MemoryLog, await w.services.groups.shards.loaded_log_of("g"))
        before = log.log_end_offset
        response = await w.ask(DeleteGroupsRequest(groups_names=["g", "unknown"]), 2)
        assert [each.error_code for each in response.results] == [ErrorCode.NONE, ErrorCode.GROUP_ID_NOT_FOUND]
        assert await committed_by(w, "g") == {}
        assert [header.record_count for header in headers_from(log, before)] == [1_501]


async def test_a_deletion_that_does_not_fit_into_a_batch_changes_nothing() -> None:
    """The code that Kafka answers where the batch is above max.message.bytes of `__consumer_offsets`."""
    async with world(groups=True) as w:
        await with_coordinator(w)
        await with_topic(w, partitions=100)
        name = "g" * 30_000
        for first in range(0, 100, 50):
            await w.ask(commit_request(*((number, 1) for number in range(first, first + 50)), group=name), 9)
        response = await w.ask(DeleteGroupsRequest(groups_names=[name]), 2)
        assert [each.error_code for each in response.results] == [ErrorCode.UNKNOWN_SERVER_ERROR]
        assert len(await committed_by(w, name)) == 100
