"""ListGroups: what there is, filtered."""

from __future__ import annotations

import pytest

from broker.testing.contexts import World, versions_of, world
from broker.tests.handlers.group_requests import commit_request, with_coordinator, with_member, with_topic
from kproto.errors import ErrorCode
from kproto.messages.list_groups import ListGroupsRequest


async def _groups(w: World) -> None:
    await with_coordinator(w)
    await with_topic(w)
    await with_member(w, "live")
    await w.ask(commit_request((0, 1), group="simple"), 9)


@pytest.mark.parametrize("version", versions_of(ListGroupsRequest))
async def test_every_version_lists(version: int) -> None:
    """Groups of all shards; state from version 4, type from version 5."""
    async with world(groups=True) as w:
        await _groups(w)
        response = await w.ask(ListGroupsRequest(), version)
        assert response.error_code == ErrorCode.NONE
        assert {
            (group.group_id, group.protocol_type, group.group_state, group.group_type) for group in response.groups
        } == {
            ("live", "consumer", "Stable" if version >= 4 else "", "classic" if version >= 5 else ""),
            ("simple", "", "Empty" if version >= 4 else "", "classic" if version >= 5 else ""),
        }


@pytest.mark.parametrize(
    ("states", "types", "found"),
    [
        ([" STABLE "], [], {"live"}),
        (["empty", "nonsense"], [], {"simple"}),
        (["nonsense"], [], set()),
        ([], ["Classic"], {"live", "simple"}),
        ([], ["consumer"], set()),
        ([], ["nonsense"], set()),
    ],
)
async def test_filters_ignore_case(states: list[str], types: list[str], found: set[str]) -> None:
    """An unknown state or type matches nothing and is no error."""
    async with world(groups=True) as w:
        await _groups(w)
        response = await w.ask(ListGroupsRequest(states_filter=states, types_filter=types), 5)
        assert {group.group_id for group in response.groups} == found


async def test_without_a_coordinator_there_are_no_groups() -> None:
    """An empty list, not an error."""
    async with world(groups=True) as w:
        response = await w.ask(ListGroupsRequest(), 5)
        assert (response.error_code, response.groups) == (ErrorCode.NONE, [])
