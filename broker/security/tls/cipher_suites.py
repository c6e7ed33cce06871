"""`ssl.cipher.suites`: the names that Java, and IANA, give to cipher suites, in OpenSSL's words.

    TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384   ECDHE-RSA-AES256-GCM-SHA384
    TLS_RSA_WITH_AES_128_CBC_SHA256         AES128-SHA256
    TLS_AES_256_GCM_SHA384                  the same: a suite of TLS 1.3

OpenSSL, as Python has it, chooses among suites of TLS 1.2 as it is told. Those of TLS 1.3 cannot be chosen before
Python 3.15: it prefers them in the order of `PREFERRED`. So what the list leaves out is refused after the handshake, by
the connection (`Suites.allow`), and a list that would so refuse what nearly every client agrees on, by the start.
Without any suite of TLS 1.3 in the list that version is off, and likewise TLS 1.2: what such a list means in Java.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final, NamedTuple

PREFERRED: Final = ("TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256", "TLS_AES_128_GCM_SHA256")
"""Suites of TLS 1.3 in OpenSSL's order; with a server's preference, as here, the first that a client has too counts."""

_KEY_EXCHANGES: Final = ("ECDHE_RSA", "ECDHE_ECDSA", "DHE_RSA", "RSA")


class BadSuites(ValueError):
    """The list cannot be kept to. The message completes the sentence "ssl.cipher.suites: ..."."""


class Suites(NamedTuple):
    """What is allowed: OpenSSL's names for TLS 1.2, and the names of TLS 1.3. Both empty: as the library has it."""

    tls_1_2: tuple[str, ...] = ()
    tls_1_3: tuple[str, ...] = ()

    @property
    def limited(self) -> bool:
        """Whether there is a list at all."""
        return bool(self.tls_1_2 or self.tls_1_3)

    def allow(self, name: str) -> bool:
        """Whether a connection may use the suite that OpenSSL calls so."""
        return not self.limited or name in self.tls_1_2 or name in self.tls_1_3


def suites_of(names: Sequence[str], known: Collection[str]) -> Suites:
    """The suites that the key's value names. `known`: those of TLS 1.2 that this OpenSSL has. Raises BadSuites."""
    older, newer = [], []
    for name in names:
        if name in PREFERRED:
            newer.append(name)
            continue
        spelt = openssl_name(name)
        if spelt not in known:
            raise BadSuites(f"{name} is no cipher suite that is served here")
        older.append(spelt)
    if newer and PREFERRED[0] not in newer:
        raise BadSuites(
            f"among suites of TLS 1.3 Python's library prefers {PREFERRED[0]}, so a list with {newer[0]} and without "
            "that one would refuse nearly every client; name it too, or none of TLS 1.3"
        )
    return Suites(tuple(older), tuple(newer))


def openssl_name(name: str) -> str:
    """OpenSSL's name of a suite of TLS 1.2; the name itself where it has no such form."""
    exchange, separator, rest = name.removeprefix("TLS_").removeprefix("SSL_").partition("_WITH_")
    if not separator or exchange not in _KEY_EXCHANGES:
        return name
    words = rest.split("_")
    if words[:1] == ["AES"] and len(words) >= 3:
        mode = [] if words[2] == "CBC" else words[2:3]
        rest = "-".join(["AES" + words[1], *mode, *words[3:]])
    elif words[:2] == ["CHACHA20", "POLY1305"]:
        rest = "CHACHA20-POLY1305"  # the hash goes without saying
    else:
        return name
    return rest if exchange == "RSA" else f"{exchange.replace('_', '-')}-{rest}"
