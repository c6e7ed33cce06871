"""DeleteAcls (31): remove the ACLs that filters mean (KIP-140).

- v1: the type of a pattern (KIP-290); see DescribeAcls.
- v2: flexible.
- v3: the resource type USER (KIP-373), which older versions take too.
- Each filter is answered with the ACLs that it meant, also with those that another filter of the request meant too.
- Which ACLs are meant is looked up in the image at the start. They are gone, for every connection, when the answer
  comes.
- A filter with a code that is not known: INVALID_REQUEST for that filter. A code that is 0: the connection is closed,
  as by Kafka.
- More than 10,000 ACLs at once: INVALID_REQUEST for all filters, and nothing is removed.
- Without an authorizer: SECURITY_DISABLED.

Departs from Kafka: a request has 1,000 different filters at most, since each is held against every ACL.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from broker.coordinators.cluster.acl_changes import delete_acls
from broker.coordinators.cluster.acls import MAX_IN_REQUEST, matching
from broker.security.acls import Acl, AclFilter, PatternType, Permission
from broker.security.operations import Operation, Resource
from kproto.errors import ErrorCode, KafkaError, ProtocolError
from kproto.messages.delete_acls import (
    DeleteAclsFilterResult,
    DeleteAclsMatchingAcl,
    DeleteAclsRequest,
    DeleteAclsResponse,
)
from storage.seams.slices import Slices

if TYPE_CHECKING:
    from broker.context import RequestContext
    from kproto.ids import Uuid

MAX_FILTERS: Final = 1000
UNKNOWN: Final = 0
CODES: Final = tuple(map(frozenset, (Resource, PatternType, Operation, Permission)))


async def handle(request: DeleteAclsRequest, ctx: RequestContext) -> DeleteAclsResponse:
    """Find what each filter means, remove all of it."""
    slices = Slices()
    wanted = [AclFilter.of(each) async for each in slices.over(request.filters)]
    async for each in slices.over(wanted):
        if UNKNOWN in _codes(each):
            raise ProtocolError("a filter of ACLs has a code that stands for nothing")
    if ctx.services.authorizer is None:
        raise KafkaError(ErrorCode.SECURITY_DISABLED)
    known = {each: None async for each in slices.over(wanted) if _is_known(each)}
    if len(known) > MAX_FILTERS:
        raise KafkaError(ErrorCode.INVALID_REQUEST, f"a request has {MAX_FILTERS} filters at most")
    meant = {each: await matching(ctx.cluster.image.acls, each, slices) for each in known}
    ids: dict[Uuid, None] = {}
    for found in meant.values():
        ids |= {acl_id: None async for acl_id in slices.over(found)}
        if len(ids) > MAX_IN_REQUEST:
            raise KafkaError(ErrorCode.INVALID_REQUEST, f"a request removes {MAX_IN_REQUEST} ACLs at most")
    await delete_acls(list(ids), ctx.cluster)
    results = {each: await _answer(found, slices) for each, found in meant.items()}
    return DeleteAclsResponse(
        filter_results=[results.get(each) or _refused(ErrorCode.INVALID_REQUEST) async for each in slices.over(wanted)]
    )


def refuse(request: DeleteAclsRequest, error: ErrorCode, version: int) -> DeleteAclsResponse:
    """The error for each filter."""
    return DeleteAclsResponse(filter_results=[_refused(error) for _ in request.filters])


def _codes(asked: AclFilter) -> tuple[int, int, int, int]:
    return asked.resource_type, asked.pattern_type, asked.operation, asked.permission


def _is_known(asked: AclFilter) -> bool:
    return all(code in codes for code, codes in zip(_codes(asked), CODES, strict=True))


def _refused(error: ErrorCode) -> DeleteAclsFilterResult:
    return DeleteAclsFilterResult(error_code=error, error_message=error.sentence, matching_acls=[])


async def _answer(found: dict[Uuid, Acl], slices: Slices) -> DeleteAclsFilterResult:
    return DeleteAclsFilterResult(
        error_message=None,
        matching_acls=[
            DeleteAclsMatchingAcl(
                error_message=None,
                resource_type=acl.resource_type,
                resource_name=acl.resource_name,
                pattern_type=acl.pattern_type,
                principal=acl.principal,
                host=acl.host,
                operation=acl.operation,
                permission_type=acl.permission,
            )
            async for acl in slices.over(found.values())
        ],
    )
