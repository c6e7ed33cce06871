"""DescribeAcls (29): the ACLs that a filter means (KIP-140).

- v1: the type of a pattern (KIP-290): LITERAL, PREFIXED, ANY of the two, or MATCH: all that a resource of this name
  falls under.
- v2: flexible.
- v3: the resource type USER (KIP-373), which older versions take too.
- Without an authorizer: SECURITY_DISABLED, as from a Kafka without one, though there may be ACLs in the cluster's log.
- A code of the filter that is 0 (UNKNOWN): the connection is closed, as by Kafka; one that is not known means none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from broker.coordinators.cluster.acls import matching
from broker.security.acls import AclFilter
from kproto.errors import ErrorCode, KafkaError, ProtocolError
from kproto.messages.describe_acls import (
    AclDescription,
    DescribeAclsRequest,
    DescribeAclsResource,
    DescribeAclsResponse,
)
from storage.seams.slices import Slices

if TYPE_CHECKING:
    from broker.context import RequestContext

UNKNOWN = 0


async def handle(request: DescribeAclsRequest, ctx: RequestContext) -> DescribeAclsResponse:
    """Resource by resource, in no order."""
    wanted = AclFilter.of(request)
    if UNKNOWN in (wanted.resource_type, wanted.pattern_type, wanted.operation, wanted.permission):
        raise ProtocolError("a filter of ACLs has a code that stands for nothing")
    if ctx.services.authorizer is None:
        raise KafkaError(ErrorCode.SECURITY_DISABLED)
    slices = Slices()
    resources: dict[tuple[int, str, int], DescribeAclsResource] = {}
    async for acl in slices.over((await matching(ctx.cluster.image.acls, wanted, slices)).values()):
        pattern = acl[:3]
        resource = resources.get(pattern)
        if resource is None:
            resource = resources[pattern] = DescribeAclsResource(
                resource_type=acl.resource_type, resource_name=acl.resource_name, pattern_type=acl.pattern_type, acls=[]
            )
        resource.acls.append(
            AclDescription(
                principal=acl.principal, host=acl.host, operation=acl.operation, permission_type=acl.permission
            )
        )
    return DescribeAclsResponse(error_message="", resources=[each async for each in slices.over(resources.values())])


def refuse(request: DescribeAclsRequest, error: ErrorCode, version: int) -> DescribeAclsResponse:
    """The error and its sentence."""
    return DescribeAclsResponse(error_code=error, error_message=error.sentence)
