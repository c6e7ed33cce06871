"""ACLs: what one says, and an index of very many that answers what a client may do to a resource.

**What one says.** A principal, from a host, may (or may not) do an operation to the resources of a pattern. A pattern
is a kind and a name: literal, where `*` stands for every name, or a prefix of names. The principal `User:*` and the
host `*` stand for all.

**The rules** are those of Kafka's StandardAuthorizerData. Of the ACLs whose principal, host and pattern match, one that
denies the operation wins over all that allow it, and without one that allows it the answer is no. ALL stands for every
operation. To allow READ, WRITE, DELETE or ALTER allows DESCRIBE too, and ALTER_CONFIGS allows DESCRIBE_CONFIGS; to deny
one denies nothing else.

**The index** finds these ACLs without looking at others. Its first level is (kind, principal); a client is asked for
under two principals, its own and `User:*`. The literal patterns that match a name are found under the name and under
`*`. Of prefixes it is enough to know whether there is one that matches, for each operation, host and permission: those
that are alike in these are one set (`prefixes.py`), which answers with one look-up, however many it has and whatever
their lengths. So the costs grow neither with the number of ACLs nor with how many of them match, and adding or removing
one is a few steps. What is found is two bit fields, the operations allowed and those denied; one decision asks for a
few bits, a describe answer for all (KIP-430).

Source: KIP-11, KIP-140, KIP-290, `StandardAuthorizerData.findResult`, `ResourcePatternFilter`,
`AccessControlEntryFilter`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from enum import IntEnum
from functools import lru_cache
from typing import Any, Final, NamedTuple

from broker.security.operations import Operation
from broker.security.prefixes import Prefixes

WILDCARD: Final = "*"
"""As the name of a literal pattern, and as a host: all of them."""

EVERYONE: Final = "User:*"
"""The principal of an ACL that is about all."""


class PatternType(IntEnum):
    """How a pattern's name is meant (Kafka: PatternType)."""

    UNKNOWN = 0
    ANY = 1
    """In filters: patterns of both types with just this name."""
    MATCH = 2
    """In filters: patterns that a resource of this name matches."""
    LITERAL = 3
    PREFIXED = 4


class Permission(IntEnum):
    """Whether an ACL allows (Kafka: AclPermissionType)."""

    UNKNOWN = 0
    ANY = 1
    """In filters only."""
    DENY = 2
    ALLOW = 3


class Acl(NamedTuple):
    """One access control entry; numbers are the codes of Resource, PatternType, Operation and Permission."""

    resource_type: int
    resource_name: str
    pattern_type: int
    principal: str
    host: str
    operation: int
    permission: int


def _bits(*operations: Operation) -> int:
    return sum(1 << operation for operation in operations)


_IMPLYING_DESCRIBE: Final = _bits(
    Operation.DESCRIBE, Operation.READ, Operation.WRITE, Operation.DELETE, Operation.ALTER
)
_IMPLYING_DESCRIBE_CONFIGS: Final = _bits(Operation.DESCRIBE_CONFIGS, Operation.ALTER_CONFIGS)

DENIED_BY: Final = tuple(1 << operation | _bits(Operation.ALL) for operation in Operation)
"""Operation -> the bits of the operations that an ACL which denies it may name."""

ALLOWED_BY: Final = tuple(
    DENIED_BY[operation]
    | (_IMPLYING_DESCRIBE if operation is Operation.DESCRIBE else 0)
    | (_IMPLYING_DESCRIBE_CONFIGS if operation is Operation.DESCRIBE_CONFIGS else 0)
    for operation in Operation
)
"""Operation -> the bits of the operations that an ACL which allows it may name."""


class Said(NamedTuple):
    """What the ACLs say of one client and one resource: bit n for the operation with the code n. 0 and 0: nothing."""

    allowed: int
    denied: int


