"""Handlers where quotas are set: Fetches without records, and changes of topics that are too early (KIP-599)."""

from __future__ import annotations

from typing import cast

import pytest
import trio
import trio.testing

from broker.testing.contexts import World, world
from broker.tests.handlers.quotas_of import alter, entry
from broker.tests.handlers.test_fetch import append, create, request, sizes, wanted
from kproto.errors import ErrorCode
from kproto.messages.create_partitions import CreatePartitionsRequest, CreatePartitionsTopic
from kproto.messages.create_topics import CreatableTopic, CreateTopicsRequest
from kproto.messages.delete_topics import DeleteTopicsRequest, DeleteTopicState
from kproto.messages.metadata import MetadataRequest, MetadataRequestTopic
from storage.engine import LogStore
from storage.memory.engine import MemoryStore
from storage.seams.clock import SystemClock
from storage.seams.entropy import SeededEntropy

V = 12
QUOTA_EXCEEDED = ErrorCode.THROTTLING_QUOTA_EXCEEDED


async def limit(w: World, **limits: float | None) -> None:
    await w.ask(alter(entry([("client-id", None)], **limits)), 1)


async def test_a_fetch_beyond_the_quota_gives_nothing_and_loses_nothing(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """The records are there when the client has waited."""
    async with world() as w:
        await create(w)
        append(w, count=5, size=1000)
        await limit(w, consumer_byte_rate=600)
        assert sizes(await w.ask(request(wanted()), V))[0] > 5000
        empty = await w.ask(request(wanted()), V)
        assert (empty.responses, empty.error_code, empty.session_id) == ([], 0, 0)
        assert w.peer.muted_until > trio.current_time()
        await trio.sleep(11)
        assert sizes(await w.ask(request(wanted()), V))[0] > 5000


async def test_a_fetch_asks_for_no_more_than_could_be_given(autojump_clock: trio.testing.MockClock) -> None:
    """Ten windows' worth: more would never be given at all."""
    async with world() as w:
        await create(w)
        for _ in range(10):
            append(w, size=1000)
        await limit(w, consumer_byte_rate=300)
        assert 2000 < sizes(await w.ask(request(wanted()), V))[0] <= 3000


async def test_an_incremental_answer_that_was_held_back_is_still_news(autojump_clock: trio.testing.MockClock) -> None:
    """Its session goes on, and the client has not been told anything."""
    async with world() as w:
        await create(w)
        append(w, size=1000)
        first = await w.ask(request(wanted(), session_epoch=0), V)
        append(w, size=1000)
        await limit(w, consumer_byte_rate=100)
        second = await w.ask(request(wanted(offset=1), session_id=first.session_id, session_epoch=1), V)
        assert (second.responses, second.session_id) == ([], first.session_id)
        await limit(w, consumer_byte_rate=None)
        third = await w.ask(request(session_id=first.session_id, session_epoch=2), V)
        assert sizes(third)[0] > 1000
        w.services.fetches.sessions.check()


async def test_a_session_that_was_opened_too_early_is_none(autojump_clock: trio.testing.MockClock) -> None:
    """Its first answer would have said what it is about."""
    async with world() as w:
        await create(w)
        append(w, size=5000)
        await limit(w, consumer_byte_rate=100)
        empty = await w.ask(request(wanted(), session_epoch=0), V)
        assert (empty.responses, empty.session_id) == ([], 0)
        assert w.services.fetches.statistics().sessions.sessions == 0


async def test_a_fetch_that_waited_is_counted_when_it_is_answered(autojump_clock: trio.testing.MockClock) -> None:
    """What comes while it waits may be too much."""
    async with world() as w:
        await create(w)
        await limit(w, consumer_byte_rate=100)
        async with trio.open_nursery() as nursery:

            async def fetch() -> None:
                assert (await w.ask(request(wanted(), max_wait_ms=10_000), V)).responses == []

            nursery.start_soon(fetch)
            await trio.testing.wait_all_tasks_blocked()
            append(w, size=5000)
        assert w.peer.muted_until > trio.current_time()


def creation(*names: str, partitions: int = 1, validate_only: bool = False) -> CreateTopicsRequest:
    topics = [CreatableTopic(name=name, num_partitions=partitions, replication_factor=1) for name in names]
    return CreateTopicsRequest(topics=topics, timeout_ms=1000, validate_only=validate_only)


async def test_topics_beyond_the_quota_are_refused(autojump_clock: trio.testing.MockClock) -> None:
    """The one that makes the debt is made; trying counts, and what is refused for another reason does not."""
    async with world() as w:
        await limit(w, controller_mutation_rate=1)
        bad = await w.ask(creation("what is this?", partitions=50), 7)
        assert bad.topics[0].error_code == ErrorCode.INVALID_TOPIC_EXCEPTION
        made = await w.ask(creation("a", "b", partitions=8), 7)
        assert [topic.error_code for topic in made.topics] == [0, 0]
        assert (await w.ask(creation("c"), 7)).topics[0].error_code == QUOTA_EXCEEDED
        assert w.peer.muted_until == pytest.approx(trio.current_time() + 5, abs=0.01)
        assert (await w.ask(creation("c", validate_only=True), 7)).topics[0].error_code == QUOTA_EXCEEDED
        assert set(w.cluster.image.topics) == {"a", "b"}
        await trio.sleep(5)
        assert (await w.ask(creation("c", validate_only=True), 7)).topics[0].error_code == 0
        assert (await w.ask(creation("c"), 7)).topics[0].error_code == QUOTA_EXCEEDED


async def test_old_clients_are_not_refused_but_wait(autojump_clock: trio.testing.MockClock) -> None:
    """They would not know the code."""
    async with world() as w:
        await limit(w, controller_mutation_rate=1)
        for name in ("a", "b", "c"):
            assert (await w.ask(creation(name, partitions=8), 5)).topics[0].error_code == 0
        assert w.peer.muted_until == pytest.approx(trio.current_time() + 13, abs=0.01)


async def test_growing_and_deleting_count_too(autojump_clock: trio.testing.MockClock) -> None:
    """By the partitions that come and go."""
    async with world() as w:
        await create(w, "a", 2)
        await create(w, "b", 2)
        await limit(w, controller_mutation_rate=1)

        def growth(name: str, count: int) -> CreatePartitionsRequest:
            return CreatePartitionsRequest(topics=[CreatePartitionsTopic(name=name, count=count, assignments=None)])

        def deletion(*names: str) -> DeleteTopicsRequest:
            return DeleteTopicsRequest(topics=[DeleteTopicState(name=name) for name in names])

        assert (await w.ask(growth("a", 14), 3)).results[0].error_code == 0
        assert (await w.ask(growth("a", 15), 3)).results[0].error_code == QUOTA_EXCEEDED
        assert (await w.ask(growth("a", 15), 2)).results[0].error_code == 0
        refused = await w.ask(deletion("a", "b"), 6)
        assert {each.name: each.error_code for each in refused.responses} == {"a": QUOTA_EXCEEDED, "b": QUOTA_EXCEEDED}
        await trio.sleep(3)
        half = await w.ask(deletion("b", "a"), 6)
        assert {each.name: each.error_code for each in half.responses} == {"b": 0, "a": QUOTA_EXCEEDED}
        assert set(w.cluster.image.topics) == {"a"}


async def test_quotas_outlive_the_broker(autojump_clock: trio.testing.MockClock) -> None:
    """They are in the cluster's log, and count from the next start on."""
    store = cast(LogStore, MemoryStore(SystemClock(), SeededEntropy(1)))
    async with world(store=store) as w:
        assert w.services.quotas is None
        await limit(w, controller_mutation_rate=1)
    async with world(store=store) as w:
        assert w.services.quotas is not None
        assert (await w.ask(creation("a", partitions=12), 7)).topics[0].error_code == 0
        assert (await w.ask(creation("b"), 7)).topics[0].error_code == QUOTA_EXCEEDED
        await limit(w, controller_mutation_rate=None)
    async with world(store=store) as w:
        assert w.services.quotas is None
        assert (await w.ask(creation("b"), 7)).topics[0].error_code == 0


async def test_topics_that_metadata_makes_count_too(autojump_clock: trio.testing.MockClock) -> None:
    """The client is told that there is no such topic yet, and does not wait: a running Kafka answers so."""
    async with world() as w:
        await limit(w, controller_mutation_rate=0.1)
        made = [
            (await w.ask(MetadataRequest(topics=[MetadataRequestTopic(name=name)]), 12)).topics[0].error_code
            for name in ("a", "b", "c")
        ]
        assert made == [0, 0, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION]
        assert w.peer.muted_until == 0
