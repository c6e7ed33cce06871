"""SASL of a client: the messages of an exchange, without the network.

    exchange = Exchange(credentials)
    send(exchange.first()); while the broker answers: send(exchange.next(answer))

| mechanism | credentials | source |
|---|---|---|
| PLAIN | user, password | RFC 4616 |
| SCRAM-SHA-256, SCRAM-SHA-512 | user, password; a delegation token's id, HMAC (`tokenauth=true`) | RFC 5802, KIP-48 |
| OAUTHBEARER | a token: unsecured, for tests, or from `sasl.oauthbearer.token.endpoint.url` | RFC 7628, KIP-768 |

Of SCRAM the broker's own proof is checked too: a broker that does not know the password is not talked to. Kerberos
(GSSAPI) is not there and says so.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
import time
import urllib.parse
import urllib.request
from collections.abc import Mapping
from typing import Final, NamedTuple

from broker.config.jaas import JaasError, parse_jaas
from tools.client.properties import ClientProperties
from tools.failures import Failed, Misunderstood

MECHANISMS: Final = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER")


class Credentials(NamedTuple):
    """Who a client says it is. `token`: the user is the id of a delegation token, the password its HMAC."""

    mechanism: str
    user: str = ""
    password: str = ""
    token: bool = False
    bearer: str = ""


def credentials_of(properties: ClientProperties) -> Credentials | None:
    """What the properties say; None for a protocol without SASL. Raises Misunderstood."""
    if not properties.protocol.startswith("SASL"):
        return None
    mechanism = (properties.first("sasl.mechanism", "sasl.mechanisms") or "GSSAPI").upper()
    if mechanism not in MECHANISMS:
        raise Misunderstood(f"sasl.mechanism is {mechanism}; here there are {', '.join(MECHANISMS)}")
    jaas = properties.first("sasl.jaas.config")
    options = _options(jaas) if jaas else {}
    if mechanism == "OAUTHBEARER":
        return Credentials(mechanism, bearer=_bearer(properties, options))
    user = options.get("username") or properties.first("sasl.username")
    password = options.get("password") or properties.first("sasl.password")
    if user is None or password is None:
        raise Misunderstood(
            f"{mechanism} wants a user and a password: sasl.jaas.config, or sasl.username and sasl.password"
        )
    return Credentials(mechanism, user, password, options.get("tokenauth", "").lower() == "true")


def _options(jaas: str) -> Mapping[str, str]:
    """What the login module in `sasl.jaas.config` is told. Raises Misunderstood, which shows nothing secret."""
    try:
        return parse_jaas(jaas).options
    except JaasError as error:
        raise Misunderstood(f"sasl.jaas.config: {error}") from None


def _bearer(properties: ClientProperties, options: Mapping[str, str]) -> str:
    subject = options.get("unsecuredLoginStringClaim_sub")
    if subject is not None:
        now = int(time.time())
        header = {"alg": "none"}
        return f"{_base64url(header)}.{_base64url({'sub': subject, 'iat': now, 'exp': now + 3600})}."
    url = properties.first("sasl.oauthbearer.token.endpoint.url")
    client = options.get("clientId") or properties.first("sasl.oauthbearer.client.credentials.client.id")
    secret = options.get("clientSecret") or properties.first("sasl.oauthbearer.client.credentials.client.secret")
    scope = options.get("scope") or properties.first("sasl.oauthbearer.scope")
    if url is None or client is None or secret is None:
        raise Misunderstood(
            "OAUTHBEARER wants sasl.oauthbearer.token.endpoint.url with clientId and clientSecret in sasl.jaas.config, "
            "or unsecuredLoginStringClaim_sub there"
        )
    return _token_of(url, client, secret, scope, properties.timeout)


def _token_of(url: str, client: str, secret: str, scope: str | None, timeout: float) -> str:
    """An access token, for a client's own credentials (RFC 6749, 4.4)."""
    if not url.startswith(("https://", "http://")):
        raise Misunderstood(f"sasl.oauthbearer.token.endpoint.url is {url}, which is not http or https")
    form = {"grant_type": "client_credentials", **({"scope": scope} if scope else {})}
    basic = base64.b64encode(f"{urllib.parse.quote(client)}:{urllib.parse.quote(secret)}".encode()).decode()
    request = urllib.request.Request(
        url, urllib.parse.urlencode(form).encode(), {"Authorization": f"Basic {basic}", "Accept": "application/json"}
    )
    try:
        with urllib.request.urlopen(request, timeout=timeout) as answer:
            return str(json.load(answer)["access_token"])
    except (OSError, ValueError, KeyError) as error:
        raise Failed(f"{url} gives no access token: {error}") from None


def _base64url(claims: Mapping[str, object]) -> str:
    return base64.urlsafe_b64encode(json.dumps(claims).encode()).rstrip(b"=").decode()


class Exchange:
    """One authentication. `next` returns None when it is over and the broker has shown who it is."""

    def __init__(self, credentials: Credentials, nonce: str | None = None) -> None:
        self._with = credentials
        self._nonce = nonce or secrets.token_urlsafe(24)
        self._bare = ""
        self._signature: bytes | None = None
        self._hash = "sha512" if credentials.mechanism.endswith("512") else "sha256"

    def first(self) -> bytes:
        """What the client begins with."""
        known = self._with
        if known.mechanism == "PLAIN":
            return f"\0{known.user}\0{known.password}".encode()
        if known.mechanism == "OAUTHBEARER":
            return f"n,,\x01auth=Bearer {known.bearer}\x01\x01".encode()
        user = known.user.replace("=", "=3D").replace(",", "=2C")
        self._bare = f"n={user},r={self._nonce}" + (",tokenauth=true" if known.token else "")
        return f"n,,{self._bare}".encode()

    def next(self, answer: bytes) -> bytes | None:
        """What the client says to the broker's answer; None if nothing more. Raises Failed."""
        if not self._with.mechanism.startswith("SCRAM"):
            if answer:  # RFC 7628, 3.2.3: the reason why a token is not accepted
                raise Failed(f"authentication failed: {answer.decode(errors='replace')}")
            return None
        fields = dict(part.partition("=")[::2] for part in answer.decode().split(","))
        if "e" in fields:
            raise Failed(f"authentication failed: {fields['e']}")
        if self._signature is None:
            return self._prove(answer.decode(), fields)
        if not hmac.compare_digest(base64.b64decode(fields.get("v", "")), self._signature):
            raise Failed(
                "the broker does not know the password of this user: it may not be the broker that it says it is"
            )
        return None

    def _prove(self, answer: str, fields: dict[str, str]) -> bytes:
        nonce = fields.get("r", "")
        if not nonce.startswith(self._nonce) or "s" not in fields or not fields.get("i", "").isdecimal():
            raise Failed("the broker's first SCRAM message makes no sense")
        bare = f"c={base64.b64encode(b'n,,').decode()},r={nonce}"
        signed = f"{self._bare},{answer},{bare}".encode()
        salt = base64.b64decode(fields["s"])
        salted = hashlib.pbkdf2_hmac(self._hash, self._with.password.encode(), salt, int(fields["i"]))
        client_key = self._hmac(salted, b"Client Key")
        stored = hashlib.new(self._hash, client_key).digest()
        proof = bytes(a ^ b for a, b in zip(client_key, self._hmac(stored, signed), strict=True))
        self._signature = self._hmac(self._hmac(salted, b"Server Key"), signed)
        return f"{bare},p={base64.b64encode(proof).decode()}".encode()

    def _hmac(self, key: bytes, text: bytes) -> bytes:
        return hmac.digest(key, text, self._hash)
