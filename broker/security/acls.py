"""ACLs: what one says, and an index of very many that answers what a client may do to a resource.

**What one says.** A principal, from a host, may (or may not) do an operation to the resources of a pattern. A pattern
is a kind and a name: literal, where `*` stands for every name, or a prefix of names. The principal `User:*` and the
host `*` stand for all.

**The rules** are those of Kafka's StandardAuthorizerData. Of the ACLs whose principal, host and pattern match, one that
denies the operation wins over all that allow it, and without one that allows it the answer is no. ALL stands for every
operation. To allow READ, WRITE, DELETE or ALTER allows DESCRIBE too, and ALTER_CONFIGS allows DESCRIBE_CONFIGS; to deny
one denies nothing else.

**The index** finds these ACLs without looking at others. It has two levels: (kind, principal) -> patterns -> grants. A
client is asked for under two principals, its own and `User:*`. The literal patterns that match a name are found under
the name and under `*`; its prefixes are looked up one by one, but only those of a length that some pattern of this
principal has, and a principal rarely has patterns of more than a few lengths. So the costs do not grow with the number
of ACLs, and adding or removing one is a few steps. What is found is the union of two bit fields, the operations allowed
and those denied, of which one decision needs two bits and a describe answer all (KIP-430).

Source: KIP-11, KIP-140, KIP-290, `StandardAuthorizerData.findResult`, `ResourcePatternFilter`,
`AccessControlEntryFilter`.
"""

from __future__ import annotations

from collections import Counter
from enum import IntEnum
from functools import lru_cache
from typing import Any, Final, Generic, NamedTuple, TypeVar

from broker.security.operations import Operation

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

V = TypeVar("V")


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


class Patterns(Generic[V]):
    """Values under patterns of one kind of resource, found by the names that match."""

    __slots__ = ("_lengths", "literal", "prefixed", "sorted_lengths")

    def __init__(self) -> None:
        self.literal: dict[str, V] = {}
        self.prefixed: dict[str, V] = {}
        self.sorted_lengths: tuple[int, ...] = ()
        """Of the prefixes, shortest first."""
        self._lengths: Counter[int] = Counter()

    def __bool__(self) -> bool:
        return bool(self.literal or self.prefixed)

    def of_type(self, pattern_type: int) -> dict[str, V]:
        """Name -> value of the patterns of one type; to be changed by `put` and `drop` only."""
        return self.prefixed if pattern_type == PatternType.PREFIXED else self.literal

    def put(self, pattern_type: int, name: str, value: V) -> None:
        """Add a value under a pattern that has none."""
        self.of_type(pattern_type)[name] = value
        if pattern_type == PatternType.PREFIXED:
            self._lengths[len(name)] += 1
            if self._lengths[len(name)] == 1:
                self.sorted_lengths = tuple(sorted(self._lengths))

    def drop(self, pattern_type: int, name: str) -> None:
        """Remove the value under a pattern that has one."""
        del self.of_type(pattern_type)[name]
        if pattern_type == PatternType.PREFIXED:
            self._lengths[len(name)] -= 1
            if not self._lengths[len(name)]:
                del self._lengths[len(name)]
                self.sorted_lengths = tuple(sorted(self._lengths))

    def matching(self, name: str) -> list[V]:
        """The values under all patterns that a resource of this name matches."""
        found = []
        literal, prefixed = self.literal, self.prefixed
        if literal:
            if (value := literal.get(name)) is not None:
                found.append(value)
            if name != WILDCARD and (value := literal.get(WILDCARD)) is not None:
                found.append(value)
        size = len(name)
        for length in self.sorted_lengths:
            if length > size:
                break
            if (value := prefixed.get(name[:length])) is not None:
                found.append(value)
        return found


class Grants:
    """What the ACLs of one principal and one pattern say: by host, two bit fields."""

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

    def __bool__(self) -> bool:
        return bool(self.allowed or self.denied or self.by_host)


