r"""OAUTHBEARER (RFC 7628, KIP-255, KIP-768): a client proves who it is by a token that another has issued.

    client  n,a=name,^Aauth=Bearer TOKEN^A^A     (^A is the byte 1; the name may be missing)
    broker  nothing, or {"status":"invalid_token"}, which the client acknowledges with ^A, and is refused then

A token is a JSON Web Token. Who the client is stands in its subject, `sub` unless configured otherwise; until when, in
`exp`, and the session ends then. What is checked is the same for both kinds of tokens:

* **signed** ones (`SignedTokens`): by a key of the issuer's set, found by `kid`; `aud` and `iss` as configured; `exp`
  and `iat` must be there. An algorithm that needs no key, or takes another kind of key, is none.
* **unsigned** ones (`UnsignedTokens`), for trying things out, where Kafka's class for that is configured: any client
  can make one.

Why a token is refused is for the log; the client is told no more than Kafka says.

Source: OAuthBearerSaslServer, OAuthBearerClientInitialResponse, BrokerJwtValidator, OAuthBearerUnsecuredJws,
OAuthBearerValidationUtils; answers as of a running Kafka.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final, Protocol

from broker.security.sasl.exchange import Identity, Refusal

if TYPE_CHECKING:
    from broker.config.sasl_settings import OAuthSettings

OAUTHBEARER: Final = "OAUTHBEARER"
ACKNOWLEDGED: Final = b"\x01"
LARGEST_NUMBER: Final = 1 << 53
"""Beyond it a number in JSON is none that all read alike; no time is."""

ALGORITHMS: Final = (
    "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "HS256", "HS384", "HS512",
)  # fmt: skip

_NAME: Final = r"(?:[\x01-\x2b\x2d-\x3c\x3e-\x7f]|=2C|=3D)+"
_FIRST: Final = re.compile(
    rf"n,(?:a=(?P<authorization>{_NAME}))?,\x01(?P<pairs>(?:[A-Za-z]+=[\x20-\x7e\t\r\n]*\x01)*)\x01"
)
_AUTH: Final = re.compile(r"(?P<scheme>\w+)[ ]+(?P<token>[-_~+/.a-zA-Z0-9]+=*)", re.ASCII)


class BadToken(Exception):
    """A token is not accepted; the message says why, for the log, and shows nothing of it. `scope` is what it lacks."""

    def __init__(self, reason: str, scope: str | None = None) -> None:
        super().__init__(reason)
        self.scope = scope


class Tokens(Protocol):
    """What says whether a token is good, and whose it is."""

    async def identity(self, token: str) -> Identity:
        """Who the token makes of the client. Raises BadToken."""
        ...


class OAuthBearerExchange:
    """One attempt."""

    def __init__(self, tokens: Tokens) -> None:
        self._tokens = tokens
        self._error: tuple[str, str] | None = None
        self.identity: Identity | None = None

    async def evaluate(self, response: bytes) -> bytes:
        """The client's message, or its acknowledgement of an error. Raises Refusal."""
        if self._error is not None:
            reason, told = self._error
            raise Refusal(reason, told if response == ACKNOWLEDGED else None)
        match = _FIRST.fullmatch(response.decode("latin-1"))
        if match is None:
            raise Refusal("a first message that OAUTHBEARER does not know")
        pairs = dict(pair.split("=", 1) for pair in match["pairs"].split("\x01") if pair)
        auth = _AUTH.fullmatch(pairs.get("auth", ""))
        if auth is None or auth["scheme"].lower() != "bearer":
            raise Refusal("no bearer token in the first message")
        try:
            identity = await self._tokens.identity(auth["token"])
        except BadToken as error:
            status = {"status": "invalid_token" if error.scope is None else "insufficient_scope"}
            told = json.dumps(status, separators=(",", ":"))
            if error.scope is not None:
                told = f'{told[:-1]}, "scope":{json.dumps(error.scope)}}}'
            self._error = (f"a token that is not accepted: {error}", told)
            return told.encode()
        name = (match["authorization"] or "").replace("=2C", ",").replace("=3D", "=")
        if name not in ("", identity.name):
            raise Refusal(
                "an authorization id other than the token's",
                f"Authentication failed: Client requested an authorization id ({name}) that is different from the "
                f"token's principal name ({identity.name})",
            )
        self.identity = identity
        return b""


