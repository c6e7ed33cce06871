"""OTTLA-BROKER: how brokers of one cluster prove to each other that they are, by a secret that their database keeps.

    asking     node id (int32), nonce of 32 bytes
    answering  nonce of 32 bytes, HMAC-SHA-256(secret, "answers" + both messages so far)
    asking     HMAC-SHA-256(secret, "asks" + both messages so far)

Each side learns that the other knows the secret, and neither sends it; what was said cannot be used again, for both
have put something new into it. There is nothing to be configured, and nothing that a client could be given by mistake:
who does not reach the database does not have the secret.

The principal is `Broker:N`, which no client can have. It may what one broker asks of another (CLUSTER_ACTION), and
nothing else.
"""

from __future__ import annotations

import hashlib
import hmac
from struct import Struct
from typing import Final

from broker.security.sasl.exchange import Identity, Refusal

MECHANISM: Final = "OTTLA-BROKER"
BROKER: Final = "Broker"
"""The kind of principal that a broker is."""
NONCE: Final = 32
_NODE: Final = Struct(">i")
_FIRST: Final = _NODE.size + NONCE


def proof(secret: bytes, role: bytes, first: bytes, nonce: bytes) -> bytes:
    """What shows that `secret` is known, of the side that `role` is."""
    return hmac.digest(secret, role + first + nonce, hashlib.sha256)


class BrokerExchange:
    """One attempt, on the answering side. `nonce` has 32 bytes of chance."""

    def __init__(self, secret: bytes, nonce: bytes) -> None:
        self._secret = secret
        self._nonce = nonce
        self._first: bytes | None = None
        self.identity: Identity | None = None

    async def evaluate(self, response: bytes) -> bytes:
        """The asking broker's next message. Raises Refusal."""
        if self._first is None:
            if len(response) != _FIRST:
                raise Refusal("no message of a broker")
            self._first = response
            return self._nonce + proof(self._secret, b"answers", self._first, self._nonce)
        if not hmac.compare_digest(response, proof(self._secret, b"asks", self._first, self._nonce)):
            raise Refusal("not a broker of this cluster")
        self.identity = Identity(str(_NODE.unpack_from(self._first)[0]), kind=BROKER)
        return b""


class AskingSide:
    """The same from the other side. `nonce` has 32 bytes of chance."""

    def __init__(self, secret: bytes, node_id: int, nonce: bytes) -> None:
        self._secret = secret
        self.first = _NODE.pack(node_id) + nonce
        """What is sent first."""

    def answer(self, message: bytes) -> bytes:
        """What is sent then. Raises Refusal: who answers does not know the secret."""
        nonce, shown = message[:NONCE], message[NONCE:]
        if not hmac.compare_digest(shown, proof(self._secret, b"answers", self.first, nonce)):
            raise Refusal("who answers is not a broker of this cluster")
        return proof(self._secret, b"asks", self.first, nonce)