NOTHING_SAID: Final = Said(0, 0)
EVERYTHING: Final = Said(-1, -1)
"""As what is asked for: all operations."""


@lru_cache(1024)
def spelled(host: str) -> str:
    """An address in the one spelling that is compared: an IPv6 address has many, and an IPv4 address two."""
    if ":" not in host:
        return host
    from ipaddress import IPv6Address

    try:
        address = IPv6Address(host.partition("%")[0])
    except ValueError:
        return host
    return str(address.ipv4_mapped or address)


class Grants:
    """What the ACLs of one principal and one name say: by host, two bit fields."""

    __slots__ = ("allowed", "by_host", "denied")

    def __init__(self) -> None:
        self.allowed = 0  # from every host
        self.denied = 0
        self.by_host: dict[str, Said] | None = None

    def set(self, acl: Acl, present: bool) -> None:
        """Take one ACL up, or back."""
        bit = 1 << acl.operation
        allows = acl.permission == Permission.ALLOW
        if acl.host == WILDCARD:
            if allows:
                self.allowed = self.allowed | bit if present else self.allowed & ~bit
            else:
                self.denied = self.denied | bit if present else self.denied & ~bit
            return
        by_host = self.by_host or {}
        host = spelled(acl.host)
        allowed, denied = by_host.get(host, NOTHING_SAID)
        if allows:
            allowed = allowed | bit if present else allowed & ~bit
        else:
            denied = denied | bit if present else denied & ~bit
        if allowed or denied:
            by_host[host] = Said(allowed, denied)
        else:
            by_host.pop(host, None)
        self.by_host = by_host or None

    def here(self, host: str) -> Said:
        """What is said of clients from there."""
        here = NOTHING_SAID if self.by_host is None else self.by_host.get(host, NOTHING_SAID)
        return Said(self.allowed | here.allowed, self.denied | here.denied)

    def __bool__(self) -> bool:
        return bool(self.allowed or self.denied or self.by_host)


class Rules:
    """What the ACLs of one principal say of resources of one kind."""

    __slots__ = ("literal", "prefixed")

    def __init__(self) -> None:
        self.literal: dict[str, Grants] = {}
        self.prefixed: dict[str, tuple[dict[int, Prefixes], dict[int, Prefixes]]] = {}
        """Host -> the prefixes under which an operation, given as its bit, is allowed, and those under which it is
        denied."""

    def __bool__(self) -> bool:
        return bool(self.literal or self.prefixed)

    def change_literal(self, acl: Acl, present: bool) -> None:
        """Take an ACL with a literal name up, or back."""
        grants = self.literal.setdefault(acl.resource_name, Grants())
        grants.set(acl, present)
        if not grants:
            del self.literal[acl.resource_name]

    def change_prefixes(self, host: str, permission: int, bit: int, removed: list[str], added: list[str]) -> None:
        """Take ACLs with prefixes back and up, which are alike in all else."""
        both = self.prefixed.setdefault(host, ({}, {}))
        by_operation = both[permission != Permission.ALLOW]
        prefixes = by_operation.setdefault(bit, Prefixes())
        prefixes.change(removed, added)
        if not prefixes:
            del by_operation[bit]
            if not any(both):
                del self.prefixed[host]

    def said_of(self, name: str, host: str, asked: Said) -> Said:
        """What is said of a resource and a client from there, of the operations asked for."""
        allowed = denied = 0
        for literal in (name, WILDCARD) if name != WILDCARD else (WILDCARD,):
            if (grants := self.literal.get(literal)) is not None:
                here = grants.here(host)
                allowed |= here.allowed
                denied |= here.denied
        for where in (WILDCARD, host) if self.prefixed else ():
            if (both := self.prefixed.get(where)) is not None:
                for bit, prefixes in both[0].items():
                    if bit & asked.allowed and prefixes.begin(name):
                        allowed |= bit
                for bit, prefixes in both[1].items():
                    if bit & asked.denied and prefixes.begin(name):
                        denied |= bit
        return Said(allowed & asked.allowed, denied & asked.denied)

    def names_allowed(self, bits: int, host: str) -> Iterator[tuple[str, bool]]:
        """The names that one of these operations is allowed for, and whether each is a prefix; of prefixes the shortest
        do."""
        for name, grants in self.literal.items():
            if grants.here(host).allowed & bits:
                yield name, False
        for where in (WILDCARD, host):
            for bit, prefixes in self.prefixed.get(where, _NO_PREFIXES)[0].items():
                if bit & bits:
                    for prefix in prefixes.shortest:
                        yield prefix, True

    def denies_all(self, name: str, is_prefix: bool, bits: int, host: str) -> bool:
        """Whether one of these operations is denied for all that is called so: by a prefix, or by the very name."""
        if not is_prefix and (same := self.literal.get(name)) is not None and same.here(host).denied & bits:
            return True
        return any(
            bit & bits and prefixes.begin(name)
            for where in (WILDCARD, host)
            for bit, prefixes in self.prefixed.get(where, _NO_PREFIXES)[1].items()
        )