class AclIndex:
    """Which ACLs are about a client and a resource."""

    def __init__(self) -> None:
        self._by_principal: dict[tuple[int, str], Patterns[Grants]] = {}
        self._of_anyone: dict[int, Patterns[list[int]]] = {}  # kind -> patterns that have ACLs, and [how many]
        self._acls = 0

    def __len__(self) -> int:
        return self._acls

    def add(self, acl: Acl) -> None:
        """Take up an ACL that is not there yet."""
        self._acls += 1
        kind, pattern, name = acl.resource_type, acl.pattern_type, acl.resource_name
        key = kind, acl.principal
        patterns = self._by_principal.get(key)
        if patterns is None:
            patterns = self._by_principal[key] = Patterns()
        grants = patterns.of_type(pattern).get(name)
        if grants is None:
            grants = Grants()
            patterns.put(pattern, name, grants)
        grants.set(acl, True)
        named = self._of_anyone.setdefault(kind, Patterns())
        count = named.of_type(pattern).get(name)
        if count is None:
            named.put(pattern, name, [1])
        else:
            count[0] += 1

    def remove(self, acl: Acl) -> None:
        """Take back an ACL that is there."""
        self._acls -= 1
        kind, pattern, name = acl.resource_type, acl.pattern_type, acl.resource_name
        key = kind, acl.principal
        patterns = self._by_principal[key]
        grants = patterns.of_type(pattern)[name]
        grants.set(acl, False)
        if not grants:
            patterns.drop(pattern, name)
            if not patterns:
                del self._by_principal[key]
        named = self._of_anyone[kind]
        count = named.of_type(pattern)[name]
        count[0] -= 1
        if not count[0]:
            named.drop(pattern, name)

    def said_of(self, kind: int, name: str, principal: str, host: str) -> Said:
        """All that the ACLs say of what this client may do to this resource."""
        allowed = denied = 0
        by_principal = self._by_principal
        for whose in (principal, EVERYONE) if principal != EVERYONE else (EVERYONE,):
            patterns = by_principal.get((kind, whose))
            if patterns is None:
                continue
            for grants in patterns.matching(name):
                allowed |= grants.allowed
                denied |= grants.denied
                if grants.by_host is not None and (here := grants.by_host.get(host)) is not None:
                    allowed |= here.allowed
                    denied |= here.denied
        return Said(allowed, denied) if allowed or denied else NOTHING_SAID

    def is_named(self, kind: int, name: str) -> bool:
        """Whether there is any ACL, of whatever principal, about this resource."""
        patterns = self._of_anyone.get(kind)
        return patterns is not None and bool(patterns.matching(name))

    def allows_some(self, kind: int, operation: Operation, principal: str, host: str) -> bool:
        """Whether there is a name such that the client may do this to a resource called so.

        That is what Kafka asks for a producer without a transaction: may it write anywhere? A literal or prefix that is
        allowed counts unless it, or a prefix of it, is denied as a whole (Authorizer.authorizeByResourceType).
        """
        bits = DENIED_BY[operation]  # which imply nothing: Kafka compares the operation itself
        mine = [
            patterns
            for whose in {principal, EVERYONE}
            if (patterns := self._by_principal.get((kind, whose))) is not None
        ]
        if any(
            (grants := patterns.literal.get(WILDCARD)) is not None and _here(grants, host).denied & bits
            for patterns in mine
        ):
            return False
        if any(
            (grants := patterns.literal.get(WILDCARD)) is not None and _here(grants, host).allowed & bits
            for patterns in mine
        ):
            return True
        return any(
            _here(grants, host).allowed & bits
            and not any(_is_denied(others, name, pattern_type, bits, host) for others in mine)
            for patterns in mine
            for pattern_type in (PatternType.LITERAL, PatternType.PREFIXED)
            for name, grants in patterns.of_type(pattern_type).items()
        )


def _here(grants: Grants, host: str) -> Said:
    here = NOTHING_SAID if grants.by_host is None else grants.by_host.get(host, NOTHING_SAID)
    return Said(grants.allowed | here.allowed, grants.denied | here.denied)


def _is_denied(patterns: Patterns[Grants], name: str, pattern_type: int, bits: int, host: str) -> bool:
    """Whether a pattern is denied as a whole: by itself if it is literal, or by a prefix of it."""
    if pattern_type == PatternType.LITERAL:
        same = patterns.literal.get(name)
        if same is not None and _here(same, host).denied & bits:
            return True
    return any(
        (grants := patterns.prefixed.get(name[:length])) is not None and _here(grants, host).denied & bits
        for length in patterns.sorted_lengths
        if length <= len(name)
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
