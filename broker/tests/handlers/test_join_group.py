"""JoinGroup: the shapes of its answer in each version. What it decides: `coordinators/groups`."""

from __future__ import annotations

import pytest

from broker.handlers import join_group
from broker.testing.contexts import versions_of, world
from broker.tests.handlers.group_requests import SUBSCRIPTION, join_request, with_coordinator
from kproto.errors import ErrorCode
from kproto.messages.join_group import JoinGroupRequest


@pytest.mark.parametrize("version", versions_of(JoinGroupRequest))
async def test_every_version_joins(version: int) -> None:
    """Up to version 3 at once, later with the id that the first try is given."""
    async with world(groups=True) as w:
        await with_coordinator(w)
        response = await w.ask(join_request(), version)
        if version >= 4:
            assert (response.error_code, response.generation_id) == (ErrorCode.MEMBER_ID_REQUIRED, -1)
            assert response.protocol_name == ("" if version < 7 else None)
            response = await w.ask(join_request(response.member_id), version)
        assert (response.error_code, response.generation_id) == (ErrorCode.NONE, 1)
        assert response.leader == response.member_id and response.member_id.startswith("test-")
        assert response.protocol_name == "range"
        assert response.protocol_type == ("consumer" if version >= 7 else None)
        assert [member.metadata for member in response.members] == [SUBSCRIPTION]


async def test_before_anybody_asked_for_a_coordinator_there_is_none() -> None:
    """NOT_COORDINATOR sends a client to FindCoordinator, which makes the topic."""
    async with world(groups=True) as w:
        response = await w.ask(join_request(), 9)
        assert (response.error_code, response.protocol_name) == (ErrorCode.NOT_COORDINATOR, None)


@pytest.mark.parametrize(("version", "protocol"), [(6, ""), (7, None)])
def test_a_refusal_has_no_generation(version: int, protocol: str | None) -> None:
    """As Kafka's JoinGroupRequest.getErrorResponse."""
    response = join_group.refuse(JoinGroupRequest(member_id="m"), ErrorCode.UNKNOWN_SERVER_ERROR, version)
    assert (response.error_code, response.generation_id, response.protocol_name) == (-1, -1, protocol)
    assert (response.member_id, response.leader, response.members) == ("", "", [])
