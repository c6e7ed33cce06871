"""Peers that speak something else than their listener: what it is, and how often the log has it."""

from __future__ import annotations

import pytest
from trio.testing import MockClock

from broker.network.strangers import Complaints, by_length, spoken
from broker.network.watch import Ending
from broker.tests.network.served import Script, connected
from storage.seams import logging


@pytest.mark.parametrize(
    ("first", "what"),
    [
        (b"\x16\x03\x01\x02\x00\x01", "TLS"),
        (b"GET / HTTP/1.1\r\n", "HTTP"),
        (b"PRI * HTTP/2.0\r\n", "HTTP"),
        (b"POST", "HTTP"),
        (b"\0\0\0\x1f\0\x12\0\4", "Kafka's protocol"),
        (b"\xff\xfe\0\0", None),
        (b"", None),
    ],
)
def test_a_peer_is_known_by_its_first_bytes(first: bytes, what: str | None) -> None:
    """As it is by the length that they would be."""
    assert spoken(first) == what
    if len(first) >= 4:
        assert by_length(int.from_bytes(first[:4], "big", signed=True)) == what


@pytest.mark.parametrize(("first", "what"), [(b"\x16\x03\x01\x02", "TLS"), (b"GET ", "HTTP")])
async def test_a_stranger_on_a_plain_listener_is_named_once_a_minute(
    autojump_clock: MockClock, capfd: pytest.CaptureFixture[str], first: bytes, what: str
) -> None:
    """Not as a frame of 369295618 bytes, and not each time that it tries again."""
    logging.configure(level="info", form="text")
    async with connected(Script()) as (transport, connection):
        transport.deliver(first + b"more")
    assert connection.ending is Ending.PROTOCOL
    assert f"the peer speaks {what}, and this listener PLAINTEXT" in capfd.readouterr().err


def test_one_address_is_complained_about_once_a_minute() -> None:
    """And of more addresses than could be remembered, nothing is said."""
    complaints = Complaints()
    assert complaints.due("a", 0.0)
    assert not complaints.due("a", 59.0)
    assert complaints.due("a", 60.0)
    said = sum(complaints.due(f"host-{number}", 61.0) for number in range(5000))
    assert said == Complaints.MOST_HOSTS - 1
    assert complaints.due("late", 200.0)
