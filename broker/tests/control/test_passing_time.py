"""Time on command: what is due by the clock of state has happened when the command is answered, and no client waits
less for that."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import NamedTuple

import pytest
import trio
from trio.testing import MockClock

from broker.config.settings import ConfigError
from broker.control.passing_time import LONGEST_AHEAD, MOST_STEPS, PassingTime, passing_time
from broker.coordinators.cluster.topics import NewTopic
from broker.security.principals import Principal
from broker.testing.contexts import World, world
from broker.tests.coordinators.transactions.test_coordinator import Client
from broker.tests.handlers.group_requests import (
    commit_request,
    committed_by,
    description_of,
    join_request,
    with_member,
    with_topic,
)
from kproto.errors import ErrorCode
from kproto.messages.consumer_group_heartbeat import ConsumerGroupHeartbeatRequest
from kproto.messages.fetch import FetchPartition, FetchRequest, FetchTopic
from kproto.messages.find_coordinator import FindCoordinatorRequest
from kproto.messages.heartbeat import HeartbeatRequest
from storage.memory.engine import MemoryStore
from storage.seams.clock import AHEAD_FILE, AdvancingClock, SystemClock
from storage.seams.disk import SystemDisk
from storage.seams.entropy import SeededEntropy
from storage.store_settings import ProducerRules, StoreSettings
from storage.testing.log_builder import batch

SECOND, HOUR, DAY = 1000, 3_600_000, 86_400_000


class Timed(NamedTuple):
    """A broker whose time passes on command."""

    world: World
    passing: PassingTime
    kept: list[int]

    async def advance(self, millis: int) -> int:
        """Let time pass; the number of steps. All that is due has happened."""
        done = await self.passing.advance(self.world.services, millis)
        assert done.settled
        return done.steps


@asynccontextmanager
async def timed(settings: Mapping[str, str] | None = None) -> AsyncIterator[Timed]:
    """Both coordinators and their topics are there, with few shards."""
    few = {"offsets.topic.num.partitions": "2", "transaction.state.log.num.partitions": "1"}
    few["group.initial.rebalance.delay.ms"] = "0"
    clock = AdvancingClock(SystemClock())
    kept: list[int] = []
    store = MemoryStore(clock, SeededEntropy(1), settings=StoreSettings(producers=ProducerRules(verify=True)))
    async with world({**few, **(settings or {})}, transactions=True, clock=clock, store=store) as w:
        for key_type in (0, 1):
            await w.ask(FindCoordinatorRequest(coordinator_keys=["k"], key_type=key_type), 6)
        yield Timed(w, PassingTime(clock, kept.append), kept)


async def test_sessions_of_groups_end() -> None:
    """A member that has not been heard of in that time is none any more; one whose session is longer stays."""
    async with timed() as t:
        await with_topic(t.world)
        member = await with_member(t.world)
        await t.advance(9 * SECOND)
        assert (await _beat(t.world, member)) == ErrorCode.NONE
        await t.advance(9 * SECOND)
        assert (await _beat(t.world, member)) == ErrorCode.NONE
        await t.advance(11 * SECOND)
        assert (await _beat(t.world, member)) == ErrorCode.UNKNOWN_MEMBER_ID
        found = await description_of(t.world, "g")
        assert found is not None
        assert found.group_state == "Empty"


async def _beat(w: World, member: str) -> ErrorCode:
    answer = await w.ask(HeartbeatRequest(group_id="g", generation_id=1, member_id=member), 1)
    return ErrorCode(answer.error_code)


async def test_offsets_expire_a_week_after_their_group_was_left() -> None:
    """In one command: its members' sessions end on the way, and the week begins there."""
    async with timed() as t:
        await with_topic(t.world)
        await with_member(t.world)
        await t.world.ask(commit_request((0, 5), group="alone"), 2)
        await t.world.ask(commit_request((0, 7)), 2)
        await t.advance(7 * DAY - HOUR)
        assert len(await committed_by(t.world, "alone")) == 1
        await t.advance(2 * HOUR)
        assert len(await committed_by(t.world, "alone")) == 0
        await t.advance(DAY)
        assert len(await committed_by(t.world, "g")) == 0


