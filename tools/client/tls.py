"""TLS of a client: whom it trusts and who it is, out of Java's or librdkafka's properties.

Stores may be PEM (files, or the text itself in `ssl.truststore.certificates` and the like) and PKCS12, which is what
`keytool` makes by default; for PKCS12 the library `cryptography` has to be installed. Java's older JKS can be read by
Java only, so it is refused with the command that converts it. Either form becomes PEM text (`Material`), which OpenSSL
and librdkafka both take. The name in the broker's certificate is checked unless `ssl.endpoint.identification.algorithm`
is set to nothing, or to `none`, on purpose.
"""

from __future__ import annotations

import os
import ssl
import tempfile
from pathlib import Path
from typing import Final, NamedTuple

from tools.client.properties import ClientProperties
from tools.failures import Misunderstood

JKS: Final = b"\xfe\xed\xfe\xed"
PKCS12: Final = b"\x30"


class Material(NamedTuple):
    """PEM text of what a client needs; None: the system's authorities, no certificate of its own."""

    authorities: str | None = None
    certificate: str | None = None
    key: str | None = None
    password: str | None = None
    checks_name: bool = True


def tls_material(properties: ClientProperties) -> Material:
    """What the properties name, read. Raises Misunderstood for what cannot be."""
    first = properties.first
    authorities = first("ssl.truststore.certificates", "ssl.ca.pem") or _file(properties, "ssl.ca.location")
    certificate = first("ssl.keystore.certificate.chain", "ssl.certificate.pem") or _file(
        properties, "ssl.certificate.location"
    )
    key = first("ssl.keystore.key", "ssl.key.pem") or _file(properties, "ssl.key.location")
    if store := first("ssl.truststore.location"):
        authorities, _, _ = _store("ssl.truststore.location", store, first("ssl.truststore.password"))
    if store := first("ssl.keystore.location"):
        _, certificate, key = _store("ssl.keystore.location", store, first("ssl.keystore.password"))
    algorithm = properties.given.get("ssl.endpoint.identification.algorithm", "https").strip().lower()
    checks_name = algorithm not in ("", "none")
    return Material(authorities, certificate, key, first("ssl.key.password"), checks_name)


def tls_context(properties: ClientProperties) -> ssl.SSLContext | None:
    """The context in which connections are made; None for a protocol without TLS. Raises Misunderstood."""
    if not properties.protocol.endswith("SSL"):
        return None
    material = tls_material(properties)
    context = ssl.create_default_context()
    context.check_hostname = material.checks_name
    try:
        if material.authorities is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname = material.checks_name
            context.load_verify_locations(cadata=material.authorities)
        if material.certificate is not None:
            _load_own(context, material)
    except (ssl.SSLError, ValueError) as error:
        raise Misunderstood(f"the certificates of the properties cannot be used: {error}") from None
    return context


def _load_own(context: ssl.SSLContext, material: Material) -> None:
    """The client's own certificate and key. OpenSSL takes them from a file only, so there is one for this moment."""
    password = material.password
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "own.pem")
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as file:
            file.write(f"{material.key or ''}\n{material.certificate}\n")
        context.load_cert_chain(path, password=(lambda: password or ""))


def _file(properties: ClientProperties, key: str) -> str | None:
    path = properties.first(key)
    return None if path is None else _bytes(key, path).decode("ascii", "replace")


def _bytes(key: str, path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise Misunderstood(f"{key}: {path}: {error.strerror or error}") from None


def _store(key: str, path: str, password: str | None) -> tuple[str | None, str | None, str | None]:
    """(authorities, own certificates, own key) of a store, each PEM text or None."""
    data = _bytes(key, path)
    if data.startswith(JKS):
        raise Misunderstood(
            f"{key}: {path} is a JKS store, which Java alone reads; convert it: keytool -importkeystore -srckeystore "
            f"{path} -destkeystore store.p12 -deststoretype PKCS12"
        )
    if not data.startswith(PKCS12):
        text = data.decode("ascii", "replace")
        return text, text, text
    return _pkcs12(key, path, data, password)


def _pkcs12(key: str, path: str, data: bytes, password: str | None) -> tuple[str | None, str | None, str | None]:
    try:
        from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, pkcs12
    except ImportError:
        raise Misunderstood(
            f"{key}: {path} is a PKCS12 store; to read it, pip install cryptography, or name PEM files"
        ) from None
    try:
        store = pkcs12.load_pkcs12(data, None if password is None else password.encode())
    except ValueError:
        raise Misunderstood(f"{key}: {path} cannot be read; most likely the password of the store is wrong") from None
    own = [store.cert] if store.cert is not None else []
    others = "".join(each.certificate.public_bytes(Encoding.PEM).decode() for each in store.additional_certs)
    chain = "".join(each.certificate.public_bytes(Encoding.PEM).decode() for each in own) + others
    secret = None
    if store.key is not None:
        secret = store.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    return others or None, chain or None, secret
