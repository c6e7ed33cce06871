"""A private key for OpenSSL without a file that has it.

The standard library loads a key into a context by the name of a file only, and what comes out of a PKCS12 store, or is
given in a setting, must not come to lie on a disk: a deleted file's blocks stay there for long. So the name given is

* that of **anonymous memory** (`memfd_create`, `/proc/self/fd/N`) on Linux: it has no place in a file system, and is
  gone when its descriptor is closed;
* elsewhere that of a **temporary file with the key encrypted** by a password of 32 random bytes, which only this
  process ever has, and only for the moment of loading. That takes `cryptography`.

Certificates are no secret, and go the same way.
"""

from __future__ import annotations

import os
import secrets
import ssl
import tempfile
from collections.abc import Callable
from typing import Final

from broker.security.tls.stores import BadStore, Identity, is_encrypted

_memfd: Final[Callable[[str], int] | None] = getattr(os, "memfd_create", None)
PASSWORD_LIMIT: Final = 1023
"""Bytes of a password that OpenSSL takes."""


def load_identity(context: ssl.SSLContext, identity: Identity, *, in_memory: bool = True) -> None:
    """Give the context the broker's key and chain. `in_memory` false: as on a platform without anonymous memory.

    Raises BadStore.
    """
    password = identity.key_password or ""
    if is_encrypted(identity.key) and not password:
        raise BadStore("its key is encrypted, and ssl.key.password is not given")
    if len(password.encode()) > PASSWORD_LIMIT:
        raise BadStore(f"the password of its key is longer than {PASSWORD_LIMIT} bytes")
    try:
        if in_memory and _memfd is not None and os.path.isdir("/proc/self/fd"):
            _load_from_memory(context, identity.key + identity.chain, password)
        else:
            _load_encrypted(context, identity, password)
    except (ssl.SSLError, ValueError, TypeError) as error:
        raise BadStore(_reason(error)) from None


def _load_from_memory(context: ssl.SSLContext, text: bytes, password: str) -> None:
    assert _memfd is not None
    descriptor = _memfd("ottla")
    try:
        with os.fdopen(descriptor, "wb", closefd=False) as file:
            file.write(text)
        # A password is given in any case: without one OpenSSL would ask for it at the terminal.
        context.load_cert_chain(f"/proc/self/fd/{descriptor}", password=password)
    finally:
        os.close(descriptor)


def _load_encrypted(context: ssl.SSLContext, identity: Identity, password: str) -> None:
    try:
        from cryptography.hazmat.primitives import serialization as form
    except ImportError:
        raise BadStore(
            "on this platform keys are loaded with a library that is not installed: pip install 'ottla[security]'"
        ) from None
    once = secrets.token_urlsafe(32)
    key = form.load_pem_private_key(identity.key, password.encode() if is_encrypted(identity.key) else None)
    text = key.private_bytes(form.Encoding.PEM, form.PrivateFormat.PKCS8, form.BestAvailableEncryption(once.encode()))
    with tempfile.TemporaryDirectory(prefix="ottla-") as folder:  # for its owner only
        path = os.path.join(folder, "encrypted.pem")
        with open(path, "wb") as file:
            file.write(text + identity.chain)
        context.load_cert_chain(path, password=once)


def _reason(error: Exception) -> str:
    """OpenSSL's reasons in words."""
    words = getattr(error, "reason", None) or str(error)
    known = {
        "KEY_VALUES_MISMATCH": "its key is not that of its first certificate",
        "BAD_DECRYPT": "ssl.key.password does not open its key",
        "BAD_PASSWORD_READ": "ssl.key.password does not open its key",
        "EE_KEY_TOO_SMALL": "its key is too small to be safe",
        "CA_MD_TOO_WEAK": "a certificate is signed with a hash that is not safe",
    }
    return known.get(words, f"its key or its certificates cannot be used: {words}")
