"""Heartbeat: one code, in every version."""

from __future__ import annotations

import pytest

from broker.handlers import heartbeat
from broker.testing.contexts import versions_of, world
from broker.tests.handlers.group_requests import with_coordinator, with_member
from kproto.errors import ErrorCode, KafkaError
from kproto.messages.heartbeat import HeartbeatRequest, HeartbeatResponse


@pytest.mark.parametrize("version", versions_of(HeartbeatRequest))
async def test_a_member_beats(version: int) -> None:
    """NONE for a member, UNKNOWN_MEMBER_ID for others."""
    async with world(groups=True) as w:
        await with_coordinator(w)
        member = await with_member(w)
        beat = HeartbeatRequest(group_id="g", generation_id=1, member_id=member)
        assert (await w.ask(beat, version)).error_code == ErrorCode.NONE
        stranger = HeartbeatRequest(group_id="g", generation_id=1, member_id="stranger")
        assert (await w.ask(stranger, version)).error_code == ErrorCode.UNKNOWN_MEMBER_ID


async def test_a_beat_while_the_shard_loads_is_answered_as_if_all_were_well(monkeypatch: pytest.MonkeyPatch) -> None:
    """Members would otherwise look for another coordinator; after the load they have a fresh session anyway."""

    async def loading(request: HeartbeatRequest) -> HeartbeatResponse:
        raise KafkaError(ErrorCode.COORDINATOR_LOAD_IN_PROGRESS)

    async with world(groups=True) as w:
        monkeypatch.setattr(w.services.groups, "heartbeat", loading)
        assert await heartbeat.handle(HeartbeatRequest(group_id="g"), w.context(4)) == HeartbeatResponse()
