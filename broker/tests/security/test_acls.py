"""What ACLs say, by Kafka's rules (StandardAuthorizerData), and that the index finds just those that are about a client
and a resource."""

from __future__ import annotations

import random
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.security.acls import ALLOWED_BY, DENIED_BY, Acl, AclFilter, AclIndex, PatternType, Permission, spelled
from broker.security.authorizer import Authorizer, super_users
from broker.security.operations import SUPPORTED, SUPPORTED_BITS, Operation, Resource

LITERAL, PREFIXED = PatternType.LITERAL, PatternType.PREFIXED
ALLOW, DENY = Permission.ALLOW, Permission.DENY
R, W = Operation.READ, Operation.WRITE


def acl(
    operation: Operation = R,
    name: str = "t",
    *,
    pattern: PatternType = LITERAL,
    principal: str = "User:a",
    host: str = "*",
    permission: Permission = ALLOW,
    kind: Resource = Resource.TOPIC,
) -> Acl:
    return Acl(kind, name, pattern, principal, host, operation, permission)


def authorizer(*acls: Acl, supers: str = "", everyone: bool = False) -> Authorizer:
    made = Authorizer(super_users(supers), everyone, lambda: 0.0)
    made.update((), acls)
    return made


def may(
    made: Authorizer, operation: Operation = R, name: str = "t", principal: str = "User:a", host: str = "10.0.0.1"
) -> bool:
    return made.authorized(principal, host, operation, Resource.TOPIC, name, quiet=True)


# --- the rules


def test_without_an_acl_the_answer_is_no() -> None:
    """Unless the client is a super user, or resources without ACLs are open to everyone."""
    assert not may(authorizer())
    assert may(authorizer(supers="User:b;User:a"))
    assert may(authorizer(everyone=True))


def test_a_resource_with_an_acl_of_another_is_not_open_to_everyone() -> None:
    """`allow.everyone.if.no.acl.found` asks for ACLs of any principal; prefixes and wildcards count."""
    for about_it in (acl(principal="User:b"), acl(name="*", principal="User:b"), acl(name="", pattern=PREFIXED)):
        assert not may(authorizer(about_it, everyone=True), W)
    assert may(authorizer(acl(name="other", principal="User:b"), everyone=True), W)


def test_a_super_user_may_do_what_an_acl_denies() -> None:
    """They are looked at first."""
    assert may(authorizer(acl(permission=DENY, operation=Operation.ALL), supers="User:a"))


@pytest.mark.parametrize(
    "wider",
    [
        acl(name="*"),
        acl(name="t", pattern=PREFIXED),
        acl(name="", pattern=PREFIXED),
        acl(principal="User:*"),
        acl(host="10.0.0.1"),
        acl(operation=Operation.ALL),
    ],
)
def test_what_an_acl_allows_another_that_matches_denies(wider: Acl) -> None:
    """Deny comes before allow, whichever of the two is the more special."""
    denies = wider._replace(permission=DENY)
    assert may(authorizer(wider))
    assert not may(authorizer(wider, denies))
    assert not may(authorizer(acl(), denies))
    assert not may(authorizer(wider, acl(permission=DENY)))


@pytest.mark.parametrize(
    "other",
    [
        acl(name="tt"),
        acl(name="tt", pattern=PREFIXED),
        acl(principal="User:b"),
        acl(principal="Group:a"),
        acl(host="10.0.0.2"),
        acl(operation=W),
        acl(kind=Resource.GROUP),
    ],
)
def test_an_acl_about_something_else_allows_and_denies_nothing(other: Acl) -> None:
    """Every field must match."""
    assert not may(authorizer(other))
    assert may(authorizer(acl(), other._replace(permission=DENY)))


def test_describing_is_implied_where_it_is_allowed_and_never_where_it_is_denied() -> None:
    """READ, WRITE, DELETE and ALTER imply DESCRIBE; ALTER_CONFIGS implies DESCRIBE_CONFIGS."""
    implying = {Operation.READ, Operation.WRITE, Operation.DELETE, Operation.ALTER, Operation.DESCRIBE, Operation.ALL}
    for operation in Operation:
        assert may(authorizer(acl(operation)), Operation.DESCRIBE) == (operation in implying)
        assert may(authorizer(acl(operation)), Operation.DESCRIBE_CONFIGS) == (
            operation in (Operation.ALTER_CONFIGS, Operation.DESCRIBE_CONFIGS, Operation.ALL)
        )
        if operation not in (Operation.DESCRIBE, Operation.ALL):
            denied = authorizer(acl(Operation.DESCRIBE), acl(operation, permission=DENY))
            assert may(denied, Operation.DESCRIBE)


