"""RenewDelegationToken: a token is valid for longer."""

from __future__ import annotations

import pytest

from broker.testing.contexts import versions_of
from broker.tests.handlers.token_requests import ALICE, BOB, DAY, tokens
from kproto.errors import ErrorCode
from kproto.messages.renew_delegation_token import RenewDelegationTokenRequest


@pytest.mark.parametrize("version", versions_of(RenewDelegationTokenRequest))
@pytest.mark.parametrize(("period", "valid"), [(-1, DAY), (0, DAY), (5000, 5000), (10**15, DAY)])
async def test_owners_and_renewers_prolong_a_token(version: int, period: int, valid: int) -> None:
    """From now on, for no longer than the broker allows."""
    async with tokens() as t:
        token = await t.create(renewers=["bob"])
        t.clock.advance(60_000)
        for who in (ALICE, BOB):
            assert await t.renew(who, token.hmac, period, version) == (0, t.now + valid)


async def test_a_life_is_not_prolonged() -> None:
    """Only within it."""
    async with tokens() as t:
        token = await t.create(lifetime=DAY + 1000)
        t.clock.advance(DAY - 1000)
        assert await t.renew(ALICE, token.hmac) == (0, token.max_timestamp_ms)


async def test_refusals_are_kafkas() -> None:
    """That a token is over is said before whose it is."""
    async with tokens() as t:
        token = await t.create(lifetime=1000)
        assert await t.renew(ALICE, b"unknown") == (ErrorCode.DELEGATION_TOKEN_NOT_FOUND, 0)
        assert await t.renew(BOB, token.hmac) == (ErrorCode.DELEGATION_TOKEN_OWNER_MISMATCH, 0)
        t.clock.advance(1001)
        assert await t.renew(BOB, token.hmac) == (ErrorCode.DELEGATION_TOKEN_EXPIRED, 0)
