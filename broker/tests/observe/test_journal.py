"""The log for who runs the broker: topics and groups that come and go, and what a client was refused."""

from __future__ import annotations

import json
from collections.abc import Iterator
from io import StringIO
from typing import Any

import pytest
import trio.testing

from broker.context import Peer, RequestContext
from broker.coordinators.cluster import NewTopic
from broker.coordinators.groups.machine import GroupsMachine
from broker.coordinators.groups.records import ConsumerRecord, GroupMetadataRecord
from broker.coordinators.groups.settings import GroupSettings
from broker.handlers import create_topics, init_producer_id, join_group
from broker.network.dispatch import Dispatcher
from broker.observe.group_journal import GroupJournal
from broker.observe.journal import BURST, Journal
from broker.testing.contexts import world
from kproto.connection import ReceivedRequest
from kproto.errors import ErrorCode, KafkaError
from kproto.formats.consumer_offsets import (
    ConsumerGroupMetadataKey,
    ConsumerGroupMetadataValue,
    GroupMetadataValue,
    MemberMetadata,
)
from kproto.messages.create_topics import CreatableTopic, CreateTopicsRequest
from kproto.messages.init_producer_id import InitProducerIdRequest
from kproto.messages.join_group import JoinGroupRequest, JoinGroupRequestProtocol
from storage.seams import logging
from storage.seams.clock import Instant
from storage.seams.entropy import SeededEntropy
from storage.seams.logging import RateLimitedLogger, get_logger

PEER = Peer("192.0.2.1", 40_000)


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> Iterator[StringIO]:
    """What is logged, as JSON."""
    written = StringIO()
    logging.process_lines().configure(form="json", stream=written)
    yield written
    logging.configure()


def logged(lines: StringIO) -> list[dict[str, Any]]:
    """The lines of the journal, each without its time and level."""
    found = [json.loads(line) for line in lines.getvalue().splitlines()]
    shown = [line for line in found if line.pop("logger") == "broker.journal"]
    for line in shown:
        del line["timestamp"], line["level"]
    return shown


async def test_topics_come_and_go(lines: StringIO) -> None:
    """One line each, when it is durable."""
    async with world() as w:
        w.services.cluster.subscribe(w.services.journal.topics)
        [topic] = await w.services.cluster.create_topics([NewTopic("orders", 3, configs={"retention.ms": "1000"})])
        assert not isinstance(topic, KafkaError)
        await w.services.cluster.delete_topics([topic.topic_id])
    assert logged(lines) == [
        {"event": "topic created", "topic": "orders", "partitions": 3, "configs": {"retention.ms": "1000"}},
        {"event": "topic deleted", "topic": "orders", "partitions": 3},
    ]


async def test_a_topic_that_could_not_be_made_says_why_and_who_asked(lines: StringIO) -> None:
    """The client's library may hide the reason; the log does not."""
    async with world() as w:
        context = RequestContext(w.services, PEER, 7, "client-7")
        request = CreateTopicsRequest(topics=[CreatableTopic(name="a b", num_partitions=1, replication_factor=1)])
        await create_topics.handle(request, context)
    [line] = logged(lines)
    assert (line["event"], line["topic"], line["error"]) == ("topic not created", "a b", "INVALID_TOPIC_EXCEPTION")
    assert line["client_id"] == "client-7"
    assert line["peer"] == f"{PEER.host}:{PEER.port}"
    assert line["reason"]


async def test_a_request_that_is_refused_as_a_whole_says_why(lines: StringIO) -> None:
    """A transactional id, for example; the client's logs have no more than a code."""
    async with world(transactions=True) as w:
        dispatcher = Dispatcher(w.services)
        message = InitProducerIdRequest(transactional_id="", transaction_timeout_ms=1000)
        request = ReceivedRequest(22, 5, 1, "client-7", message)
        found, waiting = dispatcher.begin(request, PEER)
        assert found is not None
        await dispatcher.finish(request, found, waiting, PEER)
        assert found.refuse is init_producer_id.refuse
    [line] = logged(lines)
    assert (line["event"], line["api"], line["error"]) == ("request refused", "init_producer_id", "INVALID_REQUEST")
    assert "transactional id" in line["reason"]


async def test_a_member_that_a_group_does_not_take_says_why(lines: StringIO) -> None:
    """Its session would be too short here; being told to come back with an id is no refusal."""
    protocols = [JoinGroupRequestProtocol(name="range", metadata=b"")]
    async with world(groups=True) as w:
        await w.services.groups.ensure()
        context = RequestContext(w.services, PEER, 9, "client-7")
        for session_timeout_ms in (1, 10_000):
            request = JoinGroupRequest(
                group_id="g", session_timeout_ms=session_timeout_ms, protocol_type="consumer", protocols=protocols
            )
            await join_group.handle(request, context)
    assert [(line["event"], line["group"], line["error"]) for line in logged(lines) if "error" in line] == [
        ("member refused", "g", "INVALID_SESSION_TIMEOUT")
    ]


async def test_what_clients_deal_with_themselves_is_no_line(lines: StringIO) -> None:
    """They ask again, join, or look elsewhere, a thousand times a day."""
    journal = Journal()
    for code in (ErrorCode.NOT_COORDINATOR, ErrorCode.REBALANCE_IN_PROGRESS, ErrorCode.UNKNOWN_MEMBER_ID):
        journal.refused("request refused", KafkaError(code))
    assert logged(lines) == []


async def test_a_thousand_refusals_are_ten_lines_a_second(
    lines: StringIO, autojump_clock: trio.testing.MockClock
) -> None:
    """Of each kind: a peer cannot fill the disk with them."""
    journal = Journal()
    for _ in range(1000):
        journal.refused("topic not created", KafkaError(ErrorCode.INVALID_PARTITIONS), topic="t")
    await trio.sleep(1)
    journal.log.flush()
    assert [line.get("left_out", 0) for line in logged(lines)] == [0] * BURST + [1000 - BURST - 1]


def test_groups_come_change_and_go(lines: StringIO) -> None:
    """A generation of a classic group, an epoch of a consumer group, the end of either."""
    member = MemberMetadata(
        member_id="m", client_id="c", client_host="h", session_timeout=1, subscription=b"", assignment=b""
    )
    value = GroupMetadataValue(protocol_type="consumer", generation=4, protocol="range", leader="m", members=[member])
    nothing = GroupMetadataValue(protocol_type="consumer", generation=5, protocol=None, leader=None, members=[])
    journal = GroupJournal(RateLimitedLogger(get_logger("broker.journal"), iter(range(100)).__next__))
    journal.group(GroupMetadataRecord("old", value))
    journal.group(GroupMetadataRecord("old", nothing))
    journal.group(GroupMetadataRecord("old", None))
    journal.group(ConsumerRecord(ConsumerGroupMetadataKey(group_id="new"), ConsumerGroupMetadataValue(epoch=7)))
    assert [(line["event"], line["group"]) for line in logged(lines)] == [
        ("group rebalanced", "old"),
        ("group is empty", "old"),
        ("group deleted", "old"),
        ("group changed", "new"),
    ]


def test_what_is_only_loaded_is_no_news() -> None:
    """A start with a thousand groups says nothing of them."""
    told: list[object] = []
    machine = GroupsMachine(GroupSettings(), SeededEntropy(0), told=told.append)
    value = GroupMetadataValue(protocol_type="consumer", generation=4, protocol=None, leader=None, members=[])
    machine.replay(GroupMetadataRecord("g", value))
    list(machine.loaded(Instant(0, 0)))
    assert told == []
    machine.replay(record := GroupMetadataRecord("g", None))
    assert told == [record]
