"""Metrics as they are collected and served: in small steps, with a bound, and to those who ask by the right name."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import cast

import pytest
import trio

from broker.coordinators.cluster.topics import NewTopic
from broker.network.connections import Connections
from broker.network.listener import Listener
from broker.telemetry.payload import Number
from broker.testing.contexts import World, world
from broker.tests.handlers.quotas_of import alter, entry
from broker.web import collecting, serving
from broker.web.collecting import BLOCK, MOST_OF_A_LIST, Block, Running, collect, look_at_groups
from broker.web.endpoints import Observed, asked_by_its_own_name, metrics_app, name_in
from broker.web.exposition import render
from broker.web.families import FAMILIES, KAFKA, KAFKA_EXPORTER, OWN, PROCESS
from broker.web.serving import HttpServer
from kproto.ids import format_uuid
from storage.engine import LogStore
from storage.statistics import (
    BucketStatistics,
    DatabaseStatistics,
    RequestStatistics,
    SharedStatistics,
    StoreStatistics,
)


@asynccontextmanager
async def broker() -> AsyncIterator[tuple[World, Running]]:
    """A broker without listeners for clients, and its metrics."""
    async with world(transactions=True) as w, trio.open_nursery() as nursery:
        yield w, Running(w.services, Connections(w.services, [], nursery))


@asynccontextmanager
async def served(observed: Observed, host: str = "127.0.0.1") -> AsyncIterator[int]:
    """The port of the metrics of what is observed, served as if at `host`."""
    listener = Listener("metrics", "127.0.0.1", 0)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(HttpServer(metrics_app(observed, host), listener).run)
        yield listener.port
        nursery.cancel_scope.cancel()
    listener.close()


async def ask(port: int, request: str) -> str:
    """What is answered to one request, after which the connection is to close."""
    stream = await trio.open_tcp_stream("127.0.0.1", port)
    async with stream:
        head = f"{request} HTTP/1.1\r\nConnection: close\r\n"
        await stream.send_all((head + ("" if "Host" in head else f"Host: localhost:{port}\r\n") + "\r\n").encode())
        answer = b""
        with trio.fail_after(10):
            async for some in stream:
                answer += some
    return answer.decode()


async def test_health_and_readiness_follow_the_broker() -> None:
    """Alive while logs are recovered, ready when clients are served, and neither once a stop has begun."""
    observed = Observed()
    async with served(observed) as port:
        assert "200" in (await ask(port, "GET /healthz")).splitlines()[0]
        assert "503" in (await ask(port, "GET /readyz")).splitlines()[0]
        assert "503" in (await ask(port, "GET /metrics")).splitlines()[0]
        async with broker() as (_, running):
            observed.serving(running.services, running.connections)
            assert "200" in (await ask(port, "GET /readyz")).splitlines()[0]
            text = await ask(port, "GET /metrics")
            assert "kafka_server_kafkaserver_brokerstate 3.0\n" in text
            assert (await ask(port, "HEAD /metrics")).endswith("\r\n\r\n")
            observed.stopping()
            assert "503" in (await ask(port, "GET /readyz")).splitlines()[0]


class Stopped:
    """A store whose disk has failed."""

    def statistics(self) -> StoreStatistics:
        return StoreStatistics(1, 1, 0, True, None, None, None)


async def test_a_broker_whose_disk_has_failed_is_not_healthy() -> None:
    """It takes no appends any more, which a restart may mend."""
    async with broker() as (w, running):
        w.services.store = cast(LogStore, Stopped())
        observed = Observed()
        observed.serving(running.services, running.connections)
        async with served(observed) as port:
            answer = await ask(port, "GET /healthz")
            assert " 503 " in answer.splitlines()[0]
            assert "a disk error has stopped all appends" in answer


class Shared:
    """The store of a broker in a cluster, whose upkeep has `looked` at all objects or not."""

    def __init__(self, looked: bool) -> None:
        self._objects = 12 if looked else -1

    def statistics(self) -> StoreStatistics:
        puts = RequestStatistics(3, 1, 4096, 0.5, 40.0, 90.0)
        none = RequestStatistics(0, 0, 0, 0.0, 0.0, 0.0)
        bucket = BucketStatistics("s3://logs", puts, none, none, none, "")
        database = DatabaseStatistics("me@db/logs", puts._replace(done=7), none, "")
        shared = SharedStatistics(bucket, database, 10, 20, self._objects, 99, 1, 2, 5)
        return StoreStatistics(1, 1, 0, False, None, None, None, shared)


async def test_what_a_cluster_stands_on_is_measured() -> None:
    """Requests to bucket and database by kind; what only the upkeep knows as soon as it has looked. A broker that is
    alone has none of it."""
    async with broker() as (w, running):
        assert not [block for block in collect(running, None) if block and block.family.name.startswith("ottla_shared")]
        w.services.store = cast(LogStore, Shared(looked=True))
        found = {block.family.name: dict(block.samples) for block in collect(running, None) if block is not None}
        assert found["ottla_shared_requests_total"][("put",)] == 3
        assert found["ottla_shared_requests_total"][("commit",)] == 7
        assert found["ottla_shared_slowest_seconds"][("put",)] == 0.09
        assert (found["ottla_shared_objects"][()], found["ottla_shared_waiting_bytes"][()]) == (12, 10)
        w.services.store = cast(LogStore, Shared(looked=False))
        assert "ottla_shared_objects" not in {
            block.family.name for block in collect(running, None) if block is not None
        }


async def test_who_is_connected_is_said_on_loopback_only() -> None:
    """Addresses and users of clients are for the page of this machine."""
    async with broker() as (_, running):
        observed = Observed()
        observed.serving(running.services, running.connections)
        async with served(observed) as port:
            assert '"connections":[]' in await ask(port, "GET /status.json")
        async with served(observed, "0.0.0.0") as port:
            assert " 404 " in (await ask(port, "GET /status.json")).splitlines()[0]
            assert " 200 " in (await ask(port, "GET /metrics")).splitlines()[0]


async def test_only_the_names_asked_for_are_sent() -> None:
    """For the page, which need not have a broker render what it does not show."""
    async with broker() as (_, running):
        observed = Observed()
        observed.serving(running.services, running.connections)
        async with served(observed) as port:
            text = await ask(port, "GET /metrics?name[]=ottla_replies_waiting&name[]=nothing")
            assert re.findall(r"^# TYPE (\S+)", text, re.MULTILINE) == ["ottla_replies_waiting"]


async def test_only_names_of_loopback_are_answered_at_loopback() -> None:
    """Another site's page, whose name leads here, gets nothing (DNS rebinding)."""
    async with served(Observed()) as port:
        for name in ("localhost", f"127.0.0.1:{port}", "[::1]", "LOCALHOST:1"):
            assert " 200 " in await ask(port, f"GET /healthz HTTP/1.1\r\nHost: {name}\r\nX: y"), name
        for name in ("evil.example", "127.0.0.1.evil.example", "", "localhost.", "localhost:80:80"):
            assert " 421 " in await ask(port, f"GET /healthz HTTP/1.1\r\nHost: {name}\r\nX: y"), name


