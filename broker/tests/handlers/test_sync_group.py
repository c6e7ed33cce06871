"""SyncGroup: the shapes of its answer in each version."""

from __future__ import annotations

import pytest

from broker.testing.contexts import versions_of, world
from broker.tests.handlers.group_requests import join_request, with_coordinator, with_member
from kproto.errors import ErrorCode
from kproto.messages.sync_group import SyncGroupRequest, SyncGroupRequestAssignment


@pytest.mark.parametrize("version", versions_of(SyncGroupRequest))
async def test_every_version_gets_its_assignment(version: int) -> None:
    """Version 5 also says under which protocol, and must name it in the request."""
    async with world(groups=True) as w:
        await with_coordinator(w)
        member = (await w.ask(join_request(), 3)).member_id
        request = SyncGroupRequest(
            group_id="g",
            generation_id=1,
            member_id=member,
            assignments=[SyncGroupRequestAssignment(member_id=member, assignment=b"share")],
        )
        if version >= 5:
            request.protocol_type, request.protocol_name = "consumer", "range"
        response = await w.ask(request, version)
        assert (response.error_code, response.assignment) == (ErrorCode.NONE, b"share")
        assert response.protocol_name == ("range" if version >= 5 else None)


@pytest.mark.parametrize(("kind", "name"), [(None, "range"), ("consumer", None)])
async def test_version_5_must_name_kind_and_protocol(kind: str | None, name: str | None) -> None:
    """KIP-559."""
    async with world(groups=True) as w:
        await with_coordinator(w)
        member = await with_member(w)
        request = SyncGroupRequest(
            group_id="g", generation_id=1, member_id=member, protocol_type=kind, protocol_name=name
        )
        assert (await w.ask(request, 5)).error_code == ErrorCode.INCONSISTENT_GROUP_PROTOCOL


async def test_a_refusal_has_no_assignment() -> None:
    """The error alone."""
    async with world(groups=True) as w:
        response = await w.ask(SyncGroupRequest(group_id="g"), 4)
        assert (response.error_code, response.assignment) == (ErrorCode.NOT_COORDINATOR, b"")
