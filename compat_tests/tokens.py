"""Delegation tokens (KIP-48), asked for over the wire: most client libraries cannot, and what makes a token is not what
is tried with it.

One connection logs in with PLAIN, asks for a token and waits until the broker shows it, for a broker of Apache Kafka
lets no client in with it before. The versions are the oldest that Kafka 4 has, whose fields are plain: numbers in
network order, and a length of two bytes before each text, of four before bytes and lists.
"""

from __future__ import annotations

import base64
import socket
import struct
import time
from typing import Final, NamedTuple

SASL_HANDSHAKE: Final = 17, 1
SASL_AUTHENTICATE: Final = 36, 0
CREATE_DELEGATION_TOKEN: Final = 38, 1
DESCRIBE_DELEGATION_TOKEN: Final = 41, 1
SHOWN_WITHIN: Final = 10.0


class Token(NamedTuple):
    """What a client logs in with by SCRAM: the id is its user, the secret its password."""

    id: str
    secret: str


def make_token(port: int, user: str, password: str) -> Token:
    """A token of the user's, on the broker's SASL_PLAINTEXT listener at the port."""
    with socket.create_connection(("localhost", port), 10) as sock:
        _code(_ask(sock, SASL_HANDSHAKE, _text("PLAIN")))
        secret = f"\0{user}\0{password}".encode()
        _code(_ask(sock, SASL_AUTHENTICATE, struct.pack(">i", len(secret)) + secret))
        made = _ask(sock, CREATE_DELEGATION_TOKEN, struct.pack(">iq", 0, 3_600_000))
        _code(made)
        at = 2
        for _ in ("type", "name"):  # of the owner
            at += 2 + int.from_bytes(made[at : at + 2], "big")
        at += 3 * 8  # when it was made, ends, and ends at the latest
        length = int.from_bytes(made[at : at + 2], "big")
        token_id = made[at + 2 : at + 2 + length].decode()
        at += 2 + length
        hmac = made[at + 4 : at + 4 + int.from_bytes(made[at : at + 4], "big")]
        deadline = time.monotonic() + SHOWN_WITHIN
        while token_id.encode() not in _ask(sock, DESCRIBE_DELEGATION_TOKEN, struct.pack(">i", -1)):
            assert time.monotonic() < deadline, "the broker does not show the token"
    return Token(token_id, base64.b64encode(hmac).decode())


def _text(text: str) -> bytes:
    return struct.pack(">h", len(text)) + text.encode()


def _code(answer: bytes) -> None:
    code = int.from_bytes(answer[:2], "big", signed=True)
    assert code == 0, f"the broker answers with the code {code}"


def _ask(sock: socket.socket, api: tuple[int, int], body: bytes) -> bytes:
    request = struct.pack(">hhi", *api, 1) + _text("tokens") + body
    sock.sendall(struct.pack(">i", len(request)) + request)
    size = int.from_bytes(_exactly(sock, 4), "big")
    return _exactly(sock, size)[4:]


def _exactly(sock: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        piece = sock.recv(count - len(data))
        assert piece, "the broker has closed the connection"
        data += piece
    return data