def test_an_address_that_was_opened_to_others_is_theirs_to_name() -> None:
    """A broker on all addresses has names that are not known here."""
    app = metrics_app(Observed(), "")
    assert asked_by_its_own_name(app, "0.0.0.0") is app
    assert name_in("broker.example:9404") == "broker.example"


async def test_no_step_is_long_however_much_there_is() -> None:
    """W1: 100,000 partitions, each asked for: no list of them, but their sums; and no step of more than a block."""
    async with broker() as (w, running):
        topics = [NewTopic(f"t{number}", 1000) for number in range(100)]
        for first in range(0, 100, 5):
            await w.cluster.create_topics(topics[first : first + 5])
        partitions = w.services.partitions
        for topic in topics:
            for index in range(1000):
                partition = partitions.get(topic.name, index)
                assert partition is not None
                partition.messages_in = 1
        steps = list(collect(running, await look_at_groups(w.services)))
        blocks = [step for step in steps if step is not None]
        assert max(len(block.samples) for block in blocks) <= BLOCK
        assert steps.count(None) >= 100_000 // BLOCK, "others run while the partitions are walked through"
        assert (("partitions",), 1.0) in blocks[-1].samples
        assert blocks[-1].family.name == "ottla_samples_left_out"
        assert total(blocks, "kafka_server_brokertopicmetrics_messagesin_total") == 100_000
        assert not [block for block in blocks if block.family.name.startswith("kafka_log_log_")]


