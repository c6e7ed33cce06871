"""PLAIN: the listener's own users."""

from __future__ import annotations

import pytest

from broker.security.sasl.exchange import Identity, Refusal
from broker.security.sasl.plain import WRONG, PlainExchange

USERS = {"alice": "alice-secret", "bob": "b"}


@pytest.mark.parametrize("message", [b"\0alice\0alice-secret", b"alice\0alice\0alice-secret"])
async def test_a_right_password_proves_the_user(message: bytes) -> None:
    """With an authorization id or without; the answer is empty."""
    exchange = PlainExchange(USERS)
    assert await exchange.evaluate(message) == b""
    assert exchange.identity == Identity("alice")


@pytest.mark.parametrize(
    ("message", "told"),
    [
        (b"\0alice\0wrong", WRONG),
        (b"\0mallory\0alice-secret", WRONG),
        (b"\0mallory\0", "Authentication failed: password not specified"),
        (b"\0\0alice-secret", "Authentication failed: username not specified"),
        (b"", "Invalid SASL/PLAIN response: expected 3 tokens, got 1"),
        (b"alice", "Invalid SASL/PLAIN response: expected 3 tokens, got 1"),
        (b"\0alice\0alice-secret\0x\0y", "Invalid SASL/PLAIN response: expected 3 tokens, got 4"),
        (b"\0alice\0alice-secre", WRONG),
        (b"\0alice\0alice-secrett", WRONG),
        (b"\0\xff\0\xff", WRONG),
        (b"bob\0alice\0alice-secret", "Authentication failed: Client requested an authorization id that is different "
         "from username"),
    ],
)  # fmt: skip
async def test_anything_else_is_refused(message: bytes, told: str | None) -> None:
    """With Kafka's sentences, the same for a wrong password and a user that there is not."""
    exchange = PlainExchange(USERS)
    with pytest.raises(Refusal) as refused:
        await exchange.evaluate(message)
    assert refused.value.told == told
    assert exchange.identity is None


async def test_a_name_is_remembered_only_if_it_is_a_users() -> None:
    """What stands in its place otherwise may be a password, and goes into no log."""
    with pytest.raises(Refusal) as wrong:
        await PlainExchange(USERS).evaluate(b"\0alice\0x")
    assert wrong.value.user == "alice"
    with pytest.raises(Refusal) as unknown:
        await PlainExchange(USERS).evaluate(b"\0alice-secret\0alice")
    assert unknown.value.user is None
    assert "alice-secret" not in str(unknown.value)
