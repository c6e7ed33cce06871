"""Key stores and trust stores, by their content; and what is said about those that cannot be used."""

from __future__ import annotations

import ssl
import sys
from typing import Any

import pytest

from broker.security.tls import memory_files
from broker.security.tls.memory_files import load_identity
from broker.security.tls.stores import (
    BadStore,
    Identity,
    first_certificate,
    identity_of_pem,
    read_key_store,
    read_trust_store,
)
from broker.testing.certificates import Authority, rsa_key

AUTHORITY = Authority("Root")
BETWEEN = Authority("Between", parent=AUTHORITY)
SERVER = BETWEEN.issue("CN=server")


def works(identity: Identity, **options: bool) -> bool:
    """Whether OpenSSL takes it."""
    load_identity(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), identity, **options)
    return True


@pytest.mark.parametrize("in_memory", [True, False])
@pytest.mark.parametrize(
    ("content", "password", "key_password"),
    [
        (SERVER.combined.encode(), None, None),
        ((SERVER.chain + SERVER.key).encode(), None, None),
        ((SERVER.traditional_key + SERVER.chain).encode(), None, None),
        ((SERVER.encrypted_key("secret") + SERVER.chain).encode(), None, "secret"),
        (SERVER.pkcs12("secret"), "secret", None),
        (("Bag Attributes\n  friendlyName: x\n" + SERVER.combined).encode(), None, "not needed"),
    ],
)
def test_a_key_store_is_known_by_its_content(
    content: bytes, password: str | None, key_password: str | None, in_memory: bool
) -> None:
    """PEM in any order and PKCS12; the chain is whole, on platforms with memory files and without."""
    identity = read_key_store(content, password, key_password)
    assert works(identity, in_memory=in_memory)
    assert identity.chain.count(b"BEGIN CERTIFICATE") == 2
    assert first_certificate(identity.chain) == SERVER.der


def test_a_key_may_be_one_line_of_a_properties_file() -> None:
    """Spaces stand where lines ended."""
    key, chain = (" ".join(text.split("\n")).encode() for text in (SERVER.key, SERVER.chain))
    assert works(identity_of_pem(key, chain, None))


def test_a_key_of_rsa_works() -> None:
    """Most people's are."""
    assert works(read_key_store(AUTHORITY.issue(key=rsa_key()).pkcs12("x"), "x", None))


@pytest.mark.parametrize(
    ("content", "password", "key_password", "reason"),
    [
        (b"\xfe\xed\xfe\xed\0\0\0\2", "x", None, "it is JKS, which only Java reads.*keytool -importkeystore"),
        (b"\xce\xce\xce\xce\0\0\0\2", "x", None, "it is JCEKS"),
        (b"", None, None, "neither PEM nor PKCS12"),
        (b"hello", None, None, "neither PEM nor PKCS12"),
        (SERVER.pkcs12("secret"), None, None, "its password is not given"),
        (SERVER.pkcs12("secret"), "wrong", None, "cannot be opened"),
        (SERVER.pkcs12("secret")[:-50], "secret", None, "cannot be opened"),
        (AUTHORITY.pkcs12("secret"), "secret", None, "no private key"),
        (SERVER.combined.encode(), "secret", None, "has no password of its own"),
        (SERVER.chain.encode(), None, None, "it has no private key"),
        (SERVER.key.encode(), None, None, "it has no certificate"),
        ((SERVER.key * 2 + SERVER.chain).encode(), None, None, "it has 2 private keys"),
    ],
)
def test_a_key_store_that_cannot_be_used_says_why(
    content: bytes, password: str | None, key_password: str | None, reason: str
) -> None:
    """One clause, and of JKS the command that converts it."""
    with pytest.raises(BadStore, match=reason):
        read_key_store(content, password, key_password)


@pytest.mark.parametrize("in_memory", [True, False])
def test_a_key_that_cannot_be_loaded_says_why(in_memory: bool) -> None:
    """Without its password OpenSSL would ask for it at the terminal."""
    encrypted = SERVER.encrypted_key("secret").encode()
    chain = SERVER.chain.encode()
    for identity, reason in (
        (Identity(encrypted, chain, None), "ssl.key.password is not given"),
        (Identity(encrypted, chain, "wrong"), "ssl.key.password does not open its key|cannot be used"),
        (Identity(AUTHORITY.issue().key.encode(), chain, None), "its key is not that of its first certificate"),
        (Identity(SERVER.key.encode(), b"", None), "cannot be used"),
        (Identity(encrypted, chain, "x" * 2000), "longer than"),
    ):
        with pytest.raises(BadStore, match=reason):
            works(identity, in_memory=in_memory)


def test_a_trust_store_is_known_by_its_content() -> None:
    """PEM with as many certificates as there are, or PKCS12."""
    pem = (AUTHORITY.certificate + "words\n" + BETWEEN.certificate).encode()
    assert read_trust_store(pem, None).count(b"BEGIN") == 2
    assert read_trust_store(AUTHORITY.pkcs12("x"), "x") == AUTHORITY.certificate.encode()
    with pytest.raises(BadStore, match="has no password"):
        read_trust_store(pem, "x")
    with pytest.raises(BadStore, match="no certificate"):
        read_trust_store(SERVER.key.encode(), None)


def test_the_chain_of_a_key_is_not_believed() -> None:
    """A store with a key that serves as trust store is not one that trusts the key's authority."""
    believed = read_trust_store(SERVER.pkcs12("x"), "x")
    assert believed.count(b"BEGIN") == 1
    assert first_certificate(believed) == SERVER.der


def test_what_is_missing_for_pkcs12_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """One sentence says what to install."""
    monkeypatch.setitem(sys.modules, "cryptography.hazmat.primitives.serialization.pkcs12", None)
    with pytest.raises(BadStore, match=r"pip install 'ottla\[security\]'"):
        read_key_store(SERVER.pkcs12("x"), "x", None)


def test_no_file_ever_has_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    """T2: with memory files no file is written; without, it has the key under a password that is kept nowhere."""
    identity, context = read_key_store(SERVER.pkcs12("x"), "x", None), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    written: list[bytes] = []

    def recording(*names: Any, **options: Any) -> Any:
        file = open(*names, **options)  # noqa: SIM115 - its caller closes it
        write = file.write

        class Recorded:
            def __enter__(self) -> Any:
                return self

            def __exit__(self, *_: object) -> None:
                file.close()

            def write(self, data: bytes) -> int:
                written.append(data)
                return int(write(data))

        return Recorded()

    monkeypatch.setattr(memory_files, "open", recording, raising=False)
    load_identity(context, identity)
    assert not written
    load_identity(context, identity, in_memory=False)
    assert len(written) == 1 and b"BEGIN ENCRYPTED PRIVATE KEY" in written[0]
    assert identity.key.splitlines()[2] not in written[0]


def test_a_key_stays_out_of_words() -> None:
    """What is printed of an identity has nothing of it."""
    assert repr(read_key_store(SERVER.combined.encode(), None, None)) == "Identity(...)"


def test_beginnings_without_an_end_are_looked_at_once() -> None:
    """A text of a megabyte may come over the network, and once took a quarter of an hour in which nothing else ran."""
    with pytest.raises(BadStore, match="no private key"):
        read_key_store(b"-----BEGIN PRIVATE KEY-----\n" * 40_000, None, None)
    assert read_trust_store(b"-----BEGIN X-----\n" * 9 + SERVER.chain.encode(), None)
