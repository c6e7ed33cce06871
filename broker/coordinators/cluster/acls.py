"""ACLs in the cluster's log: AccessControlEntryRecords under random ids, and what they add up to.

Two ACLs that say the same are one, so to add one that is there costs nothing and succeeds, as in Kafka
(AclControlManager). Decisions that add and remove some are in `acl_changes.py`.

**Bounds.** A request adds or removes up to `MAX_IN_REQUEST` ACLs, Kafka's number. All together there are at most
`MAX_ACLS`, whose names, principals and hosts have `MAX_CHARACTERS` together: some 150 bytes of memory each where names
are short, 400 with what the authorizer keeps.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from broker.coordinators.cluster.persistent_map import PersistentMap
from broker.security.acls import Acl, AclFilter
from kproto.formats.cluster_metadata import AccessControlEntryRecord
from kproto.ids import Uuid
from storage.seams.slices import Slices

MAX_IN_REQUEST: Final = 10_000
"""ACLs that one request adds, or removes (Kafka: MAX_RECORDS_PER_USER_OP)."""

MAX_ACLS: Final = 200_000

MAX_CHARACTERS: Final = 64 * 1024 * 1024
"""Of the names, principals and hosts of all of them."""


class AclFold:
    """What the records of ACLs add up to: id -> ACL, and what has changed since the last image."""

    def __init__(self) -> None:
        self._by_id: dict[Uuid, Acl] = {}
        self._ids: dict[Acl, Uuid] = {}
        self._stale: dict[Uuid, None] = {}
        self.characters = 0

    def __len__(self) -> int:
        return len(self._by_id)

    @property
    def changed(self) -> bool:
        """True when something differs from the last image."""
        return bool(self._stale)

    def has(self, acl: Acl) -> bool:
        """Whether there is an ACL that says just this."""
        return acl in self._ids

    def has_id(self, acl_id: Uuid) -> bool:
        """Whether there is an ACL with this id."""
        return acl_id in self._by_id

    def add(self, record: AccessControlEntryRecord) -> None:
        """Replay one."""
        acl = Acl(
            record.resource_type,
            record.resource_name,
            record.pattern_type,
            record.principal,
            record.host,
            record.operation,
            record.permission_type,
        )
        self.remove(record.id)
        self._by_id[record.id] = acl
        self.characters += characters_of(acl)
        self._ids[acl] = record.id
        self._stale[record.id] = None

    def remove(self, acl_id: Uuid) -> None:
        """Replay a removal; of none, if there is none."""
        acl = self._by_id.pop(acl_id, None)
        if acl is not None:
            del self._ids[acl]
            self.characters -= characters_of(acl)
            self._stale[acl_id] = None

    def stale_ids(self) -> list[Uuid]:
        """The ids under which something differs from the last image."""
        return list(self._stale)

    def advance(self, old: PersistentMap[Uuid, Acl]) -> PersistentMap[Uuid, Acl]:
        """The ACLs of now, made of those of the last image."""
        if not self._stale:
            return old
        there = {acl_id: self._by_id[acl_id] for acl_id in self._stale if acl_id in self._by_id}
        gone = [acl_id for acl_id in self._stale if acl_id not in there]
        self._stale.clear()
        return old.updated(there, gone)

    def check(self, published: Mapping[Uuid, Acl]) -> None:
        """Assert that both directions agree, and the image of now with them."""
        assert self.characters == sum(map(characters_of, self._ids))
        assert self._ids == {acl: acl_id for acl_id, acl in self._by_id.items()}
        assert dict(published) == self._by_id


def characters_of(acl: Acl) -> int:
    """The characters that an ACL is written with."""
    return len(acl.resource_name) + len(acl.principal) + len(acl.host)


def record_of(acl_id: Uuid, acl: Acl) -> AccessControlEntryRecord:
    """The record that adds an ACL."""
    return AccessControlEntryRecord(
        id=acl_id,
        resource_type=acl.resource_type,
        resource_name=acl.resource_name,
        pattern_type=acl.pattern_type,
        principal=acl.principal,
        host=acl.host,
        operation=acl.operation,
        permission_type=acl.permission,
    )


async def matching(acls: Mapping[Uuid, Acl], wanted: AclFilter, slices: Slices) -> dict[Uuid, Acl]:
    """The ACLs that a filter means."""
    matches = wanted.matches
    return {acl_id: acl async for acl_id, acl in slices.over(acls.items()) if matches(acl)}
