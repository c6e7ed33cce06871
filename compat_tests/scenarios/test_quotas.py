"""Quotas: a client that sends faster than it may is slowed down, and loses nothing."""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Callable

import pytest

from compat_tests.clients.contract import Record
from compat_tests.scenarios import needs
from compat_tests.session import Session, read, values

BYTES_A_SECOND = 50_000
WINDOW_SECONDS = 10
"""What a quota is measured over: so many seconds' worth may be sent at once."""
RECORD = 200_000
OVER = (3 * RECORD / WINDOW_SECONDS - BYTES_A_SECOND) / BYTES_A_SECOND * WINDOW_SECONDS
"""Seconds for which a client is slowed down after three such records: two."""
ALTER_CLIENT_QUOTAS, BY_DEFAULT = 49, -1


def limit_every_client(bootstrap: str) -> None:
    """A quota for every client id by default; no client library has this request."""

    def string(text: str) -> bytes:
        return struct.pack(">h", len(text)) + text.encode()

    entity = struct.pack(">i", 1) + string("client-id") + struct.pack(">h", BY_DEFAULT)
    change = struct.pack(">i", 1) + string("producer_byte_rate") + struct.pack(">d?", float(BYTES_A_SECOND), False)
    body = struct.pack(">i", 1) + entity + change + b"\0"
    request = struct.pack(">hhi", ALTER_CLIENT_QUOTAS, 0, 1) + string("scenario") + body
    host, _, port = bootstrap.rpartition(":")
    with socket.create_connection((host, int(port)), 10) as asked, asked.makefile("rb") as answers:
        asked.sendall(struct.pack(">i", len(request)) + request)
        [size] = struct.unpack(">i", answers.read(4))
        answer = answers.read(size)
    [error] = struct.unpack_from(">h", answer, 12)
    assert error == 0, answer


@needs("assign", "large_requests")
def test_a_client_beyond_its_quota_is_slowed_down(connect: Callable[..., Session]) -> None:
    """Beyond what it may send in a second a client waits as long as it is told, and every record arrives"""
    session = connect("quota")
    if session.client == "kcat":
        pytest.skip("gap: each call is a process, with a connection of its own")
    limit_every_client(session.bootstrap)
    partition = session.partition()
    producer = session.producer(timeout=30.0)
    producer.produce(partition.topic, [Record(b"first")])
    began = time.monotonic()
    for _ in range(3):
        producer.produce(partition.topic, [Record(bytes(RECORD))])
    producer.produce(partition.topic, [Record(b"last")])
    assert 0.75 * OVER < time.monotonic() - began < 20 * OVER
    assert values(read(session.reader(partition), 5))[-1] == b"last"
