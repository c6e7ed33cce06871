"""OAUTHBEARER: tokens that another has issued; what is answered is what Kafka answers."""

from __future__ import annotations

import base64
import dataclasses
import json
from typing import Any, Final

import pytest

from broker.config.sasl_settings import OAuthSettings
from broker.security.sasl.exchange import Identity, Refusal
from broker.security.sasl.oauthbearer import BadToken, OAuthBearerExchange, SignedTokens, UnsignedTokens

NOW: Final = 1_700_000_000
UNSIGNED: Final = OAuthSettings(
    jwks_url=None, refresh_ms=0, retry_ms=0, retry_max_ms=0, audiences=(), issuer=None, scope_claim="scope",
    subject_claim="sub", required_scope=(), skew_ms=0,
)  # fmt: skip
INVALID: Final = b'{"status":"invalid_token"}'


def part(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def unsigned(header: object = None, **claims: Any) -> str:
    given = {"sub": "alice", "iat": NOW, "exp": NOW + 100} | claims
    wanted = {name: value for name, value in given.items() if value is not None}
    return f"{part({'alg': 'none'} if header is None else header)}.{part(wanted)}."


def first(token: str, name: str = "", scheme: str = "Bearer", more: str = "") -> bytes:
    authorization = f"a={name}" if name else ""
    return f"n,{authorization},\x01auth={scheme} {token}\x01{more}\x01".encode()


def exchange(**settings: Any) -> OAuthBearerExchange:
    return OAuthBearerExchange(UnsignedTokens(dataclasses.replace(UNSIGNED, **settings), lambda: NOW * 1000))


@pytest.mark.parametrize(
    "message",
    [
        first(unsigned()),
        first(unsigned(), "alice", "bearer"),
        first(unsigned(), more="traceId=123\x01"),
        first(unsigned(iat=None)),
        first(unsigned(scope="a b")),
        first(unsigned(scope=["a", "b"])),
    ],
)
async def test_a_token_says_who_the_client_is_and_until_when(message: bytes) -> None:
    """In its subject, and in `exp`."""
    one = exchange()
    assert await one.evaluate(message) == b""
    assert one.identity == Identity("alice", False, (NOW + 100) * 1000)


@pytest.mark.parametrize(
    "token",
    [
        unsigned(iat=NOW - 100, exp=NOW),
        unsigned(iat=NOW + 1),
        unsigned(iat=NOW, exp=NOW),
        unsigned(exp=None),
        unsigned(exp="soon"),
        unsigned(exp=True),
        unsigned(exp=1e300),
        unsigned(sub=None),
        unsigned(sub=""),
        unsigned(sub=5),
        unsigned(scope=5),
        unsigned({"alg": "RS256"}),
        unsigned({}),
        unsigned([]),
        unsigned() + "c2ln",
        "x.y.z",
        "x",
        "..",
        f"{part({'alg': 'none'})}.bm90IGpzb24.",
        f"{part({'alg': 'none'})}.{'W' * 4000}.",
    ],
)
async def test_a_token_that_is_not_accepted_is_answered_with_an_error(token: str) -> None:
    """In JSON, which the client acknowledges; then it is refused. Nothing of the token is in the reason."""
    one = exchange()
    assert await one.evaluate(first(token)) == INVALID
    with pytest.raises(Refusal) as refused:
        await one.evaluate(b"\x01")
    assert refused.value.told == INVALID.decode()
    assert one.identity is None and token not in str(refused.value)


async def test_a_scope_that_is_missing_is_named() -> None:
    """Kafka's validator of unsigned tokens may require some."""
    one = exchange(required_scope=("a", "b"))
    assert await one.evaluate(first(unsigned(scope="b"))) == b'{"status":"insufficient_scope", "scope":"[a, b]"}'
    await exchange(required_scope=("a", "b")).evaluate(first(unsigned(scope="b a c")))


async def test_claims_may_be_called_otherwise_and_clocks_may_disagree() -> None:
    """As configured."""
    one = exchange(subject_claim="who", skew_ms=5000)
    await one.evaluate(first(unsigned(sub=None, who="bob", exp=NOW - 4, iat=NOW - 10)))
    assert one.identity is not None and one.identity.name == "bob"
    assert await exchange(skew_ms=5000).evaluate(first(unsigned(exp=NOW - 5, iat=NOW - 10))) == INVALID


@pytest.mark.parametrize(
    "message",
    [
        b"", b"\x01", b"n,,\x01\x01", b"y,,\x01auth=Bearer x\x01\x01", b"n,,\x01auth=Basic x\x01\x01",
        b"n,,\x01auth=Bearer\x01\x01", b"n,,auth=Bearer x", b"\xff" * 99, first("a b"),
        b"n,,\x01" + b"a=b\x01" * 10_000,
    ],
)  # fmt: skip
async def test_what_is_no_first_message_is_refused(message: bytes) -> None:
    """With the sentence that is the same for all."""
    with pytest.raises(Refusal) as refused:
        await exchange().evaluate(message)
    assert refused.value.told is None


async def test_an_authorization_id_must_be_the_tokens() -> None:
    """Kafka's words, which name both."""
    with pytest.raises(Refusal) as refused:
        await exchange().evaluate(first(unsigned(), "zed"))
    assert "an authorization id (zed) that is different from the token's principal name (alice)" in str(
        refused.value.told
    )


class Verified:
    """Keys that have signed everything."""

    async def verified(self, token: str) -> bytes:
        return token.encode()


SIGNED: Final = dataclasses.replace(UNSIGNED, jwks_url="file:/x", audiences=("us", "them"), issuer="me", skew_ms=1000)
CLAIMS: Final[dict[str, Any]] = {"sub": "alice", "iat": NOW, "exp": NOW + 100, "iss": "me", "aud": "us"}


async def identity(**claims: Any) -> Identity:
    tokens = SignedTokens(SIGNED, Verified(), lambda: NOW * 1000)
    wanted = {name: value for name, value in (CLAIMS | claims).items() if value is not None}
    return await tokens.identity(json.dumps(wanted))


@pytest.mark.parametrize("aud", ["us", "them", ["us"], ["x", "them"]])
async def test_a_signed_token_is_for_one_of_the_audiences(aud: object) -> None:
    """One of its own is enough."""
    assert await identity(aud=aud) == Identity("alice", False, (NOW + 100) * 1000)


@pytest.mark.parametrize(
    "claims",
    [
        {"aud": "x"}, {"aud": None}, {"aud": []}, {"aud": 5}, {"iss": "you"}, {"iss": None}, {"exp": None},
        {"iat": None}, {"exp": NOW - 1}, {"iat": NOW + 2}, {"nbf": NOW + 2}, {"sub": None}, {"sub": " "},
    ],
)  # fmt: skip
async def test_a_signed_token_must_say_what_is_expected(claims: dict[str, Any]) -> None:
    """Every claim that is checked, wrong or missing."""
    with pytest.raises(BadToken):
        await identity(**claims)
