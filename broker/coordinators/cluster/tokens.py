"""Decisions about delegation tokens (KIP-48): make, prolong, end, and forget those that are over.

Who may ask is known by the handlers. A token is one record, which a later one of its id takes the place of.

Source: DelegationTokenControlManager.
"""

from __future__ import annotations

from typing import Final

from broker.coordinators.cluster.machine import ClusterDecision, ClusterMachine
from broker.coordinators.machine import Decision, Promise
from broker.security.principals import Principal
from broker.security.tokens import DelegationToken
from kproto.errors import ErrorCode, KafkaError
from kproto.formats.cluster_metadata import DelegationTokenRecord, RemoveDelegationTokenRecord

MAX_TOKENS: Final = 20_000
"""The bound on clients that make tokens without end; they go when they are over."""
MAX_OF_ONE: Final = 2_000
"""Those that one user may have made: no one takes all of them."""
SWEPT_AT_ONCE: Final = 1000
LAST_TIME: Final = (1 << 63) - 1

OLDEST_LEVEL: Final = 14
"""`metadata.version` 3.6-IV2: older clusters know no tokens."""

NOT_FOUND: Final = KafkaError(ErrorCode.DELEGATION_TOKEN_NOT_FOUND)
EXPIRED: Final = KafkaError(ErrorCode.DELEGATION_TOKEN_EXPIRED)
MISMATCH: Final = KafkaError(ErrorCode.DELEGATION_TOKEN_OWNER_MISMATCH)
TOO_OLD: Final = KafkaError(ErrorCode.UNSUPPORTED_VERSION)
FULL: Final = KafkaError(ErrorCode.POLICY_VIOLATION, f"there are {MAX_TOKENS} delegation tokens already")
SHARE_TAKEN: Final = KafkaError(
    ErrorCode.POLICY_VIOLATION, f"this user has made {MAX_OF_ONE} delegation tokens already"
)


def decide_token(machine: ClusterMachine, token: DelegationToken, promise: Promise[DelegationToken]) -> ClusterDecision:
    """Make this token. Replies KafkaError: POLICY_VIOLATION where there are too many."""
    if machine.metadata_version < OLDEST_LEVEL:
        return Decision(replies=[(promise, TOO_OLD)])
    tokens = machine.image.tokens
    if len(tokens) >= MAX_TOKENS:
        return Decision(replies=[(promise, FULL)])
    if len(tokens) >= MAX_OF_ONE and sum(each.requester == token.requester for each in tokens.values()) >= MAX_OF_ONE:
        return Decision(replies=[(promise, SHARE_TAKEN)])
    return Decision([_record(token)], [(promise, token)])


def decide_renewal(
    machine: ClusterMachine, token_id: str, who: Principal, period: int, now: int, promise: Promise[int]
) -> ClusterDecision:
    """Prolong a token by `period` ms from now; the reply is when it is over.

    Replies KafkaError: DELEGATION_TOKEN_NOT_FOUND, _EXPIRED, _OWNER_MISMATCH, in this order.
    """
    token = machine.token(token_id)
    if token is None or token.is_over(now) or not token.may_be_renewed_by(who):
        error = NOT_FOUND if token is None else EXPIRED if token.is_over(now) else MISMATCH
        return Decision(replies=[(promise, error)])
    return _until(token, now + period, promise)


def decide_expiry(
    machine: ClusterMachine, token_id: str, who: Principal, period: int, now: int, promise: Promise[int]
) -> ClusterDecision:
    """Let a token be over in `period` ms, or at once if that is negative; the reply is when it is over.

    Replies KafkaError: DELEGATION_TOKEN_NOT_FOUND, _OWNER_MISMATCH, _EXPIRED, in this order.
    """
    token = machine.token(token_id)
    if token is None or not token.may_be_renewed_by(who):
        return Decision(replies=[(promise, NOT_FOUND if token is None else MISMATCH)])
    if period < 0:
        return Decision([RemoveDelegationTokenRecord(token_id=token_id)], [(promise, now)])
    if token.is_over(now):
        return Decision(replies=[(promise, EXPIRED)])
    return _until(token, now + period, promise)


def decide_sweep(machine: ClusterMachine, now: int, promise: Promise[int]) -> ClusterDecision:
    """Forget tokens that are over, some at a time; the reply is how many these were."""
    over = [token.token_id for token in machine.image.tokens.values() if token.is_over(now)][:SWEPT_AT_ONCE]
    return Decision([RemoveDelegationTokenRecord(token_id=each) for each in over], [(promise, len(over))])


def _until(token: DelegationToken, expires: int, promise: Promise[int]) -> ClusterDecision:
    token = token._replace(expires=min(token.lives_until, expires, LAST_TIME))
    return Decision([_record(token)], [(promise, token.expires)])


def _record(token: DelegationToken) -> DelegationTokenRecord:
    return DelegationTokenRecord(
        owner=str(token.owner),
        requester=str(token.requester),
        renewers=[str(each) for each in token.renewers],
        issue_timestamp=token.issued,
        max_timestamp=token.lives_until,
        expiration_timestamp=token.expires,
        token_id=token.token_id,
    )
