"""CreateDelegationToken: a client gets something with which it is who it is, for a while."""

from __future__ import annotations

import pytest

from broker.coordinators.cluster import tokens as decisions
from broker.handlers.create_delegation_token import MOST_CHARACTERS, MOST_RENEWERS
from broker.security.principals import ANONYMOUS, Principal
from broker.security.tokens import hmac_of
from broker.testing.contexts import versions_of, world
from broker.tests.handlers.token_requests import ALICE, BOB, DAY, tokens
from kproto.errors import ErrorCode
from kproto.messages.create_delegation_token import CreateDelegationTokenRequest


@pytest.mark.parametrize("version", versions_of(CreateDelegationTokenRequest))
async def test_a_client_gets_a_token(version: int) -> None:
    """Valid for a day, and renewable for a week; its HMAC is the secret's."""
    async with tokens() as t:
        reply = await t.create(renewers=["bob"], version=version)
        assert (reply.error_code, reply.principal_type, reply.principal_name) == (0, "User", "alice")
        times = (reply.issue_timestamp_ms, reply.expiry_timestamp_ms, reply.max_timestamp_ms)
        assert times == (t.now, t.now + DAY, t.now + 7 * DAY)
        assert reply.hmac == hmac_of("s3cret", reply.token_id) and len(reply.token_id) == 22
        requester = (reply.token_requester_principal_type, reply.token_requester_principal_name)
        assert requester == (("User", "alice") if version >= 3 else ("", ""))
        kept = t.world.cluster.image.tokens[reply.token_id]
        assert (kept.owner, kept.requester, kept.renewers) == (ALICE, ALICE, (BOB,))


@pytest.mark.parametrize(("lifetime", "lives"), [(-1, 7 * DAY), (0, 7 * DAY), (1000, 1000), (10**15, 7 * DAY)])
async def test_a_life_is_no_longer_than_the_broker_allows(lifetime: int, lives: int) -> None:
    """And a token is not valid beyond it."""
    async with tokens() as t:
        reply = await t.create(lifetime=lifetime)
        assert reply.max_timestamp_ms - reply.issue_timestamp_ms == lives
        assert reply.expiry_timestamp_ms - reply.issue_timestamp_ms == min(lives, DAY)


async def test_a_token_may_be_for_another_user() -> None:
    """The reply names both; an empty name is the client itself, a name without a kind makes no sense."""
    async with tokens() as t:
        reply = await t.create(owner=("User", "zed"))
        assert (reply.principal_name, reply.token_requester_principal_name) == ("zed", "alice")
        assert (await t.create(owner=("User", ""))).principal_name == "alice"
        reply = await t.create(owner=(None, "zed"))
        assert (reply.error_code, reply.principal_name) == (ErrorCode.UNKNOWN_SERVER_ERROR, "ANONYMOUS")


async def test_what_a_token_brings_with_it_is_bounded() -> None:
    """Tokens are remembered whole, by the thousand, and any client may make one."""
    async with tokens() as t:
        assert (await t.create(renewers=[f"r{i}" for i in range(MOST_RENEWERS)])).error_code == 0
        for renewers in ([f"r{i}" for i in range(MOST_RENEWERS + 1)], ["x" * (MOST_CHARACTERS + 1)]):
            reply = await t.create(renewers=renewers)
            assert (reply.error_code, reply.token_id) == (ErrorCode.POLICY_VIOLATION, "")
        assert (await t.create(owner=("User", "x" * (MOST_CHARACTERS + 1)))).error_code == ErrorCode.POLICY_VIOLATION
        assert len(t.world.cluster.image.tokens) == 1


async def test_one_user_does_not_take_all_tokens(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who has made as many as one may is refused, whatever users they are for; others are not."""
    monkeypatch.setattr(decisions, "MAX_OF_ONE", 3)
    async with tokens() as t:
        for owner in (("User", ""), ("User", "zed"), ("User", "")):
            assert (await t.create(owner=owner)).error_code == 0
        for owner in (("User", ""), ("User", "zed")):
            assert (await t.create(owner=owner)).error_code == ErrorCode.POLICY_VIOLATION
        assert (await t.create(BOB)).error_code == 0


@pytest.mark.parametrize(
    ("who", "protocol"),
    [
        (Principal("User", "alice", token=True), "SASL_SSL"),
        (ANONYMOUS, "PLAINTEXT"),
        (ALICE, "PLAINTEXT"),
        (ANONYMOUS, "SSL"),
    ],
)
async def test_a_client_must_have_proved_who_it_is(who: Principal, protocol: str) -> None:
    """Not by a token, or tokens would live forever; nor in plain text or by an encrypted connection alone."""
    async with tokens() as t:
        reply = await t.create(who, protocol=protocol)
        assert reply.error_code == ErrorCode.DELEGATION_TOKEN_REQUEST_NOT_ALLOWED
        assert (reply.principal_name, reply.expiry_timestamp_ms, reply.hmac) == (who.name, -1, b"")
        assert not t.world.cluster.image.tokens


async def test_a_certificate_is_a_proof() -> None:
    """Mutual TLS."""
    async with tokens() as t:
        assert (await t.create(ALICE, protocol="SSL")).error_code == 0


async def test_without_a_secret_there_are_no_tokens() -> None:
    """Each request about them says so."""
    async with tokens({"delegation.token.secret.key": ""}) as t:
        disabled = ErrorCode.DELEGATION_TOKEN_AUTH_DISABLED
        assert (await t.create()).error_code == disabled
        assert await t.renew(ALICE, b"x") == (disabled, 0)
        assert await t.expire(ALICE, b"x") == (disabled, 0)
        assert (await t.describe(ALICE)).error_code == disabled


async def test_tokens_are_there_after_a_restart() -> None:
    """In the cluster's log, in Kafka's records, without their HMACs."""
    async with tokens() as t:
        reply = await t.create()
        async with world({"delegation.token.secret.key": "s3cret"}, store=t.world.services.store) as again:
            assert dict(again.cluster.image.tokens) == dict(t.world.cluster.image.tokens)
            assert reply.token_id in again.cluster.image.tokens
