"""DescribeDelegationToken: a client sees the tokens that it has to do with."""

from __future__ import annotations

import pytest

from broker.security.principals import Principal
from broker.testing.contexts import versions_of
from broker.tests.handlers.token_requests import ALICE, BOB, tokens
from kproto.errors import ErrorCode
from kproto.messages.describe_delegation_token import DescribeDelegationTokenRequest

GUARDED = {"authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer"}


@pytest.mark.parametrize("version", versions_of(DescribeDelegationTokenRequest))
async def test_a_token_is_described_with_all_that_it_has(version: int) -> None:
    """As it was made, with its HMAC; the requester since version 3."""
    async with tokens() as t:
        made = await t.create(owner=("User", "zed"), renewers=["bob", "carol"])
        [token] = (await t.describe(ALICE, version=version)).tokens
        assert (token.principal_type, token.principal_name) == ("User", "zed")
        assert (token.token_id, token.hmac) == (made.token_id, made.hmac)
        times = (made.issue_timestamp_ms, made.expiry_timestamp_ms, made.max_timestamp_ms)
        assert (token.issue_timestamp, token.expiry_timestamp, token.max_timestamp) == times
        assert [(each.principal_type, each.principal_name) for each in token.renewers] == [
            ("User", "bob"),
            ("User", "carol"),
        ]
        assert token.token_requester_principal_name == ("alice" if version >= 3 else "")


async def test_owners_are_those_that_a_token_has_to_do_with() -> None:
    """Its owner, who asked for it, and its renewers; no list is all, an empty one none."""
    async with tokens() as t:
        own = (await t.create()).token_id
        renewed = (await t.create(renewers=["bob"])).token_id
        for_zed = (await t.create(owner=("User", "zed"))).token_id
        of_bob = (await t.create(BOB)).token_id
        assert await t.ids(ALICE) == {own, renewed, for_zed, of_bob}
        assert await t.ids(ALICE, []) == set()
        assert await t.ids(BOB, ["alice"]) == {own, renewed, for_zed}
        assert await t.ids(BOB, ["bob"]) == {renewed, of_bob}
        assert await t.ids(BOB, ["zed"]) == {for_zed}


async def test_with_an_authorizer_others_tokens_are_left_out() -> None:
    """And nothing says that they are."""
    async with tokens(GUARDED | {"super.users": "User:alice"}) as t:
        own = (await t.create()).token_id
        for_zed = (await t.create(owner=("User", "zed"))).token_id
        of_bob = (await t.create(BOB)).token_id
        assert await t.ids(ALICE) == {own, for_zed, of_bob}
        assert await t.ids(BOB) == {of_bob}
        assert await t.ids(Principal("User", "zed")) == {for_zed}
        assert await t.ids(BOB, ["alice"]) == set()
        refused = await t.create(BOB, owner=("User", "zed"))
        assert refused.error_code == ErrorCode.DELEGATION_TOKEN_AUTHORIZATION_FAILED
        assert (refused.principal_name, refused.token_requester_principal_name) == ("zed", "bob")