class UnsignedTokens:
    """Tokens that any client can make."""

    def __init__(self, settings: OAuthSettings, now: Callable[[], int]) -> None:
        """`now` is wall-clock milliseconds."""
        self._settings = settings
        self._now = now

    async def identity(self, token: str) -> Identity:
        parts = token.split(".")
        if len(parts) != 3 or parts[2]:
            raise BadToken("it is not of three parts, the last of them empty")
        header, claims = _json(_decoded(parts[0])), _json(_decoded(parts[1]))
        if header.get("alg") != "none":
            raise BadToken("it says that it is signed")
        settings, now = self._settings, self._now()
        expires = _time(claims, "exp")
        issued = _time(claims, "iat") if "iat" in claims else None
        if expires is None:
            raise BadToken("it has no exp")
        if issued is not None and issued >= expires:
            raise BadToken("it ends before it begins")
        _check_times(expires, issued, None, settings.skew_ms, now)
        scope = _scope(claims, settings.scope_claim)
        if not set(settings.required_scope) <= scope:
            raise BadToken("it lacks a scope", f"[{', '.join(settings.required_scope)}]")
        return Identity(_subject(claims, settings.subject_claim), expires=expires)


class KeySets(Protocol):
    """Where the issuer's keys come from (jwks.py)."""

    async def verified(self, token: str) -> bytes:
        """The payload of a token with a good signature. Raises BadToken."""
        ...


class SignedTokens:
    """Tokens of an issuer."""

    def __init__(self, settings: OAuthSettings, keys: KeySets, now: Callable[[], int]) -> None:
        """`now` is wall-clock milliseconds."""
        self._settings = settings
        self._keys = keys
        self._now = now

    async def identity(self, token: str) -> Identity:
        claims = _json(await self._keys.verified(token))
        settings = self._settings
        expires, issued = _time(claims, "exp"), _time(claims, "iat")
        if expires is None or issued is None:
            raise BadToken("it has no exp, or no iat")
        _check_times(expires, issued, _time(claims, "nbf"), settings.skew_ms, self._now())
        if settings.issuer is not None and claims.get("iss") != settings.issuer:
            raise BadToken("it is of another issuer")
        if settings.audiences and not _audiences(claims) & set(settings.audiences):
            raise BadToken("it is for another audience")
        _scope(claims, settings.scope_claim)
        return Identity(_subject(claims, settings.subject_claim), expires=expires)


def _decoded(part: str) -> bytes:
    try:
        return base64.b64decode(part + "=" * (-len(part) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise BadToken("a part of it is not in base64") from None


def _json(data: bytes) -> Mapping[str, Any]:
    try:
        found = json.loads(data)
    except (ValueError, RecursionError):
        raise BadToken("a part of it is not JSON") from None
    if not isinstance(found, dict):
        raise BadToken("a part of it is no object")
    return found


def _time(claims: Mapping[str, Any], name: str) -> int | None:
    """A claim in seconds, as milliseconds; None if it is not there. Raises BadToken."""
    value = claims.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= LARGEST_NUMBER:
        raise BadToken(f"its {name} is no time")
    return int(value * 1000)


def _check_times(expires: int, issued: int | None, not_before: int | None, skew: int, now: int) -> None:
    if expires <= now - skew:
        raise BadToken("it has expired")
    if max(issued or 0, not_before or 0) > now + skew:
        raise BadToken("it is not valid yet")


def _subject(claims: Mapping[str, Any], name: str) -> str:
    subject = claims.get(name)
    if not isinstance(subject, str) or not subject.strip():
        raise BadToken(f"its {name} is missing, empty or no text")
    return subject


def _scope(claims: Mapping[str, Any], name: str) -> set[str]:
    scope = claims.get(name)
    if scope is None:
        return set()
    words = scope.split() if isinstance(scope, str) else scope
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        raise BadToken(f"its {name} is no list of words")
    return set(words)


def _audiences(claims: Mapping[str, Any]) -> set[str]:
    found = claims.get("aud")
    audiences = [found] if isinstance(found, str) else found
    return {each for each in audiences if isinstance(each, str)} if isinstance(audiences, list) else set()
