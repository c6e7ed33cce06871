"""DescribeGroups: a group as tools show it."""

from __future__ import annotations

import pytest

from broker.testing.contexts import versions_of, world
from broker.tests.handlers.group_requests import SUBSCRIPTION, with_coordinator, with_member
from kproto.errors import ErrorCode
from kproto.messages.describe_groups import DescribeGroupsRequest


@pytest.mark.parametrize("version", versions_of(DescribeGroupsRequest))
async def test_every_version_describes(version: int) -> None:
    """State, kind, protocol, members with what they want and what they got."""
    async with world(groups=True) as w:
        await with_coordinator(w)
        member = await with_member(w)
        [group] = (await w.ask(DescribeGroupsRequest(groups=["g"]), version)).groups
        assert (group.error_code, group.group_id, group.group_state) == (0, "g", "Stable")
        assert (group.protocol_type, group.protocol_data) == ("consumer", "range")
        [found] = group.members
        assert (found.member_id, found.client_id, found.client_host) == (member, "test", "/127.0.0.1")
        assert (found.member_metadata, found.member_assignment) == (SUBSCRIPTION, b"share")


@pytest.mark.parametrize("version", versions_of(DescribeGroupsRequest))
async def test_an_unknown_group_is_dead(version: int) -> None:
    """Without an error up to version 5; GROUP_ID_NOT_FOUND from version 6 (KIP-1043)."""
    async with world(groups=True) as w:
        await with_coordinator(w)
        [group] = (await w.ask(DescribeGroupsRequest(groups=["unknown"]), version)).groups
        assert (group.group_id, group.group_state) == ("unknown", "Dead")
        assert group.error_code == (ErrorCode.GROUP_ID_NOT_FOUND if version >= 6 else ErrorCode.NONE)
        assert (group.error_message is not None) == (version >= 6)


async def test_authorized_operations_are_all_there_are() -> None:
    """3400 is READ, DELETE, DESCRIBE, DESCRIBE_CONFIGS, ALTER_CONFIGS; only when asked for, and not for an error."""
    async with world(groups=True) as w:
        await with_coordinator(w)
        await with_member(w)
        asked = DescribeGroupsRequest(groups=["g", "unknown"], include_authorized_operations=True)
        assert [each.authorized_operations for each in (await w.ask(asked, 5)).groups] == [3400, 3400]
        assert [each.authorized_operations for each in (await w.ask(asked, 6)).groups] == [3400, -(2**31)]
        [silent] = (await w.ask(DescribeGroupsRequest(groups=["g"]), 3)).groups
        assert silent.authorized_operations == -(2**31)


async def test_without_a_coordinator_each_group_has_the_error() -> None:
    """NOT_COORDINATOR for each."""
    async with world(groups=True) as w:
        response = await w.ask(DescribeGroupsRequest(groups=["a", "b"]), 5)
        assert [each.error_code for each in response.groups] == [ErrorCode.NOT_COORDINATOR] * 2
