"""CreateAcls (30): add ACLs (KIP-140).

- v1: the type of a pattern, LITERAL or PREFIXED (KIP-290).
- v2: flexible.
- v3: the resource type USER (KIP-373), which older versions take too.
- Each ACL stands for itself. One that is there already is none more, and no error.
- INVALID_REQUEST: a resource without a name, another name than `kafka-cluster` for the cluster, a principal without a
  colon, an empty host, a code that is not known. A code that is 0: the connection is closed, as by Kafka.
- They are durable, and hold for every connection, when the answer comes.
- More than 10,000 in one request: POLICY_VIOLATION for each of them.
- Without an authorizer: SECURITY_DISABLED.

Departs from Kafka: a code that is for filters only is INVALID_REQUEST, where Kafka fails with -1. More ACLs than there
may be are refused with POLICY_VIOLATION
(`broker/coordinators/cluster/acls.py`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from broker.coordinators.cluster.acl_changes import create_acls
from broker.coordinators.cluster.acls import MAX_IN_REQUEST
from broker.security.acls import Acl, PatternType, Permission
from broker.security.operations import CLUSTER_NAME, Operation, Resource
from kproto.errors import ErrorCode, KafkaError, ProtocolError
from kproto.messages.create_acls import AclCreation, AclCreationResult, CreateAclsRequest, CreateAclsResponse
from storage.seams.slices import Slices

if TYPE_CHECKING:
    from broker.context import RequestContext

UNKNOWN = 0
RESOURCES = frozenset(Resource) - {Resource.UNKNOWN, Resource.ANY}
OPERATIONS = frozenset(Operation) - {Operation.UNKNOWN, Operation.ANY}


async def handle(request: CreateAclsRequest, ctx: RequestContext) -> CreateAclsResponse:
    """Judge each, add those that are sound."""
    slices = Slices()
    async for new in slices.over(request.creations):
        if UNKNOWN in (new.resource_type, new.resource_pattern_type, new.operation, new.permission_type):
            raise ProtocolError("an ACL has a code that stands for nothing")
    if ctx.services.authorizer is None:
        raise KafkaError(ErrorCode.SECURITY_DISABLED)
    problems = [_problem(new) async for new in slices.over(request.creations)]
    sound = [
        _acl(new)
        async for new, problem in slices.over(zip(request.creations, problems, strict=True))
        if problem is None
    ]
    if len(sound) > MAX_IN_REQUEST:
        raise KafkaError(ErrorCode.POLICY_VIOLATION)
    added = iter(await create_acls(sound, ctx.cluster, ctx.entropy))
    return CreateAclsResponse(
        results=[
            _result(next(added) if problem is None else KafkaError(ErrorCode.INVALID_REQUEST, problem))
            async for problem in slices.over(problems)
        ]
    )


def refuse(request: CreateAclsRequest, error: ErrorCode, version: int) -> CreateAclsResponse:
    """The error for each ACL."""
    return CreateAclsResponse(results=[_result(KafkaError(error, error.sentence)) for _ in request.creations])


def _acl(new: AclCreation) -> Acl:
    return Acl(
        new.resource_type,
        new.resource_name,
        new.resource_pattern_type,
        new.principal,
        new.host,
        new.operation,
        new.permission_type,
    )


def _problem(new: AclCreation) -> str | None:
    """What is wrong with an ACL, as AclControlManager.validateNewAcl finds it; None: nothing."""
    if new.resource_type == Resource.CLUSTER and new.resource_name != CLUSTER_NAME:
        return f"the only resource of the type CLUSTER is {CLUSTER_NAME}"
    if not new.resource_name:
        return "the resource has no name"
    if new.resource_type not in RESOURCES:
        return f"there is no resource type {new.resource_type}"
    if new.resource_pattern_type not in (PatternType.LITERAL, PatternType.PREFIXED):
        return f"an ACL has no pattern type {new.resource_pattern_type}"
    if new.operation not in OPERATIONS:
        return f"there is no operation {new.operation}"
    if new.permission_type not in (Permission.ALLOW, Permission.DENY):
        return f"there is no permission type {new.permission_type}"
    if ":" not in new.principal:
        return f"{new.principal!r} is not a principal's kind, a colon and its name, such as User:alice"
    if not new.host:
        return "the host is empty, where * stands for all"
    return None


def _result(problem: KafkaError | None) -> AclCreationResult:
    if problem is None:
        return AclCreationResult(error_message="")  # as Kafka
    return AclCreationResult(error_code=problem.code, error_message=problem.message)
