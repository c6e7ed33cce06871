"""LeaveGroup: one member up to version 2, several from version 3."""

from __future__ import annotations

import pytest

from broker.testing.contexts import versions_of, world
from broker.tests.handlers.group_requests import with_coordinator, with_member
from kproto.errors import ErrorCode
from kproto.messages.leave_group import LeaveGroupRequest, MemberIdentity


@pytest.mark.parametrize("version", versions_of(LeaveGroupRequest, before=3))
async def test_one_member_leaves(version: int) -> None:
    """Its error is the response's."""
    async with world(groups=True) as w:
        await with_coordinator(w)
        member = await with_member(w)
        stranger = await w.ask(LeaveGroupRequest(group_id="g", member_id="stranger"), version)
        assert stranger.error_code == ErrorCode.UNKNOWN_MEMBER_ID
        assert (await w.ask(LeaveGroupRequest(group_id="g", member_id=member), version)).error_code == ErrorCode.NONE
        unknown = await w.ask(LeaveGroupRequest(group_id="unknown", member_id=member), version)
        assert unknown.error_code == ErrorCode.UNKNOWN_MEMBER_ID


@pytest.mark.parametrize("version", versions_of(LeaveGroupRequest, 3))
async def test_several_members_leave(version: int) -> None:
    """Each has its error; the response has none."""
    async with world(groups=True) as w:
        await with_coordinator(w)
        member = await with_member(w)
        leavers = [MemberIdentity(member_id=member), MemberIdentity(group_instance_id="i")]
        response = await w.ask(LeaveGroupRequest(group_id="g", members=leavers), version)
        assert response.error_code == ErrorCode.NONE
        assert [(each.member_id, each.group_instance_id, each.error_code) for each in response.members] == [
            (member, None, 0),
            ("", "i", ErrorCode.UNKNOWN_MEMBER_ID),
        ]
        nameless = await w.ask(LeaveGroupRequest(group_id="", members=leavers), version)
        assert (nameless.error_code, nameless.members) == (ErrorCode.INVALID_GROUP_ID, [])