def test_addresses_are_compared_not_their_spellings() -> None:
    """IPv6 has many; Kafka compares the text that Java makes of one."""
    assert spelled("0:0:0:0:0:0:0:1") == spelled("::1")
    assert spelled("::ffff:10.0.0.1") == "10.0.0.1"
    assert spelled("fe80::1%eth0") == "fe80::1"
    assert spelled("no:address") == "no:address"
    assert may(authorizer(acl(host="0:0:0:0:0:0:0:1")), host="::1")


@pytest.mark.parametrize(
    ("acls", "somewhere"),
    [
        ([], False),
        ([acl(W)], True),
        ([acl(W, "p", pattern=PREFIXED)], True),
        ([acl(Operation.ALL, "*")], True),
        ([acl(R)], False),
        ([acl(W, host="10.0.0.2")], False),
        ([acl(W, principal="User:*")], True),
        ([acl(W), acl(W, permission=DENY)], False),
        ([acl(W, "two"), acl(W, "t", pattern=PREFIXED, permission=DENY)], False),
        ([acl(W, "two"), acl(W, "t", permission=DENY)], True),
        ([acl(W, "two", pattern=PREFIXED), acl(W, "two", permission=DENY)], True),
        ([acl(W, "two", pattern=PREFIXED), acl(W, "t", pattern=PREFIXED, permission=DENY)], False),
        ([acl(W, "two"), acl(W, "*", permission=DENY)], False),
        ([acl(W, "two"), acl(W, "*", permission=DENY, principal="User:*")], False),
    ],
)
def test_whether_a_producer_may_write_anywhere(acls: list[Acl], somewhere: bool) -> None:
    """What is allowed counts unless it is denied as a whole (Authorizer.authorizeByResourceType)."""
    made = authorizer(*acls)
    assert made.authorized_somewhere("User:a", "10.0.0.1", W, Resource.TOPIC) == somewhere


