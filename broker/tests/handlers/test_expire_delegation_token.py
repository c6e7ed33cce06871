"""ExpireDelegationToken: a token ends, now or later."""

from __future__ import annotations

import pytest

from broker.testing.contexts import versions_of
from broker.tests.handlers.token_requests import ALICE, BOB, DAY, tokens
from kproto.errors import ErrorCode
from kproto.messages.expire_delegation_token import ExpireDelegationTokenRequest


@pytest.mark.parametrize("version", versions_of(ExpireDelegationTokenRequest))
async def test_a_negative_period_ends_a_token_now(version: int) -> None:
    """It is forgotten; so is one that is over already."""
    async with tokens() as t:
        token = await t.create()
        assert await t.expire(ALICE, token.hmac, -1, version) == (0, t.now)
        assert await t.expire(ALICE, token.hmac, -1, version) == (ErrorCode.DELEGATION_TOKEN_NOT_FOUND, 0)
        over = await t.create(lifetime=1)
        t.clock.advance(1000)
        assert await t.expire(ALICE, over.hmac, -1, version) == (0, t.now)
        assert not t.world.cluster.image.tokens


@pytest.mark.parametrize(("period", "valid"), [(0, 0), (5000, 5000), (3 * DAY, 3 * DAY), (2**63 - 1, 7 * DAY)])
async def test_a_period_says_when_a_token_is_over(period: int, valid: int) -> None:
    """Within its life, also later than before."""
    async with tokens() as t:
        token = await t.create()
        assert await t.expire(ALICE, token.hmac, period) == (0, t.now + valid)


async def test_refusals_are_kafkas() -> None:
    """Whose a token is is said before that it is over."""
    async with tokens() as t:
        token = await t.create(lifetime=1000, renewers=["carol"])
        t.clock.advance(1001)
        assert await t.expire(BOB, token.hmac, 1) == (ErrorCode.DELEGATION_TOKEN_OWNER_MISMATCH, 0)
        assert await t.expire(ALICE, token.hmac, 1) == (ErrorCode.DELEGATION_TOKEN_EXPIRED, 0)
        assert await t.expire(ALICE, b"", 1) == (ErrorCode.DELEGATION_TOKEN_NOT_FOUND, 0)
