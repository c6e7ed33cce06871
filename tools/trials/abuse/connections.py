"""Attacks by connections: many of a bad kind, memory that they claim, places that they keep."""

from __future__ import annotations

import socket
from contextlib import suppress

from kproto.messages.create_topics import CreatableTopic, CreateTopicsRequest
from kproto.messages.fetch import FetchPartition, FetchRequest, FetchTopic
from kproto.messages.metadata import MetadataRequest
from tools.trials.abuse.attack import Attacks, Site, Steps, drain, framed
from tools.trials.abuse.members import join

ATTACKS = Attacks()

MEMORY = "memory that is not counted"
STANDING_BY = "the price of standing by"
SHARE = "a share that one can take whole"
GONE = "a peer that has gone is not noticed"
MANY = 1_000


@ATTACKS.add("3,000 idle connections", STANDING_BY)
def idle(site: Site) -> Steps:
    """They have asked one thing, and stay."""
    yield
    for _ in range(3_000):
        with suppress(OSError):
            site.client().call(MetadataRequest(topics=[]), 12)


@ATTACKS.add("1,000 trickling connections", STANDING_BY)
def trickling(site: Site) -> Steps:
    """A byte now and then, of a request that never is complete."""
    peers = [site.socket() for _ in range(MANY)]
    yield
    request = framed(MetadataRequest(topics=[]), 12)
    for byte in request[:-1]:
        for peer in peers:
            with suppress(OSError):
                peer.send(bytes([byte]))


@ATTACKS.add("1,000 connections that do not read", MEMORY)
def not_reading(site: Site) -> Steps:
    """Each asks for records again and again, and never looks at an answer."""
    topic = site.topic()
    parts = [FetchPartition(partition=0, partition_max_bytes=1 << 20)]
    request = FetchRequest(max_wait_ms=0, max_bytes=1 << 20, topics=[FetchTopic(topic=topic, partitions=parts)])
    ask = framed(MetadataRequest(topics=None), 12) * 50 + framed(request, 12) * 50
    peers = [site.socket() for _ in range(MANY)]
    yield
    for peer in peers:
        peer.setblocking(False)
        with suppress(OSError):
            peer.send(ask)
    site.over.wait(3)


@ATTACKS.add("1,000 half-closed connections", STANDING_BY)
def half_closed(site: Site) -> Steps:
    """They have said that they will say no more, and stay."""
    peers = [site.socket() for _ in range(MANY)]
    yield
    for peer in peers:
        with suppress(OSError):
            peer.shutdown(socket.SHUT_WR)
    site.over.wait(1)


@ATTACKS.add("1,000 members that joined and have gone", GONE)
def joined_and_gone(site: Site) -> Steps:
    """Parked in JoinGroup of one group with the longest timeouts, then closed without a word."""
    group = site.group()
    with_metadata = framed(join(group, rebalance_timeout_ms=1_800_000, session_timeout_ms=1_800_000), 3)
    peers = [site.socket() for _ in range(MANY)]
    yield
    for peer in peers:
        peer.sendall(with_metadata)
    site.over.wait(0.5)
    for peer in peers:
        peer.close()
    site.over.wait(3)


@ATTACKS.add("1,000 consumers that wait and have gone", GONE)
def waiting_and_gone(site: Site) -> Steps:
    """Each behind 64 Fetches that wait for half an hour, then closed without a word."""
    topic = site.topic()
    parts = [FetchPartition(partition=0, partition_max_bytes=1 << 20)]
    request = FetchRequest(
        max_wait_ms=1_800_000, min_bytes=1, max_bytes=1 << 20, topics=[FetchTopic(topic=topic, partitions=parts)]
    )
    ask = framed(request, 12) * 70
    peers = [site.socket() for _ in range(MANY)]
    yield
    for peer in peers:
        peer.sendall(ask)
    site.over.wait(0.5)
    for peer in peers:
        peer.close()
    site.over.wait(3)


@ATTACKS.add("200 requests of just under 4 MiB that do not end", MEMORY, "queued.max.request.bytes=67108864")
def almost_whole_requests(site: Site) -> Steps:
    """All but the last byte of each, with a limit of 64 MiB for all."""
    peers = [site.socket() for _ in range(200)]
    size = (4 << 20) - 1024
    part = bytes(64 << 10)
    yield
    left = dict.fromkeys(peers, size - 5)
    for peer in peers:
        peer.sendall(size.to_bytes(4, "big"))
        peer.setblocking(False)
    while left and not site.over.wait(0.01):
        moved = False
        for peer in list(left):
            try:
                left[peer] -= peer.send(part[: left[peer]])
                moved = True
            except BlockingIOError:
                continue
            except OSError:
                left[peer] = 0
            if left[peer] <= 0:
                del left[peer]
        if not moved and site.over.wait(1):
            return


@ATTACKS.add("12 connections announce 100 MiB and trickle", SHARE)
def announcers(site: Site) -> Steps:
    """Another client's request above 64 KiB must still be served."""
    peers = [site.socket() for _ in range(12)]
    for peer in peers:
        peer.sendall((100 << 20).to_bytes(4, "big") + b"\0")
    topics = [
        CreatableTopic(name=f"{'n' * 200}{number}", num_partitions=1, replication_factor=1) for number in range(500)
    ]
    honest = site.client()
    yield
    for _ in range(20):
        for peer in peers:
            with suppress(OSError):
                peer.send(b"\0")
        honest.call(CreateTopicsRequest(topics=topics, timeout_ms=30_000, validate_only=True), 5)


@ATTACKS.add("64 MiB of answers asked for by one connection that reads slowly", MEMORY)
def slow_reader(site: Site) -> Steps:
    """Metadata of everything, ten thousand times, at its leisure."""
    peer = site.socket()
    peer.setblocking(False)
    ask = framed(MetadataRequest(topics=None), 12) * 10_000
    yield
    sent = 0
    while sent < len(ask) and not site.over.wait(0.01):
        try:
            sent += peer.send(ask[sent : sent + 65536])
        except BlockingIOError:
            peer.setblocking(True)
            drain(peer, 4096)
            peer.setblocking(False)
