"""FindCoordinator: this node, under the address the client came by."""

from __future__ import annotations

import pytest

from broker.testing.contexts import versions_of, world
from kproto.errors import ErrorCode
from kproto.messages.find_coordinator import FindCoordinatorRequest


async def test_the_first_question_makes_the_offsets_topic() -> None:
    """No group exists before a client asks for its coordinator; then the topic is there, internal, and can be used."""
    async with world({"offsets.topic.num.partitions": "7"}, groups=True) as w:
        assert "__consumer_offsets" not in w.cluster.image.topics
        response = await w.ask(FindCoordinatorRequest(key="g"), 3)
        assert (response.error_code, response.node_id) == (ErrorCode.NONE, 1)
        assert (response.host, response.port) == ("broker.example", 9092)
        topic = w.cluster.image.topics["__consumer_offsets"]
        assert topic.internal and topic.partition_count == 7


@pytest.mark.parametrize("version", versions_of(FindCoordinatorRequest, before=4))
async def test_old_versions_ask_for_one_key(version: int) -> None:
    """One key, one node in the response itself."""
    async with world(groups=True) as w:
        assert (await w.ask(FindCoordinatorRequest(key="g"), version)).port == 9092


@pytest.mark.parametrize("version", versions_of(FindCoordinatorRequest, 4))
async def test_new_versions_ask_for_many_keys(version: int) -> None:
    """KIP-699: each key has its own entry; no keys, no entries."""
    async with world(groups=True) as w:
        response = await w.ask(FindCoordinatorRequest(coordinator_keys=["g", "h", ""]), version)
        assert [(each.key, each.node_id, each.error_code) for each in response.coordinators] == [
            ("g", 1, 0),
            ("h", 1, 0),
            ("", 1, 0),
        ]
        assert (await w.ask(FindCoordinatorRequest(coordinator_keys=[]), version)).coordinators == []


async def test_the_coordinator_of_a_transaction_is_this_node() -> None:
    """And the topic of transactions' state is there from then on; an empty transactional id is no reason to refuse."""
    async with world(transactions=True) as w:
        answer = await w.ask(FindCoordinatorRequest(coordinator_keys=["t", ""], key_type=1), 6)
        assert [(each.key, each.error_code, each.node_id) for each in answer.coordinators] == [("t", 0, 1), ("", 0, 1)]
        assert w.cluster.image.topics["__transaction_state"].partition_count == 50


@pytest.mark.parametrize(
    ("key_type", "error"),
    [
        (2, ErrorCode.INVALID_REQUEST),
        (3, ErrorCode.INVALID_REQUEST),
        (-1, ErrorCode.INVALID_REQUEST),
    ],
)
async def test_other_coordinators_are_refused_for_good(key_type: int, error: ErrorCode) -> None:
    """Share groups do not exist yet: no client may be left asking for them forever."""
    async with world(groups=True) as w:
        one = await w.ask(FindCoordinatorRequest(key="k", key_type=key_type), 3)
        assert (one.error_code, one.node_id, one.port) == (error, -1, -1)
        assert one.error_message == error.sentence
        many = await w.ask(FindCoordinatorRequest(coordinator_keys=["k"], key_type=key_type), 6)
        assert [(each.key, each.error_code, each.node_id) for each in many.coordinators] == [("k", error, -1)]
        assert not error.retriable
