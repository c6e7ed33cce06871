"""Client instances: who may ask and push when, what is wanted of whom, and that all of it has a bound."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import pytest

from broker.coordinators.cluster import Alteration, ResourceType
from broker.telemetry import instances as module
from broker.telemetry.instances import Instance, Telemetry
from broker.telemetry.payload import Number
from broker.telemetry.subscriptions import Wanted
from broker.testing.contexts import World, world
from kproto.errors import ErrorCode, KafkaError
from kproto.ids import ZERO_UUID

ID = bytes(range(16))
INTERVAL = 300_000
RECORDED, RECORDED_ID = "cf6d9263cf71ceca813d69ffcfa1fd82", -1706585334
"""A client instance, and what Kafka calls the subscription of one of whom nothing is wanted."""


class Connection:
    """One that has not ended yet."""

    gone = False


class Site:
    """A broker's telemetry, and one client of it."""

    def __init__(self, w: World) -> None:
        self.world = w
        self.telemetry = Telemetry(w.cluster, w.services.entropy, 100)
        self.connection = Connection()
        self.parameters = {"client_id": "c", "client_software_name": "java", "client_source_address": "10.0.0.1"}

    async def subscribe(self, name: str, **configs: str) -> None:
        wanted = {key.replace("_", "."): text for key, text in configs.items()}

        def compute(current: Mapping[str, str]) -> Mapping[str, str]:
            return wanted

        assert await self.world.cluster.alter_configs([Alteration(ResourceType.CLIENT_METRICS, name, compute)]) == [
            None
        ]

    def ask(self, now: int, client: bytes = ID) -> Instance | ErrorCode:
        try:
            return self.telemetry.ask(client, self.parameters, self.connection, now)
        except KafkaError as error:
            return error.code

    def wanted(self, now: int) -> Wanted:
        found = self.ask(now)
        assert isinstance(found, Instance)
        return found.wanted

    def push(
        self, now: int, client: bytes = ID, *, subscription_id: int | None = None, codec: int = 0, size: int = 1,
        terminating: bool = False,
    ) -> ErrorCode:  # fmt: skip
        if subscription_id is None:
            known = self.telemetry._instances.get(client)
            subscription_id = known.subscription_id if known else Wanted((), INTERVAL).id_for(client)
        try:
            self.telemetry.check_push(
                client, self.parameters, self.connection, now,
                subscription_id=subscription_id, codec=codec, size=size, terminating=terminating,
            )  # fmt: skip
        except KafkaError as error:
            return error.code
        return ErrorCode.NONE


@asynccontextmanager
async def site() -> AsyncIterator[Site]:
    async with world() as w:
        found = Site(w)
        yield found
        found.telemetry.check()


def test_the_id_of_a_subscription_is_kafkas() -> None:
    """A checksum, recorded from a running Kafka, so that a client may go on with another broker."""
    assert Wanted((), INTERVAL).id_for(bytes.fromhex(RECORDED)) == RECORDED_ID
    assert Wanted(("*",), INTERVAL).id_for(ID) != Wanted((), INTERVAL).id_for(ID)
    assert Wanted((), 1000).id_for(ID) != Wanted((), INTERVAL).id_for(ID)
    assert -(2**31) <= Wanted(("a", "b"), 5).id_for(b"\xff" * 8 + b"\x0f" * 8) < 2**31


async def test_a_client_may_ask_once_an_interval() -> None:
    """A push counts as well."""
    async with site() as s:
        assert s.wanted(0) == Wanted((), INTERVAL)
        assert s.ask(INTERVAL - 1) == ErrorCode.THROTTLING_QUOTA_EXCEEDED
        assert s.push(1000) == ErrorCode.NONE
        assert s.ask(INTERVAL) == ErrorCode.THROTTLING_QUOTA_EXCEEDED
        assert isinstance(s.ask(INTERVAL + 1000), Instance)


async def test_a_client_may_push_when_it_has_asked_and_once_an_interval() -> None:
    """Its first push may come at once."""
    async with site() as s:
        s.ask(0)
        assert s.push(1) == ErrorCode.NONE
        assert s.push(INTERVAL) == ErrorCode.THROTTLING_QUOTA_EXCEEDED
        assert s.push(INTERVAL + 1) == ErrorCode.NONE


async def test_the_last_push_may_come_at_any_time() -> None:
    """Then nothing may; what comes all the same takes the word back, as in Kafka."""
    async with site() as s:
        s.ask(0)
        assert s.push(1) == ErrorCode.NONE
        assert s.push(2, terminating=True) == ErrorCode.NONE
        assert s.push(INTERVAL * 2) == ErrorCode.INVALID_REQUEST


