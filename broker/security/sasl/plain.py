"""PLAIN (RFC 4616): one message, `authorization id NUL user NUL password`.

Users are those of the listener's `sasl.jaas.config`, an option `user_NAME` with the password each. A wrong password and
an unknown user are answered alike, and take the same time: the password is compared in any case, with a digest of a
length that does not depend on either.

Source: PlainSaslServer, PlainServerCallbackHandler; the sentences are those of a running Kafka.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from typing import Final

from broker.security.sasl.exchange import Identity, Refusal

PLAIN: Final = "PLAIN"

WRONG: Final = "Authentication failed: Invalid username or password"
OTHER_ID: Final = "Authentication failed: Client requested an authorization id that is different from username"


class PlainExchange:
    """One attempt. `passwords` has each user's."""

    def __init__(self, passwords: Mapping[str, str]) -> None:
        self._passwords = passwords
        self.identity: Identity | None = None

    async def evaluate(self, response: bytes) -> bytes:
        """The client's only message. Raises Refusal."""
        fields = response.decode("utf-8", "replace").split("\0", 3)
        if len(fields) != 3:
            raise Refusal("no three fields", f"Invalid SASL/PLAIN response: expected 3 tokens, got {len(fields)}")
        authorization_id, user, password = fields
        if not user:
            raise Refusal("no user", "Authentication failed: username not specified")
        if not password:
            raise Refusal("no password", "Authentication failed: password not specified")
        expected = self._passwords.get(user)
        alike = hmac.compare_digest(_digest(password), _digest(expected or ""))
        if expected is None:
            raise Refusal("an unknown user", WRONG)
        if not alike:
            raise Refusal("a wrong password", WRONG, user=user)
        if authorization_id not in ("", user):
            raise Refusal("an authorization id other than the user", OTHER_ID, user=user)
        self.identity = Identity(user)
        return b""


def _digest(password: str) -> bytes:
    """Of one length, so that comparing says nothing about the length of a password."""
    return hashlib.sha256(password.encode("utf-8", "replace")).digest()