async def test_a_rebalance_ends_without_those_who_do_not_come() -> None:
    """Who has joined is answered, though nothing has happened but that time has passed."""
    async with timed() as t:
        await with_topic(t.world)
        await with_member(t.world)
        answers = []

        async def join() -> None:
            answers.append(await t.world.ask(join_request(), 3))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(join)
            await trio.testing.wait_all_tasks_blocked()
            assert answers == []
            await t.advance(61 * SECOND)
        assert [answer.error_code for answer in answers] == [0]
        assert len(answers[0].members) == 1


async def test_transactions_are_aborted_and_their_markers_written() -> None:
    """And are over when the command is answered: readers of what is committed go on."""
    async with timed() as t:
        await t.world.cluster.create_topics([NewTopic("t", 1, configs={"retention.ms": "-1"})])
        client = Client(t.world)
        await client.init(transaction_timeout=60 * SECOND)
        await client.produce(b"v")
        log = t.world.services.partitions.log_of("t", 0)
        assert log is not None
        await t.advance(59 * SECOND)
        assert (await client.state(), log.last_stable_offset) == ("Ongoing", 0)
        await t.advance(2 * SECOND)
        assert (await client.state(), log.last_stable_offset) == ("CompleteAbort", 2)


async def test_transactional_ids_and_producers_expire() -> None:
    """After transactional.id.expiration.ms and producer.id.expiration.ms without a word."""
    async with timed({"transactional.id.expiration.ms": str(2 * DAY)}) as t:
        await with_topic(t.world)
        client = Client(t.world)
        await client.init()
        await client.produce(b"v")
        await client.end(True)
        await t.advance(3 * DAY)
        assert t.world.services.transactions.statistics().transactional_ids == 0
        log = t.world.services.partitions.log_of("t", 0)
        assert log is not None
        assert not await log.producers()


