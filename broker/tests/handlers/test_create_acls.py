"""CreateAcls: what is taken, what is refused, and that it holds when it is answered. Answers are those of a running
Kafka."""

from __future__ import annotations

from typing import Any

import pytest

from broker.coordinators.cluster import acl_changes
from broker.security.operations import Operation, Resource
from broker.security.principals import Principal
from broker.testing.contexts import versions_of, world
from broker.tests.handlers.acl_requests import SECURED, acl, create, listed, secured
from kproto.errors import ErrorCode, ProtocolError
from kproto.messages.create_acls import CreateAclsRequest
from storage.memory.engine import MemoryStore
from storage.seams.clock import SystemClock
from storage.seams.entropy import SeededEntropy

INVALID, TOO_MANY = ErrorCode.INVALID_REQUEST, ErrorCode.POLICY_VIOLATION


@pytest.mark.parametrize("version", versions_of(CreateAclsRequest))
async def test_an_acl_holds_when_it_is_answered(version: int) -> None:
    """T14: On open connections too: nothing is remembered for a connection."""
    async with secured() as w:
        ctx = w.context(0)
        w.peer.principal = Principal.parse("User:a")
        assert not ctx.may(Operation.READ, Resource.TOPIC, "t")
        w.peer.principal = Principal.parse("User:admin")
        assert await create(w, acl(), version=version) == [0]
        w.peer.principal = Principal.parse("User:a")
        assert ctx.may(Operation.READ, Resource.TOPIC, "t")
        assert not ctx.may(Operation.WRITE, Resource.TOPIC, "t")


async def test_acls_are_there_after_a_restart() -> None:
    """They are records of the cluster's log."""
    store = MemoryStore(SystemClock(), SeededEntropy(1))
    async with secured(store=store) as w:
        assert await create(w, acl(), acl(resource_name="u", resource_pattern_type=4)) == [0, 0]
    async with secured(store=store) as w:
        assert len(await listed(w)) == 2
        w.peer.principal = Principal.parse("User:a")
        assert w.context(0).may(Operation.READ, Resource.TOPIC, "u-1")


async def test_what_is_there_already_is_none_more() -> None:
    """And no error, within one request as in two."""
    async with secured() as w:
        assert await create(w, acl(), acl(), acl(operation=4)) == [0, 0, 0]
        assert await create(w, acl()) == [0]
        assert len(await listed(w)) == 2


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"resource_name": ""}, INVALID),
        ({"resource_type": 4}, INVALID),
        ({"resource_type": 4, "resource_name": "kafka-cluster"}, 0),
        ({"resource_type": 99}, INVALID),
        ({"resource_type": 1}, INVALID),
        ({"resource_pattern_type": 1}, INVALID),
        ({"resource_pattern_type": 2}, INVALID),
        ({"resource_pattern_type": 77}, INVALID),
        ({"operation": 1}, INVALID),
        ({"operation": 99}, INVALID),
        ({"operation": 2}, 0),
        ({"operation": 9}, 0),
        ({"permission_type": 1}, INVALID),
        ({"permission_type": 9}, INVALID),
        ({"principal": "a"}, INVALID),
        ({"principal": ""}, INVALID),
        ({"principal": "Group:x"}, 0),
        ({"host": ""}, INVALID),
        ({"host": "not a host"}, 0),
        ({"resource_type": 7, "resource_name": "User:b", "operation": 13}, 0),
    ],
)
async def test_each_acl_is_judged_by_itself(fields: dict[str, Any], code: int) -> None:
    """The others of its request are added."""
    async with secured() as w:
        assert await create(w, acl(**fields), acl(operation=4)) == [code, 0]
        assert len(await listed(w)) == (2 if code == 0 else 1)


@pytest.mark.parametrize("field", ["resource_type", "resource_pattern_type", "operation", "permission_type"])
async def test_a_code_that_stands_for_nothing_ends_the_connection(field: str) -> None:
    """As in Kafka, whose request cannot be made of it."""
    async with secured() as w:
        with pytest.raises(ProtocolError):
            await create(w, acl(**{field: 0}))


async def test_without_an_authorizer_there_is_nothing_to_add_to() -> None:
    """SECURITY_DISABLED for each ACL."""
    async with world() as w:
        assert await create(w, acl(), acl()) == [ErrorCode.SECURITY_DISABLED] * 2


async def test_there_are_so_many_in_a_request_and_in_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """T16: Beyond that POLICY_VIOLATION: for the whole request, or for the ACLs that have no room."""
    async with secured() as w:
        many = [acl(resource_name=f"t{number}") for number in range(10_001)]
        assert set(await create(w, *many)) == {TOO_MANY}
        assert await listed(w) == []
        monkeypatch.setattr(acl_changes, "MAX_ACLS", 3)
        assert await create(w, *many[:2]) == [0, 0]
        assert await create(w, many[0], many[2], many[3], many[1]) == [0, 0, TOO_MANY, 0]
        assert len(await listed(w)) == 3
        monkeypatch.setattr(acl_changes, "MAX_ACLS", 100)
        monkeypatch.setattr(acl_changes, "MAX_CHARACTERS", 50)
        assert await create(w, acl(resource_name="long" * 5)) == [TOO_MANY]


def test_the_settings_of_these_tests_name_a_super_user() -> None:
    """The client of a world is anonymous."""
    assert "User:ANONYMOUS" in SECURED["super.users"]