_NO_PREFIXES: Final[tuple[dict[int, Prefixes], dict[int, Prefixes]]] = ({}, {})


class Named:
    """The names and prefixes of one kind of resource that any ACL is about, and how many are."""

    __slots__ = ("_literal", "_prefixed", "_prefixes")

    def __init__(self) -> None:
        self._literal: Counter[str] = Counter()
        self._prefixed: Counter[str] = Counter()
        self._prefixes = Prefixes()

    def __bool__(self) -> bool:
        return bool(self._literal or self._prefixed)

    def __contains__(self, name: str) -> bool:
        return name in self._literal or WILDCARD in self._literal or self._prefixes.begin(name)

    def change(self, removed: list[Acl], added: list[Acl]) -> None:
        """ACLs of this kind of resource have gone and come."""
        literal = self._literal
        changed: Counter[str] = Counter()
        for acls, difference in ((removed, -1), (added, 1)):
            for acl in acls:
                if acl.pattern_type == PatternType.PREFIXED:
                    changed[acl.resource_name] += difference
                    continue
                literal[acl.resource_name] += difference
                if not literal[acl.resource_name]:
                    del literal[acl.resource_name]
        fewer, more = [], []
        for name, difference in changed.items():
            before = self._prefixed[name]
            after = self._prefixed[name] = before + difference
            if not after:
                del self._prefixed[name]
            if before and not after:
                fewer.append(name)
            elif after and not before:
                more.append(name)
        self._prefixes.change(fewer, more)


