"""RemoveRaftVoter (81): let a controller keep the cluster's log no longer (KIP-853).

- The only voter cannot be removed, and there is no other: always refused, as Kafka refuses it
  (`broker/coordinators/cluster/quorum.py`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from broker.coordinators.cluster.quorum import refusal_to_remove_voter
from kproto.errors import ErrorCode
from kproto.messages.remove_raft_voter import RemoveRaftVoterRequest, RemoveRaftVoterResponse

if TYPE_CHECKING:
    from broker.context import RequestContext


async def handle(request: RemoveRaftVoterRequest, ctx: RequestContext) -> RemoveRaftVoterResponse:
    """Say why not."""
    if request.cluster_id not in (None, ctx.store.cluster_id):
        code = ErrorCode.INCONSISTENT_CLUSTER_ID
        return RemoveRaftVoterResponse(error_code=code, error_message=code.sentence)
    error = refusal_to_remove_voter(ctx.cluster.quorum, request.voter_id, request.voter_directory_id)
    return RemoveRaftVoterResponse(error_code=error.code, error_message=error.message)


def refuse(request: RemoveRaftVoterRequest, error: ErrorCode, version: int) -> RemoveRaftVoterResponse:
    """The error and its sentence."""
    return RemoveRaftVoterResponse(error_code=error, error_message=error.sentence)