async def test_a_list_that_fits_is_sent_whole() -> None:
    """In blocks that follow each other, of which the first alone says what the family is."""
    async with broker() as (w, running):
        await w.cluster.create_topics([NewTopic("t", 3 * BLOCK)])
        for index in range(3 * BLOCK):
            w.services.partitions.get("t", index)
        found = [each for each in collect(running, None) if each is not None]
        sizes = [block for block in found if block.family.name == "kafka_log_log_size"]
        assert [len(block.samples) for block in sizes] == [BLOCK, BLOCK, BLOCK]
        assert 3 * BLOCK <= MOST_OF_A_LIST
        observed = Observed()
        observed.serving(running.services, running.connections)
        async with served(observed) as port:
            text = await ask(port, "GET /metrics")
            assert text.count("# TYPE kafka_log_log_size gauge") == 1
            assert text.count("kafka_log_log_size{") == 3 * BLOCK


async def test_what_a_deleted_topic_had_stays_in_the_sum() -> None:
    """A counter only grows."""
    async with broker() as (w, running):
        (topic,) = await w.cluster.create_topics([NewTopic("t", 1)])
        assert not isinstance(topic, Exception)
        partition = w.services.partitions.get("t", 0)
        assert partition is not None
        partition.bytes_in = 7
        await w.cluster.delete_topics([topic.topic_id])
        found = [each for each in collect(running, None) if each is not None]
        assert total(found, "kafka_server_brokertopicmetrics_bytesin_total") == 7


def total(blocks: list[Block], name: str) -> float:
    """The sample without labels."""
    (number,) = (
        number for block in blocks if block.family.name == name for labels, number in block.samples if not labels
    )
    return number


async def test_what_quotas_have_delayed() -> None:
    """By what they limit, and nothing as long as none is set."""
    async with broker() as (w, running):
        names = {block.family.name for block in collect(running, None) if block is not None}
        assert not [name for name in names if name.startswith("ottla_quota_")]
        await w.ask(alter(entry([("client-id", None)], producer_byte_rate=1000)), 1)
        quotas = w.services.quotas
        assert quotas is not None
        assert quotas.produced("u", "c", 12_000, 0) == 2000
        found = {block.family.name: dict(block.samples) for block in collect(running, None) if block is not None}
        key = ("producer_byte_rate",)
        assert found["ottla_quota_limits"][key] == found["ottla_quota_clients"][key] == 1
        assert (found["ottla_quota_delayed_total"][key], found["ottla_quota_delay_seconds_total"][key]) == (1, 2.0)


