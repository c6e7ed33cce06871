"""DescribeAcls: the ACLs that a filter means, grouped by what they are about. Answers are those of a running Kafka."""

from __future__ import annotations

from typing import Any

import pytest

from broker.testing.contexts import versions_of, world
from broker.tests.handlers.acl_requests import ANYTHING, acl, create, listed, secured
from kproto.errors import ErrorCode, ProtocolError
from kproto.messages.describe_acls import DescribeAclsRequest

T = (2, "t", 3, "User:a", "*", 3, 3)
PREFIX = (2, "t", 4, "User:b", "10.0.0.1", 4, 2)


@pytest.mark.parametrize("version", versions_of(DescribeAclsRequest))
async def test_acls_are_grouped_by_their_patterns(version: int) -> None:
    """One resource for each pattern, with all its ACLs."""
    async with secured() as w:
        await create(w, acl(), acl(operation=4), acl(resource_pattern_type=4))
        response = await w.ask(DescribeAclsRequest(**ANYTHING), version)
        found = [(each.resource_name, each.pattern_type, len(each.acls)) for each in response.resources]
        assert sorted(found) == [("t", 3, 2), ("t", 4, 1)]


@pytest.mark.parametrize(
    ("fields", "found"),
    [
        ({}, [T, PREFIX]),
        ({"resource_type_filter": 2}, [T, PREFIX]),
        ({"resource_type_filter": 3}, []),
        ({"resource_type_filter": 99}, []),
        ({"resource_name_filter": "t"}, [T, PREFIX]),
        ({"resource_name_filter": "t", "pattern_type_filter": 3}, [T]),
        ({"resource_name_filter": "tt", "pattern_type_filter": 2}, [PREFIX]),
        ({"resource_name_filter": "tt"}, []),
        ({"resource_name_filter": ""}, []),
        ({"pattern_type_filter": 4}, [PREFIX]),
        ({"pattern_type_filter": 9}, []),
        ({"principal_filter": "User:b"}, [PREFIX]),
        ({"principal_filter": "nocolon"}, []),
        ({"host_filter": "*"}, [T]),
        ({"operation": 3}, [T]),
        ({"operation": 2}, []),
        ({"operation": 99}, []),
        ({"permission_type": 2}, [PREFIX]),
        ({"permission_type": 9}, []),
    ],
)
async def test_a_filter_means_what_it_does_in_kafka(
    fields: dict[str, Any], found: list[tuple[int, str, int, str, str, int, int]]
) -> None:
    """A code that is not known means no ACL."""
    async with secured() as w:
        prefix = acl(resource_pattern_type=4, principal="User:b", host="10.0.0.1", operation=4, permission_type=2)
        await create(w, acl(), prefix)
        assert await listed(w, **fields) == found


@pytest.mark.parametrize("field", ["resource_type_filter", "pattern_type_filter", "operation", "permission_type"])
async def test_a_code_that_stands_for_nothing_ends_the_connection(field: str) -> None:
    """As in Kafka."""
    async with secured() as w:
        with pytest.raises(ProtocolError):
            await listed(w, **{field: 0})


async def test_without_an_authorizer_there_is_nothing_to_show() -> None:
    """SECURITY_DISABLED, whatever the cluster's log says."""
    async with world() as w:
        response = await w.ask(DescribeAclsRequest(**ANYTHING), 3)
        assert (response.error_code, response.resources) == (ErrorCode.SECURITY_DISABLED, [])
