"""SCRAM-SHA-256 and SCRAM-SHA-512 (RFC 5802, RFC 7677): a client proves that it knows a password, and so does the
broker, and neither sends it.

    client  n,,n=user,r=client-nonce                     "I am user"
    broker  r=client-nonce server-nonce,s=salt,i=4096     "this is how your password was salted"
    client  c=biws,r=both,p=proof                        HMAC over all of it, with a key made of the salted password
    broker  v=signature                                  the same the other way round

What is kept of a password is `Credential`: from it neither the password nor the client's key can be made.

**Who exists is not told.** A user that there is not is given a salt like any other, always the same one, and is refused
behind its proof, as with a wrong password. (Kafka refuses such a user at the first message.) The false salt is made of
the name with a secret that the caller gives.

**Delegation tokens** (KIP-48) come the same way, with the extension `tokenauth=true`: the token's id is the user, its
HMAC in base64 the password, and the identity that of the token's owner.

Names are in ASCII, as Kafka's patterns have it, with `=2C` and `=3D` for comma and equals sign. Channel binding is not
offered, and the header in `c=` only goes into the proof. What is signed are the client's messages as they came.

Source: ScramSaslServer, ScramMessages, ScramFormatter.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from broker.security.sasl.exchange import Identity, Refusal

SCRAM_SHA_256: Final = "SCRAM-SHA-256"
SCRAM_SHA_512: Final = "SCRAM-SHA-512"
MIN_ITERATIONS: Final = 4096
"""Kafka takes no fewer, with either mechanism."""
MAX_ITERATIONS: Final = 16384
LONGEST_MESSAGE: Final = 8192
"""Bytes: some hundred are usual. Half a megabyte, which SASL may have, would be a tenth of a second of the event loop
for any peer that sends it."""
SALT_LETTERS: Final = "0123456789abcdefghijklmnopqrstuvwxyz"
SALT_LENGTH: Final = 26
"""Kafka's tools make such salts, of 130 bits, and so do Ottla's: users that there are not look like those that there
are. (A client of another make may choose its users' salts otherwise.)"""

OTHER_ID: Final = "Authentication failed: Client requested an authorization id that is different from username"


class Hash(NamedTuple):
    """A mechanism: its name, that of its hash function, and its number in records and messages."""

    mechanism: str
    algorithm: str
    number: int
    size: int
    """Bytes of a digest."""

    def mac(self, key: bytes, message: bytes) -> bytes:
        """HMAC with this hash."""
        return hmac.digest(key, message, self.algorithm)

    def digest(self, data: bytes) -> bytes:
        """The hash."""
        return hashlib.new(self.algorithm, data).digest()


HASHES: Final = {
    SCRAM_SHA_256: Hash(SCRAM_SHA_256, "sha256", 1, 32),
    SCRAM_SHA_512: Hash(SCRAM_SHA_512, "sha512", 2, 64),
}
BY_NUMBER: Final = {each.number: each for each in HASHES.values()}
"""Kafka: ScramMechanism.type."""


@dataclass(frozen=True, slots=True)
class Credential:
    """What is kept of a user's password for one mechanism. Its text shows none of it."""

    salt: bytes = field(repr=False)
    stored_key: bytes = field(repr=False)
    server_key: bytes = field(repr=False)
    iterations: int


class Known(NamedTuple):
    """A user or a token that exists: its credential, and who it makes of the client."""

    credential: Credential
    identity: Identity


Find = Callable[[Hash, str, bool], Awaitable[Known | None]]
"""The user of this name, or with True the delegation token of this id; None if there is none."""


def credential_of(which: Hash, salted_password: bytes, salt: bytes, iterations: int) -> Credential:
    """The credential of a password that has been salted already."""
    client_key = which.mac(salted_password, b"Client Key")
    return Credential(salt, which.digest(client_key), which.mac(salted_password, b"Server Key"), iterations)


def salted(which: Hash, password: str, salt: bytes, iterations: int) -> bytes:
    """The salted password (Hi of RFC 5802). Takes milliseconds, without the interpreter's lock."""
    return hashlib.pbkdf2_hmac(which.algorithm, password.encode(), salt, iterations)


def false_salt(secret: bytes, which: Hash, user: str) -> bytes:
    """The salt of a user that does not exist: of the usual length and letters, and the same each time."""
    number = int.from_bytes(hmac.digest(secret, f"{which.mechanism}\0{user}".encode(), "sha256"), "big")
    letters = bytearray()
    while len(letters) < SALT_LENGTH:
        number, digit = divmod(number, len(SALT_LETTERS))
        letters.append(ord(SALT_LETTERS[digit]))
    return bytes(letters)


_NAME: Final = r"(?:[\x01-\x2b\x2d-\x3c\x3e-\x7f]|=2C|=3D)+"
_VALUE: Final = r"[\x01-\x2b\x2d-\x7f]+"
_PRINTABLE: Final = r"[\x21-\x2b\x2d-\x7e]+"
_EXTENSIONS: Final = rf"(?:,[A-Za-z]+={_VALUE})*"
_BASE64: Final = r"[A-Za-z0-9+/]+={0,2}"
_FIRST: Final = re.compile(
    rf"n,(?:a=(?P<authorization>{_NAME}))?,"
    rf"(?P<bare>(?:m={_VALUE},)?n=(?P<name>{_NAME}),r=(?P<nonce>{_PRINTABLE})(?P<extensions>{_EXTENSIONS}))"
)
_FINAL: Final = re.compile(rf"(?P<unproved>c={_BASE64},r=(?P<nonce>{_PRINTABLE}){_EXTENSIONS}),p=(?P<proof>{_BASE64})")
_TOKEN: Final = "tokenauth"


class ScramExchange:
    """One attempt. `nonce` is the broker's share of it, printable and without a comma; `secret` makes false salts."""

    def __init__(self, which: Hash, find: Find, nonce: str, secret: bytes) -> None:
        self._hash = which
        self._find = find
        self._nonce = nonce
        self._secret = secret
        self._signed = ""  # the first two messages, once they are there
        self._user = ""
        self._known: Known | None = None
        self._credential: Credential | None = None
        self.identity: Identity | None = None

    async def evaluate(self, response: bytes) -> bytes:
        """The client's first message, then its final one. Raises Refusal."""
        if len(response) > LONGEST_MESSAGE:
            raise Refusal("a message that is too long")
        try:
            message = response.decode("ascii")
        except UnicodeDecodeError:
            raise Refusal("a message that is not ASCII") from None
        return await self._first(message) if self._credential is None else self._final(message, self._credential)

    async def _first(self, message: str) -> bytes:
        match = _FIRST.fullmatch(message)
        if match is None:
            raise Refusal("a first message that SCRAM does not know")
        self._user = _plain(match["name"])
        by_token = _extension(match["extensions"], _TOKEN).lower() == "true"
        self._known = await self._find(self._hash, self._user, by_token)
        if self._known is None:
            salt = false_salt(self._secret, self._hash, self._user)
            self._credential = Credential(salt, bytes(self._hash.size), bytes(self._hash.size), MIN_ITERATIONS)
        else:
            self._credential = self._known.credential
        if match["authorization"] and _plain(match["authorization"]) != self._user:
            raise Refusal("an authorization id other than the user", OTHER_ID)
        self._nonce = match["nonce"] + self._nonce
        salt_text = base64.b64encode(self._credential.salt).decode()
        answer = f"r={self._nonce},s={salt_text},i={self._credential.iterations}"
        self._signed = f"{match['bare']},{answer}"
        return answer.encode()

    def _final(self, message: str, credential: Credential) -> bytes:
        match = _FINAL.fullmatch(message)
        if match is None or match["nonce"] != self._nonce:
            raise Refusal("a final message that does not belong to the first")
        try:
            proof = base64.b64decode(match["proof"], validate=True)
        except binascii.Error:
            raise Refusal("a proof that is not in base64") from None
        signed = f"{self._signed},{match['unproved']}".encode()
        signature = self._hash.mac(credential.stored_key, signed)
        client_key = bytes(left ^ right for left, right in zip(signature, proof, strict=False))
        alike = hmac.compare_digest(self._hash.digest(client_key), credential.stored_key)
        answer = b"v=" + base64.b64encode(self._hash.mac(credential.server_key, signed))
        if self._known is None:
            raise Refusal("an unknown user")
        if not alike or len(proof) != self._hash.size:
            raise Refusal("a wrong password", user=self._user)
        self.identity = self._known.identity
        return answer


def _plain(name: str) -> str:
    return name.replace("=2C", ",").replace("=3D", "=")


def _extension(extensions: str, name: str) -> str:
    """The value of one extension; empty if it is not there."""
    for extension in extensions.split(",")[1:]:
        key, _, value = extension.partition("=")
        if key == name:
            return value
    return ""
