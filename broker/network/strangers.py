"""Peers that speak something else than their listener does: recognised by their first bytes, and named in the log.

Most are clients with one setting missing: TLS on a listener without, none on a listener with it; and browsers or health
checks that speak HTTP. All they get is a closed connection, so the log has to say what it was, and it does so once a
minute for each address, however often they come back.

A frame of Kafka's begins with its length, whose first byte is zero: `socket.request.max.bytes` is far below 16 MiB in
every installation but those that raise it, and then it is below 100 or so. A record of TLS begins with the type 22
(a handshake) and the version 3 (RFC 8446, 5.1); a request of HTTP with its method.
"""

from __future__ import annotations

from typing import Final

TLS: Final = "TLS"
HTTP: Final = "HTTP"
KAFKA: Final = "Kafka's protocol"
HELLO: Final = b"\x16\x03"
"""How TLS begins."""

_METHODS: Final = (b"GET ", b"POST", b"PUT ", b"HEAD", b"DELE", b"OPTI", b"CONN", b"PATC", b"TRAC", b"PRI ")


def spoken(first: bytes) -> str | None:
    """What a peer speaks whose first four bytes, or more, are these; None if it is nothing that is known here."""
    if first.startswith(HELLO):
        return TLS
    if first[:4] in _METHODS:
        return HTTP
    return KAFKA if first[:1] == b"\0" else None


def by_length(length: int) -> str | None:
    """The same where the first four bytes were taken for the length of a frame."""
    return spoken(length.to_bytes(4, "big", signed=True))


class Complaints:
    """What is written about one address once a minute, however often it happens; of a bounded number of addresses."""

    MOST_HOSTS: Final = 1000
    SECONDS: Final = 60.0

    def __init__(self) -> None:
        self._said: dict[str, float] = {}

    def due(self, host: str, now: float) -> bool:
        """Whether to write about this address now. Monotonic seconds."""
        said = self._said.get(host)
        if said is not None and now - said < self.SECONDS:
            return False
        if len(self._said) >= self.MOST_HOSTS:
            self._said = {each: at for each, at in self._said.items() if now - at < self.SECONDS}
            if len(self._said) >= self.MOST_HOSTS:
                return False
        self._said[host] = now
        return True
