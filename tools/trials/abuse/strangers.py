"""Attacks by peers of whom it is not known who they are: on a listener with SASL, and on one with TLS.

The broker's other listener is plain, and the witness stands there: what strangers do is felt by those who are served.
Ottla only: the secured listener is at the port after the plain one.
"""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable
from contextlib import ExitStack, suppress
from struct import pack_into
from typing import Final

from broker.testing.certificates import Authority
from kproto.batches.header import compute_crc
from kproto.batches.records import RecordData, build_batch
from kproto.messages.api_versions import ApiVersionsRequest
from kproto.messages.metadata import MetadataRequest
from kproto.messages.produce import PartitionProduceData, ProduceRequest, TopicProduceData
from kproto.messages.sasl_authenticate import SaslAuthenticateRequest
from kproto.messages.sasl_handshake import SaslHandshakeRequest
from tools.trials.abuse.attack import PATIENCE_SECONDS, Attacks, Site, Steps, framed
from tools.trials.benchmark.partitions import read_frame
from tools.trials.benchmark.transactional_load import CRC_AT, PRODUCER_AT

ATTACKS = Attacks()

UNKNOWN = "what a peer that has not said who it is may take"
STANDING_BY = "the price of standing by"
PRODUCERS = "producers that come once"
MANY, AT_ONCE = 1_000, 50
SECONDS: Final = 8.0

LISTENERS = "listeners=PLAINTEXT://127.0.0.1:{port},OPEN://127.0.0.1:{controller}"
JAAS = 'org.apache.kafka.common.security.plain.PlainLoginModule required user_alice="secret";'
WITH_SASL = (
    LISTENERS,
    "listener.security.protocol.map=PLAINTEXT:PLAINTEXT,OPEN:SASL_PLAINTEXT",
    "sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256",
    f"listener.name.open.plain.sasl.jaas.config={JAAS}",
)
_CERTIFIED = Authority().issue()
WITH_TLS = (
    LISTENERS,
    "listener.security.protocol.map=PLAINTEXT:PLAINTEXT,OPEN:SSL",
    "ssl.keystore.type=PEM",
    f"ssl.keystore.key={_CERTIFIED.key}",
    f"ssl.keystore.certificate.chain={_CERTIFIED.chain}",
)

ASK = framed(ApiVersionsRequest(client_software_name="abuse", client_software_version="1"), 3)
PLAIN = ASK + framed(SaslHandshakeRequest(mechanism="PLAIN"), 1)
WRONG = PLAIN + framed(SaslAuthenticateRequest(auth_bytes=b"\0alice\0guess"), 2)
SCRAM = ASK + framed(SaslHandshakeRequest(mechanism="SCRAM-SHA-256"), 1)


def stranger(site: Site) -> socket.socket:
    """A connection to the secured listener, which the caller closes."""
    return socket.create_connection(("127.0.0.1", site.port + 1), PATIENCE_SECONDS)


def again_and_again(site: Site, attempt: Callable[[], None]) -> None:
    """Several threads, each making one attempt after the other."""

    def work() -> None:
        while not done.is_set() and not site.over.is_set():
            with suppress(OSError):
                attempt()

    done = threading.Event()
    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    site.over.wait(SECONDS)
    done.set()
    for thread in threads:
        thread.join()


def held(site: Site, first: bytes) -> None:
    """A crowd that says something, and then nothing."""
    with ExitStack() as stack:
        for _ in range(MANY):
            with suppress(OSError):
                peer = stack.enter_context(stranger(site))
                peer.sendall(first)
        site.over.wait(3)


@ATTACKS.add("1,000 strangers that say nothing", UNKNOWN, *WITH_SASL)
def silent(site: Site) -> Steps:
    """They take places for those who have not said who they are."""
    yield
    held(site, b"")