async def test_what_clients_have_pushed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each number, under its own name; unless there are too many, which is known before they are walked through."""
    async with broker() as (w, running):
        telemetry = w.context(0).telemetry
        instance = telemetry.ask(b"i" * 16, {"client_id": "billing"}, w.peer, 0)
        telemetry.keep(instance.client, {"a": Number(3.0, False), "x": Number(0.5, False)})

        def shown() -> dict[str, dict[tuple[str, ...], float]]:
            return {block.family.name: dict(block.samples) for block in collect(running, None) if block is not None}

        client = ("billing", format_uuid(b"i" * 16))
        found = shown()
        assert found["ottla_telemetry_value"] == {("a", *client): 3.0, ("x", *client): 0.5}
        assert found["ottla_samples_left_out"][("telemetry",)] == 0
        monkeypatch.setattr(collecting, "MOST_OF_A_LIST", 1)
        found = shown()
        assert "ottla_telemetry_value" not in found
        assert found["ottla_samples_left_out"][("telemetry",)] == 1


def test_label_values_are_escaped() -> None:
    """A group may be called anything, also what would end a label."""
    block = Block(FAMILIES["kafka_consumergroup_lag"], [(('a"b\n\\', "t", "0"), 1.0)])
    assert (
        render(block).splitlines()[-1]
        == rb'kafka_consumergroup_lag{consumergroup="a\"b\n\\",partition="0",topic="t"} 1.0'
    )


async def test_connections_have_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    """One more than may be is closed at once, and those that are there go on."""
    monkeypatch.setattr(serving, "MOST_CONNECTIONS", 2)
    async with served(Observed()) as port:
        streams = [await trio.open_tcp_stream("127.0.0.1", port) for _ in range(2)]
        for stream in streams:  # each has been accepted when it is answered
            await stream.send_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert (await stream.receive_some()).startswith(b"HTTP/1.1 200")
        refused = await trio.open_tcp_stream("127.0.0.1", port)
        with trio.fail_after(10):
            assert await refused.receive_some() == b""
        for stream in [*streams, refused]:
            await stream.aclose()


async def test_a_header_without_end_is_refused() -> None:
    """What a peer can make the broker keep is bounded."""
    async with served(Observed()) as port:
        stream = await trio.open_tcp_stream("127.0.0.1", port)
        with trio.fail_after(10):
            try:
                await stream.send_all(b"GET /healthz HTTP/1.1\r\nX: " + b"x" * (1 << 20))
                answer = await stream.receive_some()
            except trio.BrokenResourceError:
                answer = b""
        assert not answer.startswith(b"HTTP/1.1 200")
        await stream.aclose()


def test_the_page_prints_every_name() -> None:
    """`docs/metrics.md` is the list, with the words that are served."""
    page = (Path(__file__).parents[3] / "docs/metrics.md").read_text(encoding="utf-8")
    rows = [line for line in page.splitlines() if re.match(r"\| `[a-z_]+` \|", line)]
    listed = [*KAFKA, *KAFKA_EXPORTER, *OWN, *PROCESS]
    assert rows == [f"| `{each.name}` | {', '.join(each.labels)} | {each.text} |" for each in listed]
    assert len({each.name for each in listed}) == len(listed)


def test_a_counter_is_named_as_one() -> None:
    """Prometheus' rule, kept by all but a name that is Kafka's."""
    for family in FAMILIES.values():
        assert (family.kind == "counter") is family.name.endswith("_total"), family.name


async def test_connections_that_have_ended_make_room_at_once() -> None:
    """However many come one after the other."""
    async with served(Observed()) as port:
        for _ in range(serving.MOST_CONNECTIONS + 5):
            stream = await trio.open_tcp_stream("127.0.0.1", port)
            await stream.send_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert (await stream.receive_some()).startswith(b"HTTP/1.1 200")
            await stream.aclose()


@pytest.mark.parametrize(
    "begins",
    [
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0",
        "GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n"
        "HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n\r\n",
    ],
    ids=["at once", "asked for"],
)
async def test_no_client_goes_over_to_http_2(begins: str) -> None:
    """There a connection that asks for nothing would be kept as long as its client sends pings, and 64 of them would
    let no other client in."""
    async with served(Observed()) as port:
        stream = await trio.open_tcp_stream("127.0.0.1", port)
        with trio.fail_after(10):
            await stream.send_all(begins.encode())
            answer = await stream.receive_some()
        assert re.match(rb"HTTP/1.1 (200|4\d\d)|$", answer), answer
        await stream.aclose()
