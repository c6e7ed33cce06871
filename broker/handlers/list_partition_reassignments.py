"""ListPartitionReassignments (46): the moves of partitions that are under way (KIP-455).

- There is one node, so there are none, whichever topics are asked for; unknown ones are no error, as in Kafka.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kproto.errors import ErrorCode
from kproto.messages.list_partition_reassignments import (
    ListPartitionReassignmentsRequest,
    ListPartitionReassignmentsResponse,
    OngoingPartitionReassignment,
    OngoingTopicReassignment,
)

if TYPE_CHECKING:
    from broker.context import RequestContext


async def handle(request: ListPartitionReassignmentsRequest, ctx: RequestContext) -> ListPartitionReassignmentsResponse:
    """None."""
    return ListPartitionReassignmentsResponse(error_message=None)


def refuse(
    request: ListPartitionReassignmentsRequest, error: ErrorCode, version: int
) -> ListPartitionReassignmentsResponse:
    """The error and its sentence, and the partitions asked for, as if none had replicas; so does Kafka."""
    return ListPartitionReassignmentsResponse(
        error_code=error,
        error_message=error.sentence,
        topics=[
            OngoingTopicReassignment(
                name=topic.name,
                partitions=[OngoingPartitionReassignment(partition_index=index) for index in topic.partition_indexes],
            )
            for topic in request.topics or ()
        ],
    )
