"""What all SASL mechanisms have in common: messages come and go until the client has an identity, or is refused.

An exchange is made for one attempt of one client. The client speaks first. `evaluate` returns what is sent back, and
once `identity` is there the exchange is over. A refusal ends it too.

**What a refusal says.** Why a client was refused is for the log of this broker (`Refusal.reason`), and may name a user.
What the client is sent must not help it to find out who exists, so most refusals are told in one sentence that is the
same for all (`told` is None); the few that Kafka words for the client, a wrong PLAIN password for one, are sent so.

Source: RFC 4422; Kafka's SaslServer implementations, whose SaslException and SaslAuthenticationException differ in just
that.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

from broker.security.principals import USER


class Refusal(Exception):
    """The client has not proved who it is. `reason` is for the log; `told` is what the client is sent, or None for the
    sentence that is the same for all."""

    def __init__(self, reason: str, told: str | None = None, *, user: str | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.told = told
        self.user = user
        """The user, where it is one that exists: any other text may be a password in the wrong field."""


class Identity(NamedTuple):
    """Who the client is. `expires` is when what proved it does, in wall-clock milliseconds; None for never."""

    name: str
    token: bool = False
    """True where a delegation token proved it."""
    expires: int | None = None
    kind: str = USER
    """Of the principal."""


class Exchange(Protocol):
    """One attempt of one client."""

    identity: Identity | None

    async def evaluate(self, response: bytes) -> bytes:
        """Take the client's next message; returns what is sent back, which may be empty. Raises Refusal."""
        ...
