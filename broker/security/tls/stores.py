"""Key stores and trust stores: whose certificate the broker shows, and whose it believes.

A store is a file, or for PEM the text of a key itself (KIP-651). **What kind it is, its content says**: the default of
`ssl.keystore.type` is JKS in all of Kafka's files, while `keytool` has written PKCS12 since Java 9, whatever the name,
and Java reads either under either name.

* **PEM** begins a block with `-----BEGIN`. A key store has a private key (in PKCS#8, encrypted or not, or as OpenSSL
  once wrote it) and the chain of certificates, the broker's own first; a trust store has certificates. In a
  `.properties` file such a text is often one line, with spaces where lines ended.
* **PKCS12** is DER. It is read by `cryptography`, which users have with `ottla[security]`, imported when the first such
  store comes. Of a trust store each certificate counts. In one that has a key as well, which some share for both
  purposes, the key's own certificate counts and those that were added for themselves, but not the key's chain; Java
  tells the two apart by an attribute, and here it is that Java names a chain's certificates after their subjects.
* **JKS and JCEKS** begin with fixed bytes. Nothing but Java reads them, so they are refused, with the command that
  makes a PKCS12 store of them.

Java wants a password for a PKCS12 store and none for PEM, where only the key has one (`ssl.key.password`); so here.
Everything is bytes in, PEM out: files are read by the caller. Raises `BadStore`.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.serialization.pkcs12 import PKCS12KeyAndCertificates

_BLOCK: Final = re.compile(rb"-----BEGIN ([A-Z0-9 ]+)-----((?:[^-]+|-(?!----))*+)-----END \1-----")
"""What is between has no five dashes, so each byte is looked at once, however many beginnings there are."""
_JKS: Final = {b"\xfe\xed\xfe\xed": "JKS", b"\xce\xce\xce\xce": "JCEKS"}
_DER_SEQUENCE: Final = 0x30
_CERTIFICATE: Final = b"CERTIFICATE"
_LINE: Final = 64

INSTALL: Final = "PKCS12 stores are read by a library that is not installed: pip install 'ottla[security]'"


class BadStore(ValueError):
    """A store cannot be used. The message completes a sentence that names it."""


class Identity(NamedTuple):
    """The broker's key and its chain, both PEM. `key_password` opens the key, if it is encrypted."""

    key: bytes
    chain: bytes
    key_password: str | None

    def __repr__(self) -> str:  # the key must not get into a log
        return "Identity(...)"


def read_key_store(data: bytes, password: str | None, key_password: str | None) -> Identity:
    """Key and chain of the store with this content. Raises BadStore."""
    if _is_pem(data):
        if password is not None:
            raise BadStore("it is PEM, which has no password of its own; that of its key is ssl.key.password")
        return identity_of_pem(data, data, key_password)
    store = _read_pkcs12(data, password)
    if store.key is None or store.cert is None:
        raise BadStore("it has no private key with a certificate")
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    key = store.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return Identity(key, _chain_of(store), None)


def read_trust_store(data: bytes, password: str | None) -> bytes:
    """The certificates to believe, as PEM. Raises BadStore."""
    if _is_pem(data):
        if password is not None:
            raise BadStore("it is PEM, which has no password")
        return certificates_of_pem(data)
    store = _read_pkcs12(data, password)
    believed = [each.certificate for each in store.additional_certs if store.key is None or _named_for_itself(each)]
    if store.cert is not None:
        believed.insert(0, store.cert.certificate)
    if not believed:
        raise BadStore("it has no certificate")
    return b"".join(_pem(each) for each in believed)


def identity_of_pem(key: bytes, chain: bytes, key_password: str | None) -> Identity:
    """The key that is in one text and the certificates that are in another, or the same. Raises BadStore."""
    keys = [block for label, block in _blocks(key) if label.endswith(b"PRIVATE KEY")]
    if len(keys) != 1:
        raise BadStore("it has no private key" if not keys else f"it has {len(keys)} private keys")
    return Identity(keys[0], certificates_of_pem(chain), key_password)


