"""Who asks, with which ACLs, and whether the answer is yes: the columns of the matrix.

    none             an authenticated client without ACLs
    anonymous        one that was not asked who it is, without ACLs
    minimal          just what the row needs; where one of several permissions is enough, each of them by turns
    minus one        all but one of what is needed
    denied           all that is needed, and one of it denied
    wrong host       all that is needed, from another address
    wrong operation  another operation on each of the resources
    prefixed         all that is needed, on prefixes of the names
    wildcard         all that is needed, on every name
    everyone         all that is needed, given to User:*
    super            a super user without ACLs

Each situation has a principal of its own, so their ACLs can all be there at the same time; but for `everyone`, which
comes last.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

from broker.security.acls import EVERYONE, WILDCARD, Acl, PatternType
from broker.security.acls import Permission as AclPermission
from broker.security.operations import CLUSTER_NAME, Operation, Resource
from broker.testing.authorization.requests import Names
from broker.testing.authorization.rows import Need, Permission, Row

HOST: Final = "127.0.0.1"
OTHER_HOST: Final = "192.0.2.1"
PREFIX: Final = "case-"
"""What the names of all resources begin with."""

UNRELATED: Final = {
    Resource.TOPIC: Operation.DESCRIBE_CONFIGS,
    Resource.GROUP: Operation.DESCRIBE_CONFIGS,
    Resource.CLUSTER: Operation.CREATE_TOKENS,
    Resource.TRANSACTIONAL_ID: Operation.TWO_PHASE_COMMIT,
}
"""An operation that no row needs, and that implies none."""


class Situation(NamedTuple):
    """One column of the matrix, for one row."""

    name: str
    principal: str
    acls: tuple[Acl, ...]
    lacks: tuple[Need, ...] = ()
    """What the client may not do; empty where its request is allowed. The first of it decides about the answer."""


def situations(row: Row, there: Names, missing: Names) -> Iterator[Situation]:
    """The situations of a row, in which the resources of both sets of names are asked for."""

    def allowing(
        principal: str, permissions: list[Permission], *, host: str = WILDCARD, deny: Permission | None = None
    ) -> tuple[Acl, ...]:
        given = [(permission, AclPermission.ALLOW) for permission in permissions]
        if deny is not None:
            given.append((deny, AclPermission.DENY))
        return tuple(
            Acl(kind, name, PatternType.LITERAL, principal, host, operation, says)
            for (operation, kind), says in given
            for name in sorted({there.of(kind), missing.of(kind)})
        )

    needs = row.needs
    yield Situation("none", "User:none", (), needs)
    yield Situation("anonymous", "User:ANONYMOUS", (), needs)
    first = [need[0] for need in needs]
    if needs:
        for number in range(max(map(len, needs))):
            chosen = [need[min(number, len(need) - 1)] for need in needs]
            name = f"minimal {number + 1}" if number else "minimal"
            yield Situation(name, f"User:{name}", allowing(f"User:{name}", chosen))
        if len(needs) > 1:
            for number, need in enumerate(needs):
                name = f"minus {number + 1}"
                rest = [permission for permission in first if permission != need[0]]
                yield Situation(name, f"User:{name}", allowing(f"User:{name}", rest), (need,))
        for number, need in enumerate(needs):
            name = f"denied {number + 1}"
            yield Situation(name, f"User:{name}", allowing(f"User:{name}", first, deny=need[0]), (need,))
        yield Situation("wrong host", "User:wrong host", allowing("User:wrong host", first, host=OTHER_HOST), needs)
        others = [(UNRELATED[kind], kind) for _, kind in first if (UNRELATED[kind], kind) not in first]
        if len(others) == len(first):
            yield Situation("wrong operation", "User:wrong op", allowing("User:wrong op", others), needs)
        yield Situation("prefixed", "User:prefixed", tuple(_on(first, PatternType.PREFIXED, "User:prefixed")))
        yield Situation("wildcard", "User:wildcard", tuple(_on(first, PatternType.LITERAL, "User:wildcard")))
    yield Situation("super", "User:admin", ())
    if needs:
        yield Situation("everyone", "User:of everyone", allowing(EVERYONE, first))


def _on(permissions: list[Permission], pattern: PatternType, principal: str) -> Iterator[Acl]:
    """ACLs of many names at once: on the common prefix, or on all."""
    for operation, kind in permissions:
        name = CLUSTER_NAME if kind is Resource.CLUSTER else PREFIX if pattern is PatternType.PREFIXED else WILDCARD
        yield Acl(kind, name, pattern, principal, WILDCARD, operation, AclPermission.ALLOW)
