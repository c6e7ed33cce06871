"""DeleteAcls: what filters mean is gone when it is answered. Answers are those of a running Kafka."""

from __future__ import annotations

import pytest

from broker.handlers import delete_acls
from broker.security.operations import Operation, Resource
from broker.security.principals import Principal
from broker.testing.contexts import versions_of, world
from broker.tests.handlers.acl_requests import acl, create, delete, listed, secured
from kproto.errors import ErrorCode, ProtocolError
from kproto.messages.delete_acls import DeleteAclsRequest

INVALID = ErrorCode.INVALID_REQUEST


@pytest.mark.parametrize("version", versions_of(DeleteAclsRequest))
async def test_what_was_allowed_is_refused_when_it_is_answered(version: int) -> None:
    """On open connections too."""
    async with secured() as w:
        await create(w, acl(), acl(principal="User:b"))
        w.peer.principal = Principal.parse("User:a")
        assert w.context(0).may(Operation.READ, Resource.TOPIC, "t")
        w.peer.principal = Principal.parse("User:admin")
        assert await delete(w, {"principal_filter": "User:a"}, version=version) == [(0, 1)]
        w.peer.principal = Principal.parse("User:a")
        assert not w.context(0).may(Operation.READ, Resource.TOPIC, "t")
        w.peer.principal = Principal.parse("User:admin")
        assert len(await listed(w)) == 1


async def test_each_filter_is_answered_with_what_it_meant() -> None:
    """Also with what another one meant too; one that means nothing, and one that is not known, change nothing."""
    async with secured() as w:
        await create(w, acl(), acl(resource_name="u"))
        unknown = [{"resource_type_filter": 99}, {"pattern_type_filter": 9}, {"operation": 99}, {"permission_type": 9}]
        assert await delete(w, *unknown, {"resource_name_filter": "nothing"}) == [(INVALID, 0)] * 4 + [(0, 0)]
        assert len(await listed(w)) == 2
        assert await delete(w, {"principal_filter": "User:a"}, {"resource_name_filter": "u"}, {}) == [
            (0, 2),
            (0, 1),
            (0, 2),
        ]
        assert await listed(w) == []


@pytest.mark.parametrize("field", ["resource_type_filter", "pattern_type_filter", "operation", "permission_type"])
async def test_a_code_that_stands_for_nothing_ends_the_connection(field: str) -> None:
    """As in Kafka."""
    async with secured() as w:
        with pytest.raises(ProtocolError):
            await delete(w, {field: 0})


async def test_without_an_authorizer_there_is_nothing_to_delete() -> None:
    """SECURITY_DISABLED for each filter."""
    async with world() as w:
        assert await delete(w, {}, {}) == [(ErrorCode.SECURITY_DISABLED, 0)] * 2


async def test_a_request_has_so_many_filters(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each is held against every ACL; equal ones count once. And it removes so many ACLs, or none."""
    async with secured() as w:
        await create(w, *(acl(resource_name=f"t{number}") for number in range(3)))
        filters = [{"resource_name_filter": f"t{number}"} for number in range(delete_acls.MAX_FILTERS + 1)]
        assert set(await delete(w, *filters)) == {(INVALID, 0)}
        monkeypatch.setattr(delete_acls, "MAX_IN_REQUEST", 2)
        assert await delete(w, {}) == [(INVALID, 0)]
        assert len(await listed(w)) == 3
        assert await delete(w, *([{"resource_name_filter": "t1"}] * 1500)) == [(0, 1)] * 1500