def certificates_of_pem(text: bytes) -> bytes:
    """The certificates in a text, and nothing else of it. Raises BadStore."""
    found = [block for label, block in _blocks(text) if label == _CERTIFICATE]
    if not found:
        raise BadStore("it has no certificate")
    return b"".join(found)


def first_certificate(text: bytes) -> bytes:
    """The DER of the first certificate in a PEM text. Raises BadStore."""
    for label, block in _blocks(text):
        if label == _CERTIFICATE:
            try:
                return base64.b64decode(b"".join(block.split(b"\n")[1:-2]), validate=True)
            except ValueError:
                raise BadStore("its first certificate is no base64") from None
    raise BadStore("it has no certificate")


def is_encrypted(key: bytes) -> bool:
    """Whether the PEM of a key wants a password."""
    return key.startswith(b"-----BEGIN ENCRYPTED ") or b"\nProc-Type: 4,ENCRYPTED" in key


def _blocks(text: bytes) -> Iterator[tuple[bytes, bytes]]:
    """What kind of thing each block is, and the block in lines of the length that OpenSSL reads."""
    for match in _BLOCK.finditer(text):
        label, body = match[1], match[2]
        if b":" in body:  # the headers of a key that OpenSSL once encrypted
            lines = [line.strip() for line in body.strip().splitlines()]
        else:
            packed = b"".join(body.split())
            lines = [packed[at : at + _LINE] for at in range(0, len(packed), _LINE)]
        yield label, b"\n".join([b"-----BEGIN " + label + b"-----", *lines, b"-----END " + label + b"-----", b""])


def _is_pem(data: bytes) -> bool:
    """Whether it is PEM. Raises BadStore for what is neither that nor PKCS12."""
    if b"-----BEGIN " in data[: 1 << 16]:
        return True
    if (kind := _JKS.get(data[:4])) is not None:
        raise BadStore(
            f"it is {kind}, which only Java reads; make a PKCS12 store of it: keytool -importkeystore -srckeystore OLD "
            "-destkeystore NEW.p12 -deststoretype PKCS12"
        )
    if not data or data[0] != _DER_SEQUENCE:
        raise BadStore("it is neither PEM nor PKCS12")
    return False


def _read_pkcs12(data: bytes, password: str | None) -> PKCS12KeyAndCertificates:
    if password is None:
        raise BadStore("it is PKCS12, and its password is not given")
    try:
        from cryptography.hazmat.primitives.serialization.pkcs12 import load_pkcs12
    except ImportError:
        raise BadStore(INSTALL) from None
    try:
        return load_pkcs12(data, password.encode())
    except ValueError as error:  # the library's words speak of passwords or of DER, never of what is inside
        raise BadStore(f"it cannot be opened: {str(error).rstrip('.')}") from None


def _chain_of(store: PKCS12KeyAndCertificates) -> bytes:
    """The broker's own certificate and those above it, each the issuer of the one before, as TLS wants them."""
    assert store.cert is not None
    chain = [store.cert.certificate]
    others = [each.certificate for each in store.additional_certs]
    while above := [each for each in others if each.subject == chain[-1].issuer and each not in chain]:
        chain.append(above[0])
    return b"".join(map(_pem, chain))


def _named_for_itself(certificate: Any) -> bool:
    name = certificate.friendly_name
    if name is None:
        return False
    subject = certificate.certificate.subject
    return name.decode("utf-8", "replace") not in _spellings(subject)


def _spellings(subject: Any) -> Sequence[str]:
    """The subject in the ways in which Java may have written it as a name: with and without spaces behind commas."""
    text = subject.rfc4514_string()
    forwards = ",".join(reversed(text.split(",")))
    return [spelt for each in (text, forwards) for spelt in (each, each.replace(",", ", "))]


def _pem(certificate: Any) -> bytes:
    from cryptography.hazmat.primitives.serialization import Encoding

    data: bytes = certificate.public_bytes(Encoding.PEM)
    return data
