"""ACLs as requests have them, and a world that has an authorizer."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from typing import Any, Final

from broker.config.keys.security import STANDARD_AUTHORIZER
from broker.testing.contexts import World, world
from kproto.messages.create_acls import AclCreation, CreateAclsRequest
from kproto.messages.delete_acls import DeleteAclsFilter, DeleteAclsRequest
from kproto.messages.describe_acls import DescribeAclsRequest

SECURED: Final = {"authorizer.class.name": STANDARD_AUTHORIZER, "super.users": "User:ANONYMOUS;User:admin"}

ANYTHING: Final[dict[str, Any]] = {
    "resource_type_filter": 1,
    "resource_name_filter": None,
    "pattern_type_filter": 1,
    "principal_filter": None,
    "host_filter": None,
    "operation": 1,
    "permission_type": 1,
}


def secured(**options: Any) -> AbstractAsyncContextManager[World]:
    """A world with an authorizer, whose client is a super user until it says another."""
    return world(SECURED, **options)


def acl(**fields: Any) -> AclCreation:
    """User:a may READ the topic t, from everywhere; `fields` say what is different."""
    plain: dict[str, Any] = {
        "resource_type": 2,
        "resource_name": "t",
        "resource_pattern_type": 3,
        "principal": "User:a",
        "host": "*",
        "operation": 3,
        "permission_type": 3,
    }
    return AclCreation(**(plain | fields))


async def create(w: World, *acls: AclCreation, version: int = 3) -> list[int]:
    """The code of each."""
    response = await w.ask(CreateAclsRequest(creations=list(acls)), version)
    return [result.error_code for result in response.results]


async def listed(w: World, version: int = 3, **fields: Any) -> list[tuple[int, str, int, str, str, int, int]]:
    """What DescribeAcls answers, one tuple for each ACL."""
    response = await w.ask(DescribeAclsRequest(**(ANYTHING | fields)), version)
    assert (response.error_code, response.error_message) == (0, "")
    return sorted(
        (
            resource.resource_type,
            resource.resource_name,
            resource.pattern_type,
            found.principal,
            found.host,
            found.operation,
            found.permission_type,
        )
        for resource in response.resources
        for found in resource.acls
    )


async def delete(w: World, *filters: dict[str, Any], version: int = 3) -> list[tuple[int, int]]:
    """The code of each filter, and how many ACLs it meant."""
    asked = [DeleteAclsFilter(**(ANYTHING | fields)) for fields in filters]
    response = await w.ask(DeleteAclsRequest(filters=asked), version)
    return [(result.error_code, len(result.matching_acls)) for result in response.filter_results]
