"""The keys of an issuer: read when they are needed, kept, and read again."""

from __future__ import annotations

import base64
import dataclasses
import hmac
import json
import math
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
import trio
import trio.testing

from broker.security.sasl.jwks import READ_SECONDS, UNKNOWN_KEY_SECONDS, JsonWebKeys, KeySetError
from broker.security.sasl.oauthbearer import BadToken
from broker.tests.security.sasl.test_oauthbearer import SIGNED
from storage.seams.logging import RateLimitedLogger, get_logger
from storage.seams.offload import Arguments, InlineOffload, Lane, Offload, Result

jwk = pytest.importorskip("joserfc.jwk")
jws = pytest.importorskip("joserfc.jws")

KEYS: dict[str, Any] = {
    "a": jwk.RSAKey.generate_key(2048, {"kid": "a"}),
    "b": jwk.ECKey.generate_key("P-256", {"kid": "b"}),
    "c": jwk.OctKey.generate_key(256, {"kid": "c"}),
}
ALGORITHM = {"a": "RS256", "b": "ES256", "c": "HS256"}


def signed(by: str, payload: str = "{}", **header: object) -> str:
    given = {"alg": ALGORITHM[by], "kid": by} | header
    wanted = {name: value for name, value in given.items() if value is not None}
    token: str = jws.serialize_compact(wanted, payload, KEYS[by], algorithms=[str(given["alg"])])
    return token


class Issuer:
    """Where keys are read from."""

    def __init__(self, *kids: str) -> None:
        self.kids = kids
        self.reads = 0
        self.fails = False

    def load(self, url: str) -> bytes:
        assert url == "file:/x"
        self.reads += 1
        if self.fails:
            raise KeySetError("it does not answer")
        return json.dumps({"keys": [KEYS[kid].as_dict(private=False) for kid in self.kids]}).encode()

    def keys(self, threads: Offload | None = None, **settings: int) -> JsonWebKeys:
        usual = {"refresh_ms": 3_600_000, "retry_ms": 100, "retry_max_ms": 1000}
        wanted = dataclasses.replace(SIGNED, **usual | settings)  # type: ignore[arg-type]  # each is a number
        log = RateLimitedLogger(get_logger("t"), trio.current_time)
        return JsonWebKeys(wanted, self.load, threads or InlineOffload(), log)


@pytest.mark.parametrize("kid", ["a", "b"])
async def test_a_token_is_checked_with_the_key_that_it_names(kid: str) -> None:
    """Or with all, if it names none. Keys are read once."""
    issuer = Issuer("a", "b")
    keys = issuer.keys()
    assert await keys.verified(signed(kid, '{"x":1}')) == b'{"x":1}'
    assert await keys.verified(signed(kid, kid=None)) == b"{}"
    assert issuer.reads == 1


@pytest.mark.parametrize(
    "token",
    [
        signed("a")[:-8] + "AAAAAAAA",
        signed("b", kid="a"),
        signed("c", kid="a"),
        "e30.e30.",
        "eyJhbGciOiJub25lIn0.e30.",
        "eyJhbGciOiJub25lIiwia2lkIjoiYSJ9.e30.",
        "x.y.z",
        "",
        "a.b.c.d.e",
    ],
    ids=range(9),  # tokens differ from one process of a run to the other
)
async def test_what_the_named_key_has_not_signed_is_refused(token: str) -> None:
    """T12. Neither another key, nor another kind of algorithm, nor none at all will do."""
    with pytest.raises(BadToken):
        await Issuer("a").keys().verified(token)


async def test_a_public_key_is_no_password(autojump_clock: trio.testing.MockClock) -> None:
    """HMAC with the text of a public key, which everyone knows, is the classic forgery."""
    public: bytes = KEYS["a"].as_pem(private=False)
    head = signed("c", kid="a").rpartition(".")[0]
    signature = base64.urlsafe_b64encode(hmac.digest(public, head.encode(), "sha256")).rstrip(b"=").decode()
    forged = f"{head}.{signature}"
    with pytest.raises(BadToken):
        await Issuer("a").keys().verified(forged)


