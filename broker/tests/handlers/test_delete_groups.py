"""DeleteGroups: empty ones go."""

from __future__ import annotations

import pytest

from broker.testing.contexts import versions_of, world
from broker.tests.handlers.group_requests import commit_request, committed_by, with_coordinator, with_member, with_topic
from kproto.errors import ErrorCode
from kproto.messages.delete_groups import DeleteGroupsRequest


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
