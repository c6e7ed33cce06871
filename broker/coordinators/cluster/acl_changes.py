"""Decisions that add and remove ACLs.

A removal names ids: which ACLs a filter means is found out before, in slices, by a reader of the image
(`acls.matching`), since a decision gives way to no other task.

**Parts.** Kafka decides a whole request at once. Here a decision has up to `AT_ONCE` records, so that no turn of the
event loop is long; a request of more than that is several decisions, durable together, and its client is answered when
they are. A crash in between leaves a part of it, each ACL of which is whole.

Source: `AclControlManager`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Protocol

from broker.coordinators.cluster.acls import MAX_ACLS, MAX_CHARACTERS, characters_of, record_of
from broker.coordinators.cluster.machine import ClusterDecision, ClusterMachine
from broker.coordinators.machine import Decision, Promise
from kproto.errors import ErrorCode, KafkaError
from kproto.formats.cluster_metadata import RemoveAccessControlEntryRecord

if TYPE_CHECKING:
    from broker.security.acls import Acl
    from kproto.ids import Uuid
    from kproto.schema.declare import Record
    from storage.seams.entropy import Entropy

AT_ONCE: Final = 200
"""Records of one decision: with what follows from it, ten milliseconds."""

TOO_MANY: Final = KafkaError(ErrorCode.POLICY_VIOLATION, "there are as many ACLs as there may be")


def decide_acls(
    machine: ClusterMachine, wanted: Sequence[tuple[Uuid, Acl]], promise: Promise[list[KafkaError | None]]
) -> ClusterDecision:
    """Add ACLs, each with the id that it gets if it is new. The reply: of each, None or POLICY_VIOLATION."""
    acls = machine.acls
    records: dict[Acl, Record] = {}
    results: list[KafkaError | None] = []
    characters = acls.characters
    for acl_id, acl in wanted:
        new = acl not in records and not acls.has(acl)
        if new and (len(acls) + len(records) >= MAX_ACLS or characters + characters_of(acl) > MAX_CHARACTERS):
            results.append(TOO_MANY)
            continue
        if new:
            characters += characters_of(acl)
            records[acl] = record_of(acl_id, acl)
        results.append(None)
    return Decision(list(records.values()), [(promise, results)])


def decide_acl_removal(machine: ClusterMachine, ids: Iterable[Uuid], promise: Promise[None]) -> ClusterDecision:
    """Remove the ACLs with these ids, as far as they are still there."""
    acls = machine.acls
    records: list[Record] = [RemoveAccessControlEntryRecord(id=acl_id) for acl_id in ids if acls.has_id(acl_id)]
    return Decision(records, [(promise, None)])


class Decider(Protocol):
    """Takes decisions: the cluster coordinator."""

    async def decide_each(self, decisions: Any) -> list[Any]:
        """Replies, or KafkaErrors, in the order of the decisions, when all are durable."""
        ...


async def create_acls(acls: Sequence[Acl], cluster: Decider, entropy: Entropy) -> list[KafkaError | None]:
    """Add ACLs, each on its own. Returns, in their order, None or POLICY_VIOLATION where there are too many; they hold
    then."""
    parts = [acls[start : start + AT_ONCE] for start in range(0, len(acls), AT_ONCE)]

    def decide(part: Sequence[Acl], machine: ClusterMachine, promise: Promise[list[KafkaError | None]]) -> Any:
        return decide_acls(machine, [(entropy.uuid(), acl) for acl in part], promise)

    results: list[KafkaError | None] = []
    for part, result in zip(parts, await cluster.decide_each(partial(decide, part) for part in parts), strict=True):
        results += [result] * len(part) if isinstance(result, KafkaError) else result
    return results


async def delete_acls(ids: Sequence[Uuid], cluster: Decider) -> None:
    """Remove the ACLs with these ids, as far as they are there. Raises KafkaError(NOT_CONTROLLER)."""
    parts = (ids[start : start + AT_ONCE] for start in range(0, len(ids), AT_ONCE))

    def decide(part: Sequence[Uuid], machine: ClusterMachine, promise: Promise[None]) -> ClusterDecision:
        return decide_acl_removal(machine, part, promise)

    for result in await cluster.decide_each(partial(decide, part) for part in parts):
        if isinstance(result, KafkaError):
            raise result