async def test_keys_are_read_again_when_they_are_old(autojump_clock: trio.testing.MockClock) -> None:
    """Or when a token names a new one: but not for every token that does."""
    issuer = Issuer("a")
    keys = issuer.keys(refresh_ms=60_000)
    await keys.verified(signed("a"))
    issuer.kids = ("a", "b")
    for _ in range(5):
        with pytest.raises(BadToken, match="unknown"):
            await keys.verified(signed("b"))
    assert issuer.reads == 1
    await trio.sleep(UNKNOWN_KEY_SECONDS + 1)
    await keys.verified(signed("b"))
    assert issuer.reads == 2
    issuer.kids = ("b",)
    await trio.sleep(61)
    with pytest.raises(BadToken, match="unknown"):
        await keys.verified(signed("a"))
    assert issuer.reads == 3


async def test_keys_that_cannot_be_read_leave_those_of_before(autojump_clock: trio.testing.MockClock) -> None:
    """Without any, tokens are refused; it is tried again after pauses that grow."""
    issuer = Issuer("a")
    issuer.fails = True
    keys = issuer.keys(refresh_ms=10_000)
    for pause in (0.1, 0.2, 0.4, 0.8, 1.0, 1.0):
        reads = issuer.reads
        for _ in range(3):
            with pytest.raises(BadToken, match="no keys"):
                await keys.verified(signed("a"))
        assert issuer.reads == reads + 1
        await trio.sleep(pause + 0.01)
    issuer.fails = False
    await keys.verified(signed("a"))
    issuer.fails = True
    await trio.sleep(11)
    assert await keys.verified(signed("a")) == b"{}"


@pytest.mark.parametrize("text", [b"", b"[]", b"{}", b'{"keys":5}', b'{"keys":[]}', b'{"keys":[{"kty":"x"}, 5, null]}'])
async def test_what_is_no_set_of_keys_is_none(text: bytes) -> None:
    """And ends nothing else."""
    keys = JsonWebKeys(SIGNED, lambda url: text, InlineOffload(), RateLimitedLogger(get_logger("t"), trio.current_time))
    with pytest.raises(BadToken, match="no keys"):
        await keys.verified(signed("a"))


class Slow(InlineOffload):
    """Threads whose reading of keys takes `seconds`."""

    def __init__(self) -> None:
        super().__init__()
        self.seconds = 0.0

    async def run(
        self,
        work: Callable[[*Arguments], Result],
        *arguments: *Arguments,
        abandonable: bool = False,
        lane: Lane = Lane.DISK,
    ) -> Result:
        if lane is Lane.KEYS:
            await trio.sleep(self.seconds)
        return await super().run(work, *arguments, abandonable=abandonable, lane=lane)


async def test_an_issuer_that_hangs_keeps_out_no_client_whose_key_is_known(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """Clients have ten seconds: there is an answer before that, for the one that reads and for those beside it."""
    threads, issuer = Slow(), Issuer("a")
    keys = issuer.keys(threads, refresh_ms=60_000)
    await keys.verified(signed("a"))
    await trio.sleep(61)
    threads.seconds = math.inf
    with trio.fail_after(READ_SECONDS + 1):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(keys.verified, signed("a"))
            await trio.sleep(1)
            with trio.fail_after(0.1):
                assert await keys.verified(signed("a")) == b"{}"


async def test_a_client_that_goes_does_not_have_the_issuer_asked_again(autojump_clock: trio.testing.MockClock) -> None:
    """Else a stranger who breaks off each time has it asked without a pause, and all others wait for each of these."""
    threads, issuer = Slow(), Issuer("a")
    keys = issuer.keys(threads)
    threads.seconds = 1.0
    with trio.move_on_after(0.1), suppress(BadToken):
        await keys.verified(signed("b"))
    for _ in range(3):
        with pytest.raises(BadToken):
            await keys.verified(signed("b"))
    assert issuer.reads == 1


async def test_a_header_that_is_nested_without_end_is_no_token() -> None:
    """A refusal as any other, and no fault of the broker."""
    header = base64.urlsafe_b64encode(b"[" * 200_000).decode().rstrip("=")
    with pytest.raises(BadToken, match="no signed token"):
        await Issuer("a").keys().verified(f"{header}.e30.AAAA")
