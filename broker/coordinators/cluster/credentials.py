"""Decisions about users' SCRAM credentials (KIP-554): set, change and delete them.

A user has one credential for each mechanism. What a client sends is the salted password; what is kept is made of it
before the decision (`prepare`), since it is some HMACs for each user. Each user of a request is altered on its own and
once: a second mention refuses both.

Source: ScramControlManager; `ScramImage.describe` for the words of answers.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from broker.coordinators.cluster.machine import ClusterDecision, ClusterMachine
from broker.coordinators.machine import Decision, Promise
from broker.security.sasl.scram import (
    BY_NUMBER,
    MAX_ITERATIONS,
    MIN_ITERATIONS,
    Credential,
    credential_of,
)
from kproto.errors import ErrorCode, KafkaError
from kproto.formats.cluster_metadata import RemoveUserScramCredentialRecord, UserScramCredentialRecord
from kproto.schema.declare import Record
from storage.seams.slices import Slices

MAX_CREDENTIALS: Final = 200_000
"""Of all users: the bound on a client that makes users without end."""
OLDEST_LEVEL: Final = 11
"""`metadata.version` 3.5-IV2: older clusters know no credentials."""
MAX_SALT: Final = 1024
"""Bytes; clients make some 26 to 64."""


class Deletion(NamedTuple):
    """A user's credential for one mechanism goes."""

    user: str
    mechanism: int


@dataclass(frozen=True, slots=True)
class Upsertion:
    """A user's credential for one mechanism; `credential` is None where the request's values make none, for the
    reason in `refusal`."""

    user: str
    mechanism: int
    credential: Credential | None
    refusal: KafkaError | None = None


class Altered(NamedTuple):
    """What became of one user of a request."""

    user: str
    error: KafkaError | None = None


class Share(NamedTuple):
    """Some users' part of a request: all changes of each."""

    deletions: list[Deletion]
    upsertions: list[Upsertion]


USERS_AT_ONCE: Final = 500
"""In one decision: a request may name tens of thousands, of which each is altered on its own."""


async def by_users(deletions: Iterable[Deletion], upsertions: Iterable[Upsertion]) -> list[Share]:
    """The changes of a request in shares of USERS_AT_ONCE users, in the order of the request."""
    slices = Slices()
    shares: list[Share] = []
    share_of: dict[str, Share] = {}

    def share(user: str) -> Share:
        found = share_of.get(user)
        if found is None:
            if len(share_of) % USERS_AT_ONCE == 0:
                shares.append(Share([], []))
            found = share_of[user] = shares[-1]
        return found

    async for deletion in slices.over(deletions):
        share(deletion.user).deletions.append(deletion)
    async for upsertion in slices.over(upsertions):
        share(upsertion.user).upsertions.append(upsertion)
    return shares


async def joined(answers: Iterable[list[Altered] | KafkaError]) -> list[Altered]:
    """The answers to all shares as one: those altered, then those refused, as in Kafka. Raises KafkaError."""
    slices = Slices()
    altered: list[Altered] = []
    refused: list[Altered] = []
    for answer in answers:
        if isinstance(answer, KafkaError):
            raise answer
        async for each in slices.over(answer):
            (altered if each.error is None else refused).append(each)
    return altered + refused


TWICE: Final = KafkaError(ErrorCode.DUPLICATE_RESOURCE, "A user credential cannot be altered twice in the same request")
NO_NAME: Final = KafkaError(ErrorCode.UNACCEPTABLE_CREDENTIAL, "Username must not be empty")
NO_MECHANISM: Final = KafkaError(ErrorCode.UNSUPPORTED_SASL_MECHANISM, "Unknown SCRAM mechanism")
TOO_FEW: Final = KafkaError(ErrorCode.UNACCEPTABLE_CREDENTIAL, "Too few iterations")
TOO_MANY: Final = KafkaError(ErrorCode.UNACCEPTABLE_CREDENTIAL, "Too many iterations")
TOO_LONG: Final = KafkaError(ErrorCode.UNACCEPTABLE_CREDENTIAL, f"A salt may have {MAX_SALT} bytes")
NOT_THERE: Final = KafkaError(ErrorCode.RESOURCE_NOT_FOUND, "Attempt to delete a user credential that does not exist")
NO_KEY: Final = KafkaError(ErrorCode.UNKNOWN_SERVER_ERROR, "")
"""An empty salted password is no key of an HMAC: Kafka fails over it, and says no more."""
TOO_OLD: Final = KafkaError(ErrorCode.UNSUPPORTED_VERSION, "The current metadata.version does not support SCRAM")
FULL: Final = KafkaError(ErrorCode.POLICY_VIOLATION, f"there are {MAX_CREDENTIALS} credentials already")


