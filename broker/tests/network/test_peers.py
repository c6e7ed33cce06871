"""How brokers of a cluster ask each other, over real sockets: who is let in, and what becomes of questions."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
import trio

from broker.brokers import Brokers
from broker.network.connections import Connections
from broker.network.listener import Listener
from broker.network.peers import Peers
from broker.security.tls.contexts import Contexts
from broker.testing.certificates import Authority
from broker.testing.contexts import World, world
from kproto.errors import ErrorCode, KafkaError
from kproto.messages.add_partitions_to_txn import AddPartitionsToTxnRequest
from kproto.messages.describe_cluster import DescribeClusterRequest
from storage.membership import Endpoint, LiveBroker, View
from storage.seams.clock import SystemClock
from storage.seams.disk import SystemDisk
from storage.seams.entropy import SeededEntropy
from storage.seams.logging import process_lines
from storage.seams.offload import ThreadOffload

SECRET = bytes(range(32))
AUTHORIZER = {"authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer"}
SASL = {
    "listener.security.protocol.map": "CLIENTS:SASL_PLAINTEXT",
    "listeners": "CLIENTS://127.0.0.1:9093",
    "sasl.enabled.mechanisms": "SCRAM-SHA-256",
}


@asynccontextmanager
async def answering(
    settings: dict[str, str], listener: str, protocol: str = "PLAINTEXT", asking: bytes = SECRET
) -> AsyncIterator[tuple[World, Peers]]:
    """A broker with the number 1, and the way to it of broker 2, which believes `asking` to be the secret."""
    async with world(settings) as w, trio.open_nursery() as nursery:
        offload, clock = ThreadOffload(), SystemClock()
        tls = None
        if protocol == "SSL":
            tls = w.services.tls = Contexts(w.services.config.tls_settings(), SystemDisk(), offload, clock)
        w.services.authentication.let_brokers_in(SECRET)
        place = Listener(listener, "127.0.0.1", 0, protocol=protocol)
        connections = Connections(w.services, [place], nursery, 100)
        connections.start()
        brokers = Brokers(2)
        endpoints = {listener: Endpoint("127.0.0.1", place.port)}
        brokers.update(View([LiveBroker(1, b"1" * 16, None, endpoints, "1", 0, False)], [], 0, 1))

        async def secret() -> bytes:
            return asking

        peers = Peers(brokers, listener, SeededEntropy(2), secret, None if tls is None else tls.asking)
        nursery.start_soon(peers.run)
        try:
            yield w, peers
        finally:
            nursery.cancel_scope.cancel()
            place.close()


async def is_answered(peers: Peers) -> Any:
    return await peers.ask(1, AddPartitionsToTxnRequest(), 5)


@pytest.mark.parametrize("settings", [AUTHORIZER, {**AUTHORIZER, **SASL}], ids=["plain", "sasl"])
async def test_a_broker_of_the_cluster_is_let_in_and_may_what_brokers_may(settings: dict[str, str]) -> None:
    """At a listener whose clients are not asked who they are, and at one whose clients are: no ACL names brokers."""
    listener, protocol = ("CLIENTS", "SASL_PLAINTEXT") if "sasl.enabled.mechanisms" in settings else ("PLAINTEXT",) * 2
    async with answering(settings, listener, protocol) as (_, peers):
        assert (await is_answered(peers)).error_code == ErrorCode.NONE
        assert (await peers.ask(1, DescribeClusterRequest(), 1)).error_code == ErrorCode.NONE


async def test_who_does_not_know_the_secret_is_told_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Either side finds out: this one refuses to go on with a broker that cannot prove that it knows the secret."""
    async with answering(AUTHORIZER, "PLAINTEXT", asking=bytes(32)) as (_, peers):
        with pytest.raises(KafkaError) as refused:
            await is_answered(peers)
        assert refused.value.code is ErrorCode.NETWORK_EXCEPTION


async def test_a_client_is_no_broker() -> None:
    """Without the proof, what brokers ask each other is refused."""
    async with answering(AUTHORIZER, "PLAINTEXT") as (w, _):
        reply = await w.ask(AddPartitionsToTxnRequest(), 5)
        assert reply.error_code == ErrorCode.CLUSTER_AUTHORIZATION_FAILED


async def test_a_listener_with_tls_is_spoken_to_in_tls(tmp_path: Path) -> None:
    store = tmp_path / "broker.pem"
    store.write_text(Authority().issue("CN=elsewhere").combined)
    settings = {
        **AUTHORIZER,
        "listeners": "SSL://127.0.0.1:9093",
        "ssl.keystore.location": str(store),
        "ssl.keystore.type": "PEM",
    }
    async with answering(settings, "SSL", "SSL") as (_, peers):
        assert (await is_answered(peers)).error_code == ErrorCode.NONE


async def test_many_questions_at_once_get_their_own_answers() -> None:
    async with answering({}, "PLAINTEXT") as (_, peers):
        codes: list[int] = []

        async def ask(endpoint_type: int) -> None:
            codes.append((await peers.ask(1, DescribeClusterRequest(endpoint_type=endpoint_type), 1)).error_code)

        async with trio.open_nursery() as nursery:
            for _, endpoint_type in zip(range(150), itertools.cycle((1, 2, 3)), strict=False):
                nursery.start_soon(ask, endpoint_type)
        expected = [ErrorCode.NONE, ErrorCode.MISMATCHED_ENDPOINT_TYPE, ErrorCode.UNSUPPORTED_ENDPOINT_TYPE]
        assert sorted(codes) == sorted(expected * 50)


async def test_a_broker_that_is_not_there_is_a_network_exception_at_once() -> None:
    async with answering({}, "PLAINTEXT") as (_, peers):
        with pytest.raises(KafkaError) as refused:
            await peers.ask(7, DescribeClusterRequest(), 1)
        assert refused.value.code is ErrorCode.NETWORK_EXCEPTION


class ClosedMeanwhile(trio.abc.Stream):
    """A stream that this side has closed, as a reader does that has found its end, before a question is sent."""

    async def send_all(self, data: Any) -> None:
        raise trio.ClosedResourceError

    async def wait_send_all_might_not_block(self) -> None: ...

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        await trio.sleep_forever()
        raise AssertionError

    async def aclose(self) -> None: ...


async def test_a_connection_that_ends_before_the_question_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is one more that broke: the caller is told so, and no client gets an unknown error."""
    async with answering({}, "PLAINTEXT") as (_, peers):

        async def connect(place: object) -> ClosedMeanwhile:
            return ClosedMeanwhile()

        monkeypatch.setattr(peers, "_connect", connect)
        with pytest.raises(KafkaError) as refused:
            await is_answered(peers)
        assert refused.value.code is ErrorCode.NETWORK_EXCEPTION


async def test_a_broker_that_does_not_answer_is_one_line_a_second() -> None:
    """All shards ask again and again while it is down."""
    lines = StringIO()
    process_lines().configure(form="json", stream=lines)
    try:
        async with answering(AUTHORIZER, "PLAINTEXT", asking=bytes(32)) as (_, peers):
            for _ in range(20):
                with pytest.raises(KafkaError):
                    await is_answered(peers)
    finally:
        process_lines().configure()
    assert 1 <= lines.getvalue().count("a broker could not be asked") <= 3
