"""ListPartitionReassignments: on one node nothing ever moves."""

from __future__ import annotations

import pytest

from broker.coordinators.cluster import NewTopic
from broker.testing.contexts import versions_of, world
from kproto.messages.list_partition_reassignments import (
    ListPartitionReassignmentsRequest,
    ListPartitionReassignmentsResponse,
    ListPartitionReassignmentsTopics,
)


@pytest.mark.parametrize("version", versions_of(ListPartitionReassignmentsRequest))
@pytest.mark.parametrize("topics", [None, [], [("t", [0, 9])], [("unknown", [0])], [("what is this?", [-1])]])
async def test_whatever_is_asked_for_nothing_is_moving(
    version: int, topics: list[tuple[str, list[int]]] | None
) -> None:
    """Topics that are not there are no error, as in Kafka."""
    async with world() as w:
        await w.cluster.create_topics([NewTopic("t")])
        asked = (
            None
            if topics is None
            else [ListPartitionReassignmentsTopics(name=t, partition_indexes=p) for t, p in topics]
        )
        reply = await w.ask(ListPartitionReassignmentsRequest(topics=asked), version)
        assert reply == ListPartitionReassignmentsResponse(error_message=None)