def test_whether_a_producer_may_write_anywhere_is_found_out_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Until ACLs change: it takes a look at all that the client has, and a client may ask without end."""
    looks: list[object] = []
    look = AclIndex.allows_some

    def counted(index: AclIndex, *asked: object) -> bool:
        looks.append(asked)
        return look(index, *asked)  # type: ignore[arg-type]  # as they came

    monkeypatch.setattr(AclIndex, "allows_some", counted)
    made = authorizer(*(acl(R, f"t{i}") for i in range(100)))
    for _ in range(10):
        assert not made.authorized_somewhere("User:a", "10.0.0.1", W, Resource.TOPIC)
    assert len(looks) == 1
    made.update([], [acl(W, "t5")])
    assert made.authorized_somewhere("User:a", "10.0.0.1", W, Resource.TOPIC)
    assert not made.authorized_somewhere("User:b", "10.0.0.1", W, Resource.TOPIC)
    made.update([acl(W, "t5")], [])
    assert not made.authorized_somewhere("User:a", "10.0.0.1", W, Resource.TOPIC)


def test_the_bit_field_has_what_single_questions_are_answered() -> None:
    """KIP-430: of each operation that the resource supports."""
    for made in (
        authorizer(),
        authorizer(acl(W), acl(Operation.DESCRIBE, permission=DENY)),
        authorizer(acl(Operation.ALL, "*"), acl(R, permission=DENY)),
        authorizer(everyone=True),
    ):
        bits = made.operations("User:a", "10.0.0.1", Resource.TOPIC, "t")
        assert bits == sum(1 << each for each in SUPPORTED[Resource.TOPIC] if may(made, each))
    assert authorizer(supers="User:a").operations("User:a", "h", Resource.CLUSTER) == SUPPORTED_BITS[Resource.CLUSTER]


# --- the index


NAMES: Final = ["", "a", "ab", "abc", "b", "*"]
ACLS: Final = st.builds(
    lambda name, pattern, principal, host, operation, permission: acl(
        operation, name, pattern=pattern, principal=principal, host=host, permission=permission
    ),
    st.sampled_from(NAMES),
    st.sampled_from([LITERAL, PREFIXED]),
    st.sampled_from(["User:a", "User:b", "User:*"]),
    st.sampled_from(["*", "h1", "h2"]),
    st.sampled_from([R, W, Operation.ALL, Operation.DESCRIBE]),
    st.sampled_from([ALLOW, DENY]),
)


def plainly(acls: set[Acl], operation: Operation, name: str, principal: str, host: str) -> bool:
    """The rules, by a look at every ACL."""
    about = [
        each
        for each in acls
        if each.principal in (principal, "User:*")
        and each.host in (host, "*")
        and (each.resource_name in (name, "*") if each.pattern_type == LITERAL else name.startswith(each.resource_name))
    ]
    allowed = any(each.permission == ALLOW and ALLOWED_BY[operation] >> each.operation & 1 for each in about)
    denied = any(each.permission == DENY and DENIED_BY[operation] >> each.operation & 1 for each in about)
    return allowed and not denied


@given(st.lists(st.tuples(ACLS, st.booleans()), max_size=30))
def test_the_index_says_what_a_look_at_every_acl_says(steps: list[tuple[Acl, bool]]) -> None:
    """T15: Whatever was added and removed, in any order; and with everything removed nothing is left."""
    index, there = AclIndex(), set[Acl]()
    made = authorizer()
    for each, add in steps:
        if add != (each in there):
            change = ([], [each]) if add else ([each], [])
            index.change(*change)
            made.update(*change)
            there ^= {each}
    assert len(index) == len(there)
    for name in ["a", "ab", "abcd", "c"]:
        named = any(
            name.startswith(each.resource_name) if each.pattern_type == PREFIXED else each.resource_name in (name, "*")
            for each in there
        )
        assert index.is_named(Resource.TOPIC, name) == named
        for principal in ("User:a", "User:b", "User:*"):
            for operation in (R, Operation.DESCRIBE):
                assert may(made, operation, name, principal, "h1") == plainly(there, operation, name, principal, "h1")
    index.change(there, ())
    assert not index and not index._rules and not index._named


# --- filters


def test_filters_mean_what_kafka_s_mean() -> None:
    """LITERAL and PREFIXED name patterns, ANY both, MATCH the patterns that a resource falls under."""
    literal, prefix, all_names = acl(name="ab"), acl(name="a", pattern=PREFIXED), acl(name="*")

    def meant(pattern: int, name: str | None, **fields: object) -> list[Acl]:
        asked = AclFilter(2, name, pattern, None, None, 1, 1)._replace(**fields)  # type: ignore[arg-type]  # of tests
        return [each for each in (literal, prefix, all_names) if asked.matches(each)]

    assert meant(PatternType.ANY, None) == [literal, prefix, all_names]
    assert meant(PatternType.ANY, "a") == [prefix]
    assert meant(PatternType.MATCH, "ab") == [literal, prefix, all_names]
    assert meant(PatternType.MATCH, "abc") == [prefix, all_names]
    assert meant(PatternType.MATCH, None) == [literal, prefix, all_names]
    assert meant(LITERAL, "ab") == [literal]
    assert meant(LITERAL, "*") == [all_names]
    assert meant(PREFIXED, None) == [prefix]
    assert meant(PatternType.ANY, None, principal="User:b") == []
    assert meant(PatternType.ANY, None, host="*", operation=R, permission=ALLOW) == [literal, prefix, all_names]
    assert meant(PatternType.ANY, None, permission=DENY) == []
    assert meant(PatternType.ANY, None, operation=W) == []
    assert meant(PatternType.ANY, None, resource_type=Resource.GROUP) == []
    assert meant(PatternType.ANY, None, resource_type=Resource.ANY) == [literal, prefix, all_names]


def test_a_decision_among_very_many_acls_is_the_same() -> None:
    """Found by name and by the one prefix that can match, not by going through them."""
    chance = random.Random(7)
    made = AclIndex()
    acls = [
        acl(name=f"team-{chance.randrange(100)}.{number}", pattern=PREFIXED, principal=f"User:{number % 500}")
        for number in range(5_000)
    ]
    made.change((), [*acls, acl(name="team-1.", pattern=PREFIXED, principal="User:7")])
    assert made.said_of(Resource.TOPIC, "team-1.orders", "User:7", "h").allowed == 1 << R
    assert made.said_of(Resource.TOPIC, "team-x.orders", "User:7", "h").allowed == 0
