"""AddRaftVoter (80): let another controller keep the cluster's log too (KIP-853).

- One process decides alone here, so no voter can be added. Which refusal a request gets is Kafka's, in Kafka's order:
  another cluster's id, no valid voter, no address on the controllers' listener, a level of `kraft.version` that has
  its voters in the configuration, a voter that is one already (`broker/coordinators/cluster/quorum.py`).
- v1: a client may not want to wait until the change is committed. There is nothing to wait for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from broker.coordinators.cluster.quorum import refusal_to_add_voter
from kproto.errors import ErrorCode
from kproto.messages.add_raft_voter import AddRaftVoterRequest, AddRaftVoterResponse
from storage.seams.slices import Slices

if TYPE_CHECKING:
    from broker.context import RequestContext


async def handle(request: AddRaftVoterRequest, ctx: RequestContext) -> AddRaftVoterResponse:
    """Say why not."""
    if request.cluster_id not in (None, ctx.store.cluster_id):
        code = ErrorCode.INCONSISTENT_CLUSTER_ID
        return AddRaftVoterResponse(error_code=code, error_message=code.sentence)
    names = {listener.name.upper() async for listener in Slices().over(request.listeners)}
    of_controllers = ctx.config.get("controller.listener.names")
    assert isinstance(of_controllers, tuple), "the key is a list"
    error = refusal_to_add_voter(
        ctx.cluster.quorum,
        request.voter_id,
        request.voter_directory_id,
        has_endpoint=not names.isdisjoint(name.upper() for name in of_controllers[:1]),
    )
    return AddRaftVoterResponse(error_code=error.code, error_message=error.message)


def refuse(request: AddRaftVoterRequest, error: ErrorCode, version: int) -> AddRaftVoterResponse:
    """The error and its sentence."""
    return AddRaftVoterResponse(error_code=error, error_message=error.sentence)
