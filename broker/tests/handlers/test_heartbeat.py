"""Heartbeat: one code, in every version."""

from __future__ import annotations

from typing import cast

import pytest

from broker.context import Later
from broker.handlers import heartbeat, offset_commit
from broker.testing.contexts import versions_of, world
from broker.testing.faulty_log import FaultyLog, FaultyStore
from broker.tests.handlers.group_requests import (
    commit_codes,
    commit_request,
    with_coordinator,
    with_member,
    with_topic,
)
from kproto.errors import ErrorCode, KafkaError
from kproto.messages.heartbeat import HeartbeatRequest, HeartbeatResponse
from kproto.messages.offset_commit import OffsetCommitResponse
from storage.engine import LogStore
from storage.memory.engine import MemoryStore
from storage.seams.clock import SystemClock
from storage.seams.entropy import SeededEntropy


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


async def test_a_beat_is_answered_when_it_is_read() -> None:
    """Nothing is waited for, unless what the decision has seen is not durable yet."""
    clock, entropy = SystemClock(), SeededEntropy(1)
    store = FaultyStore(cast(LogStore, MemoryStore(clock, entropy)))
    async with world(store=cast(LogStore, store), clock=clock, entropy=entropy, groups=True) as w:
        await with_coordinator(w)
        await with_topic(w)
        beat = HeartbeatRequest(group_id="g", generation_id=1, member_id=await with_member(w))
        assert heartbeat.handle(beat, w.context(4)) == HeartbeatResponse()
        log = cast(FaultyLog, await w.services.groups.shards.loaded_log_of("g"))
        log.hold()
        commit = commit_request((0, 5))
        commit.member_id, commit.generation_id_or_member_epoch = beat.member_id, 1
        committing = offset_commit.handle(commit, w.context(9))
        waiting = heartbeat.handle(beat, w.context(4))
        assert isinstance(committing, Later) and not committing.is_at_hand()
        assert isinstance(waiting, Later) and not waiting.is_at_hand()
        log.release()
        assert await waiting == HeartbeatResponse()
        assert commit_codes(cast(OffsetCommitResponse, committing.reply())) == [ErrorCode.NONE]


async def test_a_beat_while_the_shard_loads_is_answered_as_if_all_were_well(monkeypatch: pytest.MonkeyPatch) -> None:
    """Members would otherwise look for another coordinator; after the load they have a fresh session anyway. So it is
    during the first load, and during another one."""

    async def loading(request: HeartbeatRequest) -> HeartbeatResponse:
        raise KafkaError(ErrorCode.COORDINATOR_LOAD_IN_PROGRESS)

    def loading_again(request: HeartbeatRequest) -> None:
        raise KafkaError(ErrorCode.COORDINATOR_LOAD_IN_PROGRESS)

    async with world(groups=True) as w:
        monkeypatch.setattr(w.services.groups, "heartbeat", loading)
        monkeypatch.setattr(w.services.groups, "begin_heartbeat", lambda request: None)
        assert await w.ask(HeartbeatRequest(group_id="g"), 4) == HeartbeatResponse()
        monkeypatch.setattr(w.services.groups, "begin_heartbeat", loading_again)
        assert await w.ask(HeartbeatRequest(group_id="g"), 4) == HeartbeatResponse()