async def test_pushes_that_are_refused() -> None:
    """In Kafka's order."""
    async with site() as s:
        assert s.push(0, ZERO_UUID) == ErrorCode.INVALID_REQUEST
        assert s.push(0, bytes(15) + b"\1") == ErrorCode.INVALID_REQUEST
        new = (bytes([number] * 16) for number in range(2, 9))
        assert s.push(0, next(new), subscription_id=5, codec=9) == ErrorCode.UNKNOWN_SUBSCRIPTION_ID
        assert s.push(0, next(new), codec=5, size=101) == ErrorCode.UNSUPPORTED_COMPRESSION_TYPE
        assert s.push(0, next(new), codec=-1) == ErrorCode.UNSUPPORTED_COMPRESSION_TYPE
        assert s.push(0, next(new), size=101) == ErrorCode.TELEMETRY_TOO_LARGE
        assert s.push(0, next(new), size=100) == ErrorCode.NONE


async def test_a_client_without_an_id_is_given_one() -> None:
    """Each time another."""
    async with site() as s:
        found = [s.ask(0, ZERO_UUID) for _ in range(3)]
        ids = {each.client for each in found if isinstance(each, Instance)}
        assert len(ids) == 3
        assert ZERO_UUID not in ids


async def test_subscriptions_that_match_are_taken_together() -> None:
    """All metrics, and the shortest interval; a change lets a client ask at once."""
    async with site() as s:
        await s.subscribe("one", metrics="b,a", interval_ms="60000", match="client_id=c,client_software_name=ja.*")
        assert s.wanted(0) == Wanted(("a", "b"), 60_000)
        await s.subscribe("two", metrics="c", interval_ms="90000", match="client_id=cc?")
        assert s.wanted(0) == Wanted(("a", "b", "c"), 60_000)
        await s.subscribe("three", metrics="*", match="client_id=.")
        assert s.wanted(0) == Wanted(("*",), 60_000)
        await s.subscribe("three", metrics="*", match="client_id=other")
        await s.subscribe("four", metrics="z", match="client_software_version=1")
        assert s.wanted(0) == Wanted(("a", "b", "c"), 60_000)
        await s.subscribe("one")
        assert s.wanted(0) == Wanted(("c",), 90_000)


async def test_an_expression_that_takes_forever_elsewhere() -> None:
    """A client's own words are matched in time that grows with their length."""
    async with site() as s:
        await s.subscribe("one", metrics="*", match="client_id=(a+)+b")
        s.parameters["client_id"] = "a" * 30_000
        assert s.wanted(0).metrics == ()


async def test_a_subscription_that_makes_no_sense_is_passed_over() -> None:
    """A look-ahead, which Java has and RE2 has not; a text of another release."""
    async with site() as s:
        await s.subscribe("one", metrics="a", match="client_id=(?=c)c")
        await s.subscribe("two", metrics="b", interval_ms="soon")
        await s.subscribe("three", metrics="c")
        assert s.wanted(0).metrics == ("c",)


async def test_a_client_that_comes_back_may_ask_at_once() -> None:
    """By another connection, when its first has ended."""
    async with site() as s:
        s.ask(0)
        first, s.connection = s.connection, Connection()
        assert s.ask(1) == ErrorCode.THROTTLING_QUOTA_EXCEEDED
        first.gone = True
        assert isinstance(s.ask(2), Instance)


async def test_what_was_pushed_is_kept_and_deltas_are_added() -> None:
    """By name."""
    async with site() as s:
        s.ask(0)
        for value in (3.0, 4.0):
            s.telemetry.keep(ID, {"rate": Number(value, False), "count": Number(value, True)})
        [found] = s.telemetry.statistics(10)
        assert found.numbers == {"rate": 4.0, "count": 7.0}
        assert (found.pushes, found.idle_ms, found.parameters["client_id"]) == (2, 10, "c")


async def test_instances_are_forgotten_after_three_intervals() -> None:
    """When another one comes."""
    async with site() as s:
        s.ask(0)
        s.ask(3 * INTERVAL - 1, b"b" * 16)
        assert len(s.telemetry.statistics(0)) == 2
        s.ask(3 * INTERVAL, b"c" * 16)
        assert len(s.telemetry.statistics(0)) == 2


async def test_everything_has_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    """Instances, and the numbers of all of them together."""
    monkeypatch.setattr(module, "MAX_INSTANCES", 20)
    monkeypatch.setattr(module, "MAX_NUMBERS", 50)
    async with site() as s:
        for number in range(100):
            client = number.to_bytes(16, "big")
            s.ask(0, client if number > 1 else ID)
            s.telemetry.keep(client, {f"m{each}": Number(1.0, False) for each in range(9)})
            s.telemetry.check()
        assert len(s.telemetry.statistics(0)) == 20
