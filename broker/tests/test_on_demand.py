"""What a start leaves out is made when it is asked for, and is then as if it had been there from the beginning."""

from __future__ import annotations

import ast
import inspect
from importlib import import_module

import pytest

from broker.coordinators.cluster.image import CONSUMER_OFFSETS, TRANSACTION_STATE
from broker.handlers import HANDLERS
from broker.on_demand import AUTHENTICATION, FETCHES, GROUPS, TOKENS, TRANSACTIONS
from broker.testing.contexts import World, world
from kproto.errors import ErrorCode
from kproto.messages.find_coordinator import FindCoordinatorRequest
from kproto.messages.init_producer_id import InitProducerIdRequest

ATTRIBUTES = {
    "groups": GROUPS,
    "transactions": TRANSACTIONS,
    "fetches": FETCHES,
    "tokens": TOKENS,
    "authentication": AUTHENTICATION,
}
BY_THE_REQUEST = {"find_coordinator", "init_producer_id"}
"""Handlers that ask for one thing or the other, and wait for `imported` before that."""


def made(w: World) -> set[str]:
    """The services that have been asked for."""
    return {name for name in ATTRIBUTES if name in vars(w.services.on_demand)}


def asked_for(module: str) -> set[str]:
    """The attributes of its context that a handler reads."""
    tree = ast.parse(inspect.getsource(import_module(f"broker.handlers.{module}")))
    attributes = (node for node in ast.walk(tree) if isinstance(node, ast.Attribute))
    return {node.attr for node in attributes if isinstance(node.value, ast.Name) and node.value.id == "ctx"}


def test_a_row_names_what_its_handler_asks_for() -> None:
    """Else the first request of a kind would hold the event loop while it imports."""
    for row in HANDLERS.values():
        asked = ATTRIBUTES.keys() & asked_for(row.module)
        assert row.module in BY_THE_REQUEST or set(row.asks) == {
            module for name in asked for module in ATTRIBUTES[name]
        }, row.module


async def test_a_broker_that_is_asked_nothing_makes_nothing() -> None:
    """Neither does a producer without transactions wake what transactions need."""
    async with world() as w:
        await w.services.on_demand.load()
        assert (await w.ask(InitProducerIdRequest(transactional_id=None), 5)).producer_id >= 0
        assert made(w) == set()


@pytest.mark.parametrize(
    ("key_type", "topic", "expected"), [(0, CONSUMER_OFFSETS, "groups"), (1, TRANSACTION_STATE, "transactions")]
)
async def test_who_looks_for_a_coordinator_wakes_that_one(key_type: int, topic: str, expected: str) -> None:
    """Its shards are there when the answer is."""
    async with world() as w:
        found = await w.ask(FindCoordinatorRequest(key_type=key_type, coordinator_keys=["billing"]), 4)
        assert [each.error_code for each in found.coordinators] == [ErrorCode.NONE]
        assert made(w) == {expected}
        shards = getattr(w.services, expected).shards
        assert len(shards.owned) == w.cluster.image.topics[topic].partition_count


async def test_a_topic_that_comes_by_another_way_wakes_its_coordinator() -> None:
    """It sees the topic from its beginning, and so everything that is ever written to it."""
    async with world() as w:
        await w.cluster.ensure_internal_topic(CONSUMER_OFFSETS)
        assert made(w) == {"groups"}
        assert len(w.services.groups.shards.owned) == w.cluster.image.topics[CONSUMER_OFFSETS].partition_count


async def test_what_is_there_at_a_start_is_loaded_before_the_broker_is_ready() -> None:
    """A client that comes first finds its group."""
    async with world() as w:
        await w.cluster.ensure_internal_topic(CONSUMER_OFFSETS)
        async with world(store=w.services.store) as again:
            assert made(again) == set()
            await again.services.on_demand.load()
            assert made(again) == {"groups"}


async def test_all_can_be_made_at_once() -> None:
    """Where anything may be asked for at any time."""
    async with world() as w:
        await w.services.on_demand.load_all()
        assert made(w) == set(ATTRIBUTES)
