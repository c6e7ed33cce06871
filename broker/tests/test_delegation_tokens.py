"""Delegation tokens: proved over SCRAM, and forgotten when they are over."""

from __future__ import annotations

import base64

import trio
import trio.testing

from broker.security.sasl.scram import HASHES, credential_of, salted
from broker.tests.handlers.token_requests import ALICE, tokens


async def test_a_holder_proves_the_hmac() -> None:
    """As the password, in base64, with either mechanism; a token that is over proves nothing."""
    async with tokens() as t:
        token = await t.create(lifetime=1000)
        password = base64.b64encode(token.hmac).decode()
        held = t.world.services.tokens
        for which in HASHES.values():
            found = await held.credential(which, token.token_id)
            assert found is not None and found[1].owner == ALICE
            salt, iterations = found[0].salt, found[0].iterations
            assert found[0] == credential_of(which, salted(which, password, salt, iterations), salt, iterations)
            assert await held.credential(which, "unknown") is None
            again = await held.credential(which, token.token_id)
            assert again is not None and again[0].salt == salt
        t.clock.advance(1001)
        assert await held.credential(HASHES["SCRAM-SHA-256"], token.token_id) is None


async def test_a_token_of_another_kind_of_owner_makes_no_user_of_its_holder() -> None:
    """Who may make tokens for Group:admin is not thereby User:admin."""
    async with tokens() as t:
        for kind, proves in (("Group", False), ("User", True)):
            token = await t.create(owner=(kind, "admin"))
            assert token.error_code == 0
            found = await t.world.services.tokens.credential(HASHES["SCRAM-SHA-256"], token.token_id)
            assert (found is not None) is proves


async def test_tokens_that_are_over_are_forgotten_now_and_then(autojump_clock: trio.testing.MockClock) -> None:
    """As often as `delegation.token.expiry.check.interval.ms` says."""
    async with tokens({"delegation.token.expiry.check.interval.ms": "5000"}) as t, trio.open_nursery() as nursery:
        nursery.start_soon(t.world.services.tokens.sweep)
        over, valid = await t.create(lifetime=1000), await t.create()
        t.clock.advance(2000)
        await trio.sleep(4)
        assert over.token_id in t.world.cluster.image.tokens
        await trio.sleep(2)
        assert set(t.world.cluster.image.tokens) == {valid.token_id}
        assert await t.ids(ALICE) == {valid.token_id}
        nursery.cancel_scope.cancel()
