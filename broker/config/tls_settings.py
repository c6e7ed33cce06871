"""A listener's `ssl.*` keys as one frozen value, checked without looking at a file.

Each key counts under the listener's prefix first, `listener.name.{name in lower case}.ssl.keystore.location`, and then
without it (KIP-103). What contradicts itself, or would leave a listener without what TLS needs, raises `BadTls`: a
sentence that begins with the key. So does what cannot be kept to here:

* A listener without a key store can answer no client.
* `ssl.client.auth` with `requested` or `required` and no trust store would, in Kafka, trust every authority that Java
  trusts, so that anyone who can buy a certificate is let in. No installation means that; here it is refused.
* `ssl.enabled.protocols` without TLSv1.2 and TLSv1.3. Older versions beside them are not served (nor does Java any more
  unless it is told to), which a notice says.

Of a listener with SASL_SSL, `ssl.client.auth` counts only under the listener's prefix (KIP-684): clients say who they
are by SASL there, and a file that asks clients of another listener for certificates must not shut them out.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

VERSIONS: Final = ("TLSv1.2", "TLSv1.3")
OLD_VERSIONS: Final = ("TLSv1.1", "TLSv1", "SSLv3", "SSLv2Hello")


class BadTls(ValueError):
    """The settings of a listener's TLS make no sense. The message is a sentence; `key` is the key that it is about."""

    def __init__(self, key: str, complaint: str) -> None:
        super().__init__(complaint)
        self.key = key


@dataclass(frozen=True, slots=True)
class Store:
    """Where a store is, or its PEM texts. `kind` is what its key says, which its content may correct."""

    location: str | None
    password: str | None
    kind: str
    certificates: str | None
    key: str | None = None
    key_password: str | None = None

    def __repr__(self) -> str:  # passwords and keys must not get into a log
        return f"Store({self.location or self.kind})"


@dataclass(frozen=True, slots=True)
class TlsSettings:
    """What one listener's TLS is made from. `suites` has Java's names, `rules` is the text of the mapping."""

    listener: str
    key_store: Store
    trust_store: Store | None
    client_auth: str
    protocols: tuple[str, ...]
    suites: tuple[str, ...]
    rules: str
    allow_dn_changes: bool
    allow_san_changes: bool

    @property
    def asks_for_certificates(self) -> bool:
        """Whether a client may, or must, show a certificate."""
        return self.client_auth != "none"

    @property
    def files(self) -> tuple[str, ...]:
        """The files that it is made from."""
        stores = (self.key_store, self.trust_store)
        return tuple(store.location for store in stores if store is not None and store.location is not None)


Ask = Callable[[str], object]
"""The value in force of a key for the listener."""


def tls_settings(listener: str, protocol: str, ask: Ask, has_own: Callable[[str], bool]) -> TlsSettings:
    """The settings of a listener that speaks SSL or SASL_SSL. `has_own`: whether a key has the listener's prefix
    somewhere. Raises BadTls."""

    def text(key: str) -> str | None:
        value = ask(key)
        return str(value) if value not in (None, "") else None

    def items(key: str) -> tuple[str, ...]:
        value = ask(key)
        return value if isinstance(value, tuple) else ()

    client_auth = text("ssl.client.auth") or "none"
    if protocol == "SASL_SSL" and not has_own("ssl.client.auth"):
        client_auth = "none"
    trust_store = _trust_store(text)
    if client_auth != "none" and trust_store is None:
        raise BadTls(
            "ssl.truststore.location",
            f"listener {listener} asks clients for certificates (ssl.client.auth={client_auth}), so a trust store must "
            "say whose it believes",
        )
    protocols = items("ssl.enabled.protocols") or VERSIONS
    for version in protocols:
        if version not in VERSIONS + OLD_VERSIONS:
            raise BadTls(
                "ssl.enabled.protocols", f"{version} is no version of TLS; {' and '.join(VERSIONS)} are served"
            )
    if not set(protocols) & set(VERSIONS):
        raise BadTls("ssl.enabled.protocols", f"only {' and '.join(VERSIONS)} are served, and neither is named")
    return TlsSettings(
        listener,
        _key_store(listener, text),
        trust_store,
        client_auth,
        tuple(version for version in VERSIONS if version in protocols),
        items("ssl.cipher.suites"),
        text("ssl.principal.mapping.rules") or "DEFAULT",
        ask("ssl.allow.dn.changes") is True,
        ask("ssl.allow.san.changes") is True,
    )


def _key_store(listener: str, text: Callable[[str], str | None]) -> Store:
    store = Store(
        location=text("ssl.keystore.location"),
        password=text("ssl.keystore.password"),
        kind=(text("ssl.keystore.type") or "JKS").upper(),
        certificates=text("ssl.keystore.certificate.chain"),
        key=text("ssl.keystore.key"),
        key_password=text("ssl.key.password"),
    )
    _agree("ssl.keystore", store)
    if store.key is not None and store.certificates is None:
        raise BadTls("ssl.keystore.certificate.chain", "it must be given beside ssl.keystore.key")
    if store.key is None and store.certificates is not None:
        raise BadTls("ssl.keystore.key", "it must be given beside ssl.keystore.certificate.chain")
    if store.key is None and store.location is None:
        raise BadTls("ssl.keystore.location", f"it must be given, or listener {listener} has no certificate to show")
    return store


def _trust_store(text: Callable[[str], str | None]) -> Store | None:
    store = Store(
        location=text("ssl.truststore.location"),
        password=text("ssl.truststore.password"),
        kind=(text("ssl.truststore.type") or "JKS").upper(),
        certificates=text("ssl.truststore.certificates"),
    )
    _agree("ssl.truststore", store)
    return None if store.location is None and store.certificates is None else store


def _agree(prefix: str, store: Store) -> None:
    """What holds of either store (Kafka: DefaultSslEngineFactory)."""
    if store.certificates is not None or store.key is not None:
        if store.kind != "PEM":
            raise BadTls(f"{prefix}.type", f"it must be PEM where certificates are given as text, and is {store.kind}")
        if store.location is not None:
            raise BadTls(f"{prefix}.location", "it cannot be given beside certificates as text")
        if store.password is not None:
            raise BadTls(f"{prefix}.password", "PEM has none; that of its key is ssl.key.password")
    elif store.location is None and store.password is not None:
        raise BadTls(f"{prefix}.location", f"{prefix}.password is given, and no store")
