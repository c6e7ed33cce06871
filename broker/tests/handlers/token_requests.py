"""Requests about delegation tokens, as clients of several principals send them; their answers are those of Kafka."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from broker.context import Peer
from broker.security.principals import Principal
from broker.testing.contexts import World, world
from kproto.messages.create_delegation_token import CreatableRenewers, CreateDelegationTokenRequest
from kproto.messages.describe_delegation_token import DescribeDelegationTokenOwner, DescribeDelegationTokenRequest
from kproto.messages.expire_delegation_token import ExpireDelegationTokenRequest
from kproto.messages.renew_delegation_token import RenewDelegationTokenRequest
from storage.seams.clock import VirtualClock

ALICE, BOB = Principal("User", "alice"), Principal("User", "bob")
DAY = 86_400_000


class Tokens:
    """A broker with tokens, and clients that ask about them."""

    def __init__(self, w: World, clock: VirtualClock) -> None:
        self.world = w
        self.clock = clock

    @property
    def now(self) -> int:
        """Wall-clock milliseconds."""
        return self.clock.wall_millis()

    async def _ask(self, who: Principal, request: Any, version: int, protocol: str = "SASL_PLAINTEXT") -> Any:
        self.world.peer = Peer("127.0.0.1", 1, principal=who, security_protocol=protocol)
        return await self.world.ask(request, version)

    async def create(
        self,
        who: Principal = ALICE,
        *,
        owner: tuple[str | None, str | None] = (None, None),
        renewers: Sequence[str] = (),
        lifetime: int = -1,
        version: int = 3,
        protocol: str = "SASL_PLAINTEXT",
    ) -> Any:
        named = [CreatableRenewers(principal_type="User", principal_name=name) for name in renewers]
        request = CreateDelegationTokenRequest(renewers=named, max_lifetime_ms=lifetime)
        if version >= 3:
            request.owner_principal_type, request.owner_principal_name = owner
        return await self._ask(who, request, version, protocol)

    async def renew(self, who: Principal, hmac: bytes, period: int = -1, version: int = 2) -> tuple[int, int]:
        reply = await self._ask(who, RenewDelegationTokenRequest(hmac=hmac, renew_period_ms=period), version)
        return reply.error_code, reply.expiry_timestamp_ms

    async def expire(self, who: Principal, hmac: bytes, period: int = -1, version: int = 2) -> tuple[int, int]:
        reply = await self._ask(who, ExpireDelegationTokenRequest(hmac=hmac, expiry_time_period_ms=period), version)
        return reply.error_code, reply.expiry_timestamp_ms

    async def describe(self, who: Principal, owners: list[str] | None = None, version: int = 3) -> Any:
        named = [DescribeDelegationTokenOwner(principal_type="User", principal_name=name) for name in owners or ()]
        request = DescribeDelegationTokenRequest(owners=None if owners is None else named)
        return await self._ask(who, request, version)

    async def ids(self, who: Principal, owners: list[str] | None = None) -> set[str]:
        return {token.token_id for token in (await self.describe(who, owners)).tokens}


@asynccontextmanager
async def tokens(settings: dict[str, str] | None = None) -> AsyncIterator[Tokens]:
    """A broker with a secret, and settings over that."""
    clock = VirtualClock()
    async with world({"delegation.token.secret.key": "s3cret", **(settings or {})}, clock=clock) as w:
        yield Tokens(w, clock)