async def test_records_that_are_too_old_go() -> None:
    """And no others."""
    async with timed() as t:
        await t.world.cluster.create_topics([NewTopic("t", 1, configs={"retention.ms": str(HOUR)}), NewTopic("u", 1)])
        log = t.world.services.partitions.log_of("t", 0)
        other = t.world.services.partitions.log_of("u", 0)
        assert log is not None
        assert other is not None
        now = t.world.services.clock.wall_millis()
        for each in (log, other):
            each.begin_append([batch(b"old", timestamps=[now])])
        await t.advance(HOUR // 2)
        assert log.log_start_offset == 0
        await t.advance(HOUR)
        assert (log.log_start_offset, other.log_start_offset) == (1, 0)
        assert t.world.services.clock.wall_millis() - now >= HOUR


async def test_no_client_waits_less(autojump_clock: MockClock) -> None:
    """W13: A Fetch that waits for records waits as long as it would have."""
    async with timed() as t:
        await with_topic(t.world)
        part = FetchPartition(partition=0, fetch_offset=0, partition_max_bytes=100)
        wanted = FetchRequest(
            max_wait_ms=5000,
            min_bytes=1,
            max_bytes=100,
            session_epoch=-1,
            topics=[FetchTopic(topic="t", partitions=[part])],
        )
        began = trio.current_time()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(t.world.ask, wanted, 12)
            await trio.testing.wait_all_tasks_blocked()
            await t.advance(30 * DAY)
            assert trio.current_time() == began
        assert trio.current_time() == began + 5


async def test_a_year_takes_no_more_steps_than_there_are() -> None:
    """Though a coordinator wants to be asked every ten minutes of it."""
    async with timed() as t:
        await with_topic(t.world)
        await t.world.ask(commit_request((0, 5)), 2)
        assert await t.advance(365 * DAY) <= MOST_STEPS
        assert len(await committed_by(t.world, "g")) == 0


async def test_the_same_commands_have_the_same_effects() -> None:
    """Whatever the machine does meanwhile: each step goes to the next deadline, not to a moment."""
    found = []
    for _ in range(2):
        async with timed() as t:
            await with_topic(t.world)
            await with_member(t.world)
            await t.world.ask(commit_request((0, 5), group="alone"), 2)
            for part in (5 * SECOND, 6 * SECOND, DAY, 6 * DAY, HOUR):
                await t.advance(part)
            group = await description_of(t.world, "g")
            found.append((group and group.group_state, len(await committed_by(t.world, "alone"))))
    assert found == [(None, 0)] * 2


async def test_what_was_commanded_is_written_down_first() -> None:
    """So a crash on the way leads to a start at its end; and what cannot be written does not happen."""
    async with timed() as t:
        await t.advance(5)
        await t.advance(7)
        assert t.kept == [5, 12]

        def full(ahead: int) -> None:
            raise OSError(28, "No space left on device")

        refusing = PassingTime(t.passing._clock, full)
        with pytest.raises(OSError, match="No space"):
            await refusing.advance(t.world.services, 7)
        assert t.passing.ahead == 12


async def test_what_cannot_happen_is_not_waited_for_forever(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The clock is where it was to be, and the answer says that not all has happened."""
    async with timed() as t:
        monkeypatch.setattr(t.world.services.tokens, "catch_up", trio.sleep_forever)
        done = await t.passing.advance(t.world.services, HOUR)
        assert (done.settled, t.passing.ahead) == (False, HOUR)


def test_a_restart_goes_on_where_the_clock_was(tmp_path: pytest.TempPathFactory) -> None:
    """By a file beside the data, which a reset clears; one that says nothing stops the start."""
    directory = str(tmp_path)
    clock, passing = passing_time(SystemClock(), SystemDisk(), directory)
    passing._keep(DAY)
    assert passing_time(SystemClock(), SystemDisk(), directory)[1].ahead == DAY
    clock.advance(DAY)
    passing.begin_again()
    assert (clock.ahead, passing_time(SystemClock(), SystemDisk(), directory)[1].ahead) == (0, 0)
    for text in ("", "-5", "1e3", str(LONGEST_AHEAD + 1), "x"):
        SystemDisk().write_file(f"{directory}/{AHEAD_FILE}", text.encode())
        with pytest.raises(ConfigError, match=AHEAD_FILE):
            passing_time(SystemClock(), SystemDisk(), directory)


async def test_members_of_the_new_protocol_are_given_up_too() -> None:
    """After group.consumer.session.timeout.ms, of the state's time."""
    async with timed() as t:
        await with_topic(t.world)
        member = "a" * 22
        joining = ConsumerGroupHeartbeatRequest(
            group_id="g",
            member_id=member,
            rebalance_timeout_ms=10_000,
            subscribed_topic_names=["t"],
            topic_partitions=[],
        )
        joined = await t.world.ask(joining, 1)
        assert joined.error_code == ErrorCode.NONE
        beat = ConsumerGroupHeartbeatRequest(group_id="g", member_id=member, member_epoch=joined.member_epoch)
        await t.advance(40 * SECOND)
        assert (await t.world.ask(beat, 1)).error_code == ErrorCode.NONE
        await t.advance(46 * SECOND)
        assert (await t.world.ask(beat, 1)).error_code == ErrorCode.UNKNOWN_MEMBER_ID


async def test_delegation_tokens_are_over() -> None:
    """And forgotten, though the task that looks for them sleeps for an hour of the world's."""
    async with timed({"delegation.token.secret.key": "secret"}) as t:
        tokens = t.world.services.tokens
        alice = Principal("User", "alice")
        await tokens.create(alice, alice, (), HOUR)
        await t.advance(HOUR // 2)
        assert len(t.world.cluster.image.tokens) == 1
        await t.advance(HOUR)
        assert len(t.world.cluster.image.tokens) == 0