@ATTACKS.add("1,000 strangers, each with most of a frame of 64 KiB", UNKNOWN, *WITH_SASL)
def large_frames(site: Site) -> Steps:
    """The largest that is taken of them."""
    yield
    held(site, (64 << 10).to_bytes(4, "big") + bytes(60 << 10))


@ATTACKS.add("wrong passwords, one after the other", UNKNOWN, *WITH_SASL)
def wrong_passwords(site: Site) -> Steps:
    """Fifty at a time; each answer is held back for a tenth of a second."""
    yield

    def guess() -> None:
        with ExitStack() as stack:
            peers = [stack.enter_context(stranger(site)) for _ in range(AT_ONCE)]
            for peer in peers:
                peer.sendall(WRONG)
            for peer in peers:
                while peer.recv(1 << 16):
                    pass

    again_and_again(site, guess)


@ATTACKS.add("SCRAM with users that there are not, one after the other", UNKNOWN, *WITH_SASL)
def unknown_users(site: Site) -> Steps:
    """Each gets a salt, and does not go on."""
    yield
    names = iter(range(1 << 30))

    def ask() -> None:
        with stranger(site) as peer:
            first = f"n,,n=user{next(names)},r=fyko+d2lbbFgONRv9qkxdawL".encode()
            peer.sendall(SCRAM + framed(SaslAuthenticateRequest(auth_bytes=first), 2))
            peer.recv(1 << 16)

    again_and_again(site, ask)


def hello() -> bytes:
    """The first message of a handshake."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    context = ssl.create_default_context()
    with suppress(ssl.SSLWantReadError):
        context.wrap_bio(incoming, outgoing, server_hostname="localhost").do_handshake()
    return outgoing.read()


@ATTACKS.add("1,000 handshakes of TLS that do not go on", UNKNOWN, *WITH_TLS)
def half_a_handshake(site: Site) -> Steps:
    """Each has made the broker sign something."""
    yield
    held(site, hello())


@ATTACKS.add("handshakes of TLS as fast as they go", UNKNOWN, *WITH_TLS)
def handshakes(site: Site) -> Steps:
    """Eight clients that connect, shake hands, and leave."""
    yield
    context = ssl._create_unverified_context()

    def greet() -> None:
        with stranger(site) as plain, context.wrap_socket(plain) as peer:
            peer.sendall(ASK)
            peer.recv(1 << 16)

    again_and_again(site, greet)


@ATTACKS.add("10,000 idle connections", STANDING_BY, budget_mb=136.0)
def ten_thousand(site: Site) -> Steps:
    """They have asked one thing, and stay: 200 MB for all of them."""
    words = framed(MetadataRequest(topics=[]), 12)
    yield
    for _ in range(10_000):
        with suppress(OSError):
            peer = site.socket()
            peer.sendall(words)
            peer.recv(1 << 16)


@ATTACKS.add("1,000,000 producer ids, each with one batch", PRODUCERS)
def a_million_producers(site: Site) -> Steps:
    """Kafka remembers each for a day; here a log and a broker remember so many, and the oldest go."""
    partitions, in_flight = 64, 4
    topic = site.topic(partitions)
    client = site.client()
    batch = bytearray(build_batch([RecordData(0, 0, None, b"x", ())], producer_id=0, producer_epoch=0, base_sequence=0))
    yield
    waiting = 0
    for first in range(0, 1_000_000, partitions):
        parts = []
        for index in range(partitions):
            mine = bytearray(batch)
            pack_into(">q", mine, PRODUCER_AT, 1_000_000 + first + index)
            pack_into(">I", mine, CRC_AT, compute_crc(mine, 0, len(mine)))
            parts.append(PartitionProduceData(index=index, records=mine))
        request = ProduceRequest(
            acks=1, timeout_ms=30_000, topic_data=[TopicProduceData(name=topic, partition_data=parts)]
        )
        client.socket.sendall(client.encode(request, 9, expect_reply=False))
        waiting += 1
        if waiting == in_flight:
            read_frame(client)
            waiting -= 1
        if site.over.is_set():
            return
