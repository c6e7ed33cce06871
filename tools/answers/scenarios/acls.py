"""The APIs of ACLs where there is no authorizer: what is refused as not served, and what ends the connection.

With one they are compared by `compare-authorization` and tried by the test suite.
"""

from __future__ import annotations

from typing import Any

from kproto.messages.create_acls import AclCreation, CreateAclsRequest
from kproto.messages.delete_acls import DeleteAclsFilter, DeleteAclsRequest
from kproto.messages.describe_acls import DescribeAclsRequest
from tools.answers.scenario import scenario
from tools.answers.stage import Stage

ANY: dict[str, Any] = {"resource_type_filter": 1, "pattern_type_filter": 1, "operation": 1, "permission_type": 1}
READ_T: dict[str, Any] = {
    "resource_type": 2,
    "resource_name": "t",
    "resource_pattern_type": 3,
    "principal": "User:a",
    "host": "*",
    "operation": 3,
    "permission_type": 3,
}


@scenario(DescribeAclsRequest)
def describing(stage: Stage) -> None:
    """Any filter, and codes that stand for nothing, or are not known."""
    stage.ask("everything", DescribeAclsRequest(**ANY))
    for field in ANY:
        stage.ask(f"{field} 0", DescribeAclsRequest(**(ANY | {field: 0})))
        stage.ask(f"{field} 99", DescribeAclsRequest(**(ANY | {field: 99})))


@scenario(CreateAclsRequest)
def creating(stage: Stage) -> None:
    """An ACL, several, and codes that stand for nothing, or are not known."""
    stage.ask("one", CreateAclsRequest(creations=[AclCreation(**READ_T)]))
    stage.ask("two", CreateAclsRequest(creations=[AclCreation(**READ_T), AclCreation(**(READ_T | {"host": "h"}))]))
    for field in ("resource_type", "resource_pattern_type", "operation", "permission_type"):
        for code in (0, 99):
            creation = AclCreation(**(READ_T | {field: code}))
            stage.ask(f"{field} {code}", CreateAclsRequest(creations=[creation]))


@scenario(DeleteAclsRequest)
def deleting(stage: Stage) -> None:
    """A filter, several, and codes that stand for nothing, or are not known."""
    stage.ask("everything", DeleteAclsRequest(filters=[DeleteAclsFilter(**ANY)]))
    stage.ask("twice", DeleteAclsRequest(filters=[DeleteAclsFilter(**ANY)] * 2))
    for field in ANY:
        for code in (0, 99):
            asked = DeleteAclsFilter(**(ANY | {field: code}))
            stage.ask(f"{field} {code}", DeleteAclsRequest(filters=[asked]))
