"""ConsumerGroupHeartbeat and what follows from it in a broker: the whole way from request to answer."""

from __future__ import annotations

from typing import Any

import pytest
import trio
import trio.testing

from broker.coordinators.groups.consumer import assigning
from broker.coordinators.groups.consumer.work import JOINING_SECONDS
from broker.testing.contexts import World, versions_of, world
from broker.tests.handlers.group_requests import with_coordinator, with_topic
from kproto.errors import ErrorCode
from kproto.messages.consumer_group_heartbeat import ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse
from kproto.messages.incremental_alter_configs import (
    AlterableConfig,
    AlterConfigsResource,
    IncrementalAlterConfigsRequest,
)
from storage.seams.offload import InlineOffload


def joining(**more: Any) -> ConsumerGroupHeartbeatRequest:
    """The first heartbeat of a member."""
    said = {"group_id": "g", "member_id": "m", "rebalance_timeout_ms": 1_000, "topic_partitions": [], **more}
    if "subscribed_topic_regex" not in said:
        said.setdefault("subscribed_topic_names", ["t"])
    return ConsumerGroupHeartbeatRequest(**said)


def partitions(response: ConsumerGroupHeartbeatResponse) -> list[int]:
    """What the member may read."""
    assert response.error_code == ErrorCode.NONE, response.error_message
    assert response.assignment is not None
    return sorted(each for topic in response.assignment.topic_partitions for each in topic.partitions)


@pytest.mark.parametrize("version", versions_of(ConsumerGroupHeartbeatRequest))
async def test_the_first_answer_has_the_assignment(version: int) -> None:
    """In both versions."""
    async with world(groups=True) as w:
        await with_topic(w, partitions=3)
        await with_coordinator(w)
        answer = await w.ask(joining(), version)
        assert (partitions(answer), answer.member_id, answer.member_epoch) == ([0, 1, 2], "m", 2)
        left = await w.ask(ConsumerGroupHeartbeatRequest(group_id="g", member_id="m", member_epoch=-1), version)
        assert (left.error_code, left.member_epoch) == (ErrorCode.NONE, -1)


async def test_the_first_answer_has_what_an_expression_matches() -> None:
    """It waits for the resolution, and the default pause between two assignments does not keep it waiting."""
    async with world(groups=True) as w:
        await with_topic(w, partitions=3)
        await with_coordinator(w)
        answer = await w.ask(joining(subscribed_topic_regex="t+"), 1)
        assert (partitions(answer), answer.member_epoch) == ([0, 1, 2], 2)


@pytest.mark.parametrize("at_once", [5, assigning.AT_ONCE_COST])
async def test_those_who_come_together_are_assigned_together(
    at_once: int, monkeypatch: pytest.MonkeyPatch, autojump_clock: trio.testing.MockClock
) -> None:
    """Consumers that are started at once and share an expression have their shares with their first answers, however
    many come before the first of them is served; and one that comes alone does not wait for long."""
    monkeypatch.setattr(assigning, "AT_ONCE_COST", at_once)
    answers: dict[int, ConsumerGroupHeartbeatResponse] = {}
    async with world(groups=True, offload=InlineOffload()) as w:
        await with_topic(w, partitions=8)
        await with_coordinator(w)

        async def join(number: int) -> None:
            await trio.sleep(number * JOINING_SECONDS / 2)
            answers[number] = await w.ask(joining(member_id=f"m{number}", subscribed_topic_regex="t+"), 1)

        async with trio.open_nursery() as nursery:
            for number in range(4):
                nursery.start_soon(join, number)
        shares = [partitions(answer) for answer in answers.values()]
        assert [len(share) for share in shares] == [2] * 4
        assert sorted(each for share in shares for each in share) == list(range(8))
        began = trio.current_time()
        await w.ask(joining(group_id="alone", subscribed_topic_regex="t+"), 1)
        assert trio.current_time() - began < 2 * JOINING_SECONDS


async def test_the_first_answer_has_an_assignment_that_was_computed_in_a_thread(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It waits for that, too."""
    monkeypatch.setattr(assigning, "AT_ONCE_COST", 0)
    async with world(groups=True) as w:
        await with_topic(w, partitions=3)
        await with_coordinator(w)
        assert partitions(await w.ask(joining(), 1)) == [0, 1, 2]


async def test_refusals_have_a_sentence() -> None:
    """For a reader of the client's log; without a coordinator there is the code alone."""
    async with world(groups=True) as w:
        refused = await w.ask(joining(), 1)
        assert (refused.error_code, refused.error_message) == (ErrorCode.NOT_COORDINATOR, None)
        await with_coordinator(w)
        refused = await w.ask(joining(topic_partitions=None), 1)
        assert refused.error_code == ErrorCode.INVALID_REQUEST
        assert refused.error_message == "a member that joins must say that it owns nothing"


async def test_sessions_and_intervals_are_those_of_the_group() -> None:
    """group.consumer.* of the broker, unless the group has its own, within the broker's bounds; at once."""
    settings = {"group.consumer.heartbeat.interval.ms": "7000"}
    async with world(settings, groups=True) as w:
        await with_topic(w, partitions=3)
        await with_coordinator(w)
        assert (await w.ask(joining(), 1)).heartbeat_interval_ms == 7_000
        await set_group_config(w, "consumer.heartbeat.interval.ms", "9000")
        beat = ConsumerGroupHeartbeatRequest(group_id="g", member_id="m", member_epoch=2)
        assert (await w.ask(beat, 1)).heartbeat_interval_ms == 9_000
        await set_group_config(w, "consumer.heartbeat.interval.ms", None)
        assert (await w.ask(beat, 1)).heartbeat_interval_ms == 7_000


async def set_group_config(w: World, name: str, value: str | None) -> None:
    """IncrementalAlterConfigs of group g."""
    change = AlterableConfig(name=name, config_operation=0 if value is not None else 1, value=value)
    resource = AlterConfigsResource(resource_type=32, resource_name="g", configs=[change])
    [answer] = (await w.ask(IncrementalAlterConfigsRequest(resources=[resource]), 1)).responses
    assert answer.error_code == ErrorCode.NONE, answer.error_message
