"""Delegation tokens as the broker deals with them: made, found by what their holders prove, and forgotten (KIP-48).

Without `delegation.token.secret.key` there are none: what is in the cluster's log stays there, and is not found.

A holder proves its token over SCRAM, with the HMAC in base64 as the password. The credential for that is made when it
is needed, in a thread, since a password must be salted some thousand times.

Requests name a token by its HMAC. It is not kept, so it is made of each id once and remembered as long as there is the
token.
"""

from __future__ import annotations

import base64
from functools import partial
from typing import TYPE_CHECKING, Final, TypeVar

import trio

from broker.coordinators.machine import Promise
from broker.security.principals import USER
from kproto.errors import ErrorCode, KafkaError
from kproto.ids import format_uuid
from storage.seams.offload import Lane

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from broker.coordinators.cluster import ClusterCoordinator
    from broker.coordinators.cluster.machine import ClusterDecision, ClusterMachine
    from broker.security.principals import Principal
    from broker.security.sasl.scram import Credential, Hash
    from broker.security.tokens import DelegationToken
    from storage.seams.clock import Clock
    from storage.seams.entropy import Entropy
    from storage.seams.offload import Offload

T = TypeVar("T")

LONGEST_PERIOD: Final = 1 << 60
"""Milliseconds: more than any life, and what added to now is still a time."""


class DelegationTokens:
    """One per broker."""

    def __init__(self, cluster: ClusterCoordinator, clock: Clock, entropy: Entropy, offload: Offload) -> None:
        self._cluster = cluster
        self._clock = clock
        self._entropy = entropy
        self._offload = offload
        self._seen: Mapping[str, DelegationToken] = {}
        self._hmacs: dict[str, bytes] = {}
        self._ids: dict[bytes, str] = {}

    @property
    def enabled(self) -> bool:
        """Whether there are any here."""
        return bool(self._cluster.config.delegation_token_secret_key)

    async def create(
        self, owner: Principal, requester: Principal, renewers: Sequence[Principal], lifetime: int
    ) -> tuple[DelegationToken, bytes]:
        """A new token and its HMAC. `lifetime` is ms, 0 or less for the longest there is. Raises KafkaError."""
        from broker.security.tokens import DelegationToken, hmac_of

        config = self._cluster.config
        secret = self._secret()
        now = self._clock.wall_millis()
        longest = config.delegation_token_max_lifetime_ms
        lives_until = now + (min(longest, lifetime) if lifetime > 0 else longest)
        token = DelegationToken(
            token_id=format_uuid(self._entropy.uuid()),
            owner=owner,
            requester=requester,
            renewers=tuple(renewers),
            issued=now,
            expires=min(lives_until, now + config.delegation_token_expiry_time_ms),
            lives_until=lives_until,
        )
        made = await self._decide(partial(_make, token))
        return made, hmac_of(secret, made.token_id)

    async def renew(self, hmac: bytes, who: Principal, period: int) -> int:
        """Prolong a token by `period` ms, or as usual if that is 0 or less; returns when it is over. Raises
        KafkaError."""
        token_id = self._token_id(hmac)
        usual = self._cluster.config.delegation_token_expiry_time_ms
        period = min(usual, period) if period > 0 else usual
        return await self._decide(partial(_renew, token_id, who, period, self._clock.wall_millis()))

    async def expire(self, hmac: bytes, who: Principal, period: int) -> int:
        """Let a token be over in `period` ms, at once if that is negative; returns when it is. Raises KafkaError."""
        token_id = self._token_id(hmac)
        now = self._clock.wall_millis()
        return await self._decide(partial(_expire, token_id, who, min(period, LONGEST_PERIOD), now))

    def hmac(self, token: DelegationToken) -> bytes:
        """What the holder of this token proves to have."""
        from broker.security.tokens import hmac_of

        self._look()
        return self._hmacs.get(token.token_id) or hmac_of(self._secret(), token.token_id)

    async def credential(self, which: Hash, token_id: str) -> tuple[Credential, DelegationToken] | None:
        """What the holder of the token proves over SCRAM; None if there is no such token, or it is over, or its owner
        is no user: its holder would be the user of that name, who is another (and is, on Kafka)."""
        from broker.security.sasl.scram import MIN_ITERATIONS, credential_of, false_salt, salted
        from broker.security.tokens import hmac_of

        token = self._cluster.image.tokens.get(token_id) if self.enabled else None
        if token is None or token.is_over(self._clock.wall_millis()) or token.owner.kind != USER:
            return None
        secret = self._secret()
        salt = false_salt(secret.encode(), which, token_id)
        password = base64.b64encode(hmac_of(secret, token_id)).decode()
        salted_password = await self._offload.run(
            salted, which, password, salt, MIN_ITERATIONS, abandonable=True, lane=Lane.REQUESTS
        )
        return credential_of(which, salted_password, salt, MIN_ITERATIONS), token

    async def sweep(self) -> None:
        """Forget tokens that are over, now and then, forever."""
        while True:
            await trio.sleep(self._cluster.config.delegation_token_expiry_check_interval_ms / 1000)
            await self.catch_up()

    async def catch_up(self) -> None:
        """Forget the tokens that are over now."""
        while self.enabled and await self._decide(partial(_sweep, self._clock.wall_millis())):
            await trio.lowlevel.checkpoint()

    def _secret(self) -> str:
        secret = self._cluster.config.delegation_token_secret_key
        if not secret:
            raise KafkaError(ErrorCode.DELEGATION_TOKEN_AUTH_DISABLED)
        return secret

    def _token_id(self, hmac: bytes) -> str:
        """The token with this HMAC. Raises KafkaError."""
        self._look()
        token_id = self._ids.get(hmac)
        if token_id is None:
            raise KafkaError(ErrorCode.DELEGATION_TOKEN_NOT_FOUND)
        return token_id

    def _look(self) -> None:
        """Know the HMACs of the tokens there are now."""
        secret, tokens = self._secret(), self._cluster.image.tokens
        if tokens is self._seen:
            return
        from broker.security.tokens import hmac_of

        known = self._hmacs
        self._hmacs = {token_id: known.get(token_id) or hmac_of(secret, token_id) for token_id in tokens}
        self._ids = {hmac: token_id for token_id, hmac in self._hmacs.items()}
        self._seen = tokens

    async def _decide(self, decide: Callable[[ClusterMachine, Promise[T]], ClusterDecision]) -> T:
        [reply] = await self._cluster.decide_each([decide])
        if isinstance(reply, KafkaError):
            raise reply
        return reply


def _make(token: DelegationToken, machine: ClusterMachine, promise: Promise[DelegationToken]) -> ClusterDecision:
    from broker.coordinators.cluster.tokens import decide_token

    return decide_token(machine, token, promise)


def _renew(
    token_id: str, who: Principal, period: int, now: int, machine: ClusterMachine, promise: Promise[int]
) -> ClusterDecision:
    from broker.coordinators.cluster.tokens import decide_renewal

    return decide_renewal(machine, token_id, who, period, now, promise)


def _expire(
    token_id: str, who: Principal, period: int, now: int, machine: ClusterMachine, promise: Promise[int]
) -> ClusterDecision:
    from broker.coordinators.cluster.tokens import decide_expiry

    return decide_expiry(machine, token_id, who, period, now, promise)


def _sweep(now: int, machine: ClusterMachine, promise: Promise[int]) -> ClusterDecision:
    from broker.coordinators.cluster.tokens import decide_sweep

    return decide_sweep(machine, now, promise)