def prepare(user: str, mechanism: int, iterations: int, salt: bytes, salted_password: bytes) -> Upsertion:
    """What is kept of these values, or why nothing is."""
    refusal = _refusal(user, mechanism)
    if refusal is None and iterations < MIN_ITERATIONS:
        refusal = TOO_FEW
    if refusal is None and iterations > MAX_ITERATIONS:
        refusal = TOO_MANY
    if refusal is None and len(salt) > MAX_SALT:
        refusal = TOO_LONG
    if refusal is None and not salted_password:
        refusal = NO_KEY
    if refusal is not None:
        return Upsertion(user, mechanism, None, refusal)
    return Upsertion(user, mechanism, credential_of(BY_NUMBER[mechanism], salted_password, salt, iterations))


def _refusal(user: str, mechanism: int) -> KafkaError | None:
    if not user:
        return NO_NAME
    return None if mechanism in BY_NUMBER else NO_MECHANISM


def decide_credentials(
    machine: ClusterMachine,
    deletions: Sequence[Deletion],
    upsertions: Sequence[Upsertion],
    promise: Promise[list[Altered]],
) -> ClusterDecision:
    """Alter all that can be. The reply has each user once: those altered, then those refused, as in Kafka."""
    wanted: dict[str, Deletion | Upsertion] = {}
    refused: dict[str, KafkaError] = {}
    changes: list[Deletion | Upsertion] = [*deletions, *upsertions]
    for change in changes:
        if change.user in refused:
            continue
        if wanted.pop(change.user, None) is not None:
            refused[change.user] = TWICE
        elif (error := _error_of(machine, change)) is not None:
            refused[change.user] = error
        else:
            wanted[change.user] = change
    records: list[Record] = []
    room = MAX_CREDENTIALS - len(machine.image.credentials)
    for user, change in list(wanted.items()):
        record = _record(change)
        if isinstance(change, Upsertion) and machine.credential(change.mechanism, user) is None:
            room -= 1
            if room < 0:
                refused[user] = FULL
                del wanted[user]
                continue
        records.append(record)
    replies = [Altered(user) for user in wanted] + [Altered(user, error) for user, error in refused.items()]
    return Decision(records, [(promise, replies)])


def _error_of(machine: ClusterMachine, change: Deletion | Upsertion) -> KafkaError | None:
    if machine.metadata_version < OLDEST_LEVEL:
        return TOO_OLD
    if isinstance(change, Upsertion):
        return change.refusal
    refusal = _refusal(change.user, change.mechanism)
    if refusal is None and machine.credential(change.mechanism, change.user) is None:
        return NOT_THERE
    return refusal


def _record(change: Deletion | Upsertion) -> Record:
    if isinstance(change, Deletion):
        return RemoveUserScramCredentialRecord(name=change.user, mechanism=change.mechanism)
    kept = change.credential
    assert kept is not None, "it was refused"
    return UserScramCredentialRecord(
        name=change.user,
        mechanism=change.mechanism,
        salt=kept.salt,
        stored_key=kept.stored_key,
        server_key=kept.server_key,
        iterations=kept.iterations,
    )


async def described(
    credentials: Mapping[tuple[int, str], Credential], users: Sequence[str] | None
) -> list[tuple[str, list[tuple[int, int]], KafkaError | None]]:
    """Of each user, (mechanism, iterations) for those it has; every user if none is named.

    Errors: RESOURCE_NOT_FOUND, DUPLICATE_RESOURCE for one that is named twice.
    """
    slices = Slices()
    times: dict[str, int] = {}
    if users:
        async for user in slices.over(users):
            times[user] = times.get(user, 0) + 1
    else:
        async for _, user in slices.over(credentials):
            times[user] = 1
    found: list[tuple[str, list[tuple[int, int]], KafkaError | None]] = []
    async for user, count in slices.over(times.items()):
        infos = [
            (number, credentials[number, user].iterations) for number in BY_NUMBER if (number, user) in credentials
        ]
        error = None
        if count > 1:
            infos, error = (
                [],
                KafkaError(
                    ErrorCode.DUPLICATE_RESOURCE,
                    f"Cannot describe SCRAM credentials for the same user twice in a single request: {user}",
                ),
            )
        elif not infos:
            error = KafkaError(
                ErrorCode.RESOURCE_NOT_FOUND, f"Attempt to describe a user credential that does not exist: {user}"
            )
        found.append((user, infos, error))
    return found