class AclIndex:
    """Which ACLs are about a client and a resource."""

    def __init__(self) -> None:
        self._rules: dict[tuple[int, str], Rules] = {}
        self._named: dict[int, Named] = {}
        self._acls = 0

    def __len__(self) -> int:
        return self._acls

    def change(self, removed: Iterable[Acl], added: Iterable[Acl]) -> None:
        """Take back ACLs that are there, then take up some that are not."""
        prefixed: dict[tuple[int, str, str, int, int], tuple[list[str], list[str]]] = {}
        kinds: dict[int, tuple[list[Acl], list[Acl]]] = {}
        for acls, present in ((removed, False), (added, True)):
            for acl in acls:
                self._acls += 1 if present else -1
                kind, principal = acl.resource_type, acl.principal
                kinds.setdefault(kind, ([], []))[present].append(acl)
                if acl.pattern_type == PatternType.PREFIXED:
                    alike = kind, principal, spelled(acl.host), acl.permission, 1 << acl.operation
                    prefixed.setdefault(alike, ([], []))[present].append(acl.resource_name)
                else:
                    self._rules_of(kind, principal).change_literal(acl, present)
                    self._drop_if_empty(kind, principal)
        for (kind, principal, host, permission, bit), (gone, come) in prefixed.items():
            self._rules_of(kind, principal).change_prefixes(host, permission, bit, gone, come)
            self._drop_if_empty(kind, principal)
        for kind, (lost, won) in kinds.items():
            named = self._named.setdefault(kind, Named())
            named.change(lost, won)
            if not named:
                del self._named[kind]

    def _rules_of(self, kind: int, principal: str) -> Rules:
        rules = self._rules.get((kind, principal))
        if rules is None:
            rules = self._rules[kind, principal] = Rules()
        return rules

    def _drop_if_empty(self, kind: int, principal: str) -> None:
        if not self._rules[kind, principal]:
            del self._rules[kind, principal]

    def said_of(self, kind: int, name: str, principal: str, host: str, asked: Said = EVERYTHING) -> Said:
        """What the ACLs say of what this client may do to this resource, of the operations asked for."""
        found = NOTHING_SAID
        for whose in (principal, EVERYONE) if principal != EVERYONE else (EVERYONE,):
            if (rules := self._rules.get((kind, whose))) is not None:
                said = rules.said_of(name, host, asked)
                found = Said(found.allowed | said.allowed, found.denied | said.denied)
        return found

    def is_named(self, kind: int, name: str) -> bool:
        """Whether there is any ACL, of whatever principal, about this resource."""
        return name in self._named.get(kind, ())

    def allows_some(self, kind: int, operation: Operation, principal: str, host: str) -> bool:
        """Whether there is a name such that the client may do this to a resource called so.

        That is what Kafka asks for a producer without a transaction: may it write anywhere? A literal or prefix that is
        allowed counts unless it, or a prefix of it, is denied as a whole (Authorizer.authorizeByResourceType).
        """
        bits = DENIED_BY[operation]  # which imply nothing: Kafka compares the operation itself
        mine = [rules for whose in {principal, EVERYONE} if (rules := self._rules.get((kind, whose))) is not None]
        all_names = [grants.here(host) for rules in mine if (grants := rules.literal.get(WILDCARD)) is not None]
        if any(said.denied & bits for said in all_names):
            return False
        if any(said.allowed & bits for said in all_names):
            return True
        return any(
            not any(others.denies_all(name, is_prefix, bits, host) for others in mine)
            for rules in mine
            for name, is_prefix in rules.names_allowed(bits, host)
        )


class AclFilter(NamedTuple):
    """Which ACLs are meant, as DescribeAcls and DeleteAcls say it; None and ANY leave a field open."""

    resource_type: int
    resource_name: str | None
    pattern_type: int
    principal: str | None
    host: str | None
    operation: int
    permission: int

    @classmethod
    def of(cls, asked: Any) -> AclFilter:
        """From a DescribeAclsRequest, or a filter of a DeleteAclsRequest."""
        return cls(
            asked.resource_type_filter,
            asked.resource_name_filter,
            asked.pattern_type_filter,
            asked.principal_filter,
            asked.host_filter,
            asked.operation,
            asked.permission_type,
        )

    def matches(self, acl: Acl) -> bool:
        """Whether the ACL is meant. A filter MATCH means the patterns that a resource of its name falls under."""
        name, pattern_type = self.resource_name, self.pattern_type
        if self.resource_type not in (acl.resource_type, _ANY):
            return False
        if name is not None:
            if pattern_type != PatternType.MATCH:
                if name != acl.resource_name:
                    return False
            elif acl.pattern_type == PatternType.PREFIXED:
                if not name.startswith(acl.resource_name):
                    return False
            elif acl.resource_name not in (name, WILDCARD):
                return False
        return (
            pattern_type in (acl.pattern_type, _ANY, PatternType.MATCH)
            and self.principal in (None, acl.principal)
            and self.host in (None, acl.host)
            and self.operation in (acl.operation, _ANY)
            and self.permission in (acl.permission, _ANY)
        )


_ANY: Final = 1
"""In every enumeration."""
