"""ElectLeaders (43): let partitions choose their leaders (KIP-183, KIP-460).

- There is one node, and it leads every partition from the start, so an election is never needed:
  ELECTION_NOT_NEEDED, for preferred (0) and unclean (1) elections alike.
- v0: preferred elections only, and no error for the whole.
- Null asks for all partitions. Those that need none are left out, so every topic is answered with an empty list.
- An unknown kind of election is INVALID_REQUEST; no time (`timeout_ms` of 0 and below) is REQUEST_TIMED_OUT. A request
  without topics is answered without looking at either, as in Kafka.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from kproto.errors import ErrorCode, KafkaError
from kproto.messages.elect_leaders import (
    ElectLeadersRequest,
    ElectLeadersResponse,
    PartitionResult,
    ReplicaElectionResult,
)
from storage.seams.slices import Slices

if TYPE_CHECKING:
    from broker.context import RequestContext
    from broker.coordinators.cluster import Topic

PREFERRED: Final = 0
UNCLEAN: Final = 1


async def handle(request: ElectLeadersRequest, ctx: RequestContext) -> ElectLeadersResponse:
    """Say of each partition that it has its leader, or is not there."""
    if request.topic_partitions is not None and not request.topic_partitions:
        return ElectLeadersResponse()
    if request.election_type not in (PREFERRED, UNCLEAN):
        unknown = f"there is no election of type {request.election_type}"
        return _refusal(request, ErrorCode.INVALID_REQUEST, ctx.api_version, unknown)
    if request.timeout_ms <= 0:
        raise KafkaError(ErrorCode.REQUEST_TIMED_OUT)
    topics = ctx.cluster.image.topics
    slices = Slices()
    if request.topic_partitions is None:
        return ElectLeadersResponse(
            replica_election_results=[ReplicaElectionResult(topic=name) async for name in slices.over(topics)]
        )
    results: list[ReplicaElectionResult] = []
    async for asked in slices.over(request.topic_partitions):
        topic = topics.get(asked.topic)
        found = [_result(asked.topic, topic, partition) async for partition in slices.over(asked.partitions)]
        results.append(ReplicaElectionResult(topic=asked.topic, partition_result=found))
    return ElectLeadersResponse(replica_election_results=results)


def refuse(request: ElectLeadersRequest, error: ErrorCode, version: int) -> ElectLeadersResponse:
    """The error above, and on every partition that is named."""
    return _refusal(request, error, version, None)


def _refusal(request: ElectLeadersRequest, error: ErrorCode, version: int, message: str | None) -> ElectLeadersResponse:
    return ElectLeadersResponse(
        error_code=error if version >= 1 else ErrorCode.NONE,
        replica_election_results=[
            ReplicaElectionResult(
                topic=topic.topic,
                partition_result=[
                    PartitionResult(partition_id=partition, error_code=error, error_message=message)
                    for partition in topic.partitions
                ],
            )
            for topic in request.topic_partitions or ()
        ],
    )


def _result(name: str, topic: Topic | None, partition: int) -> PartitionResult:
    if topic is None or partition not in topic.partitions:
        missing = f"there is no topic {name}" if topic is None else f"there is no partition {name}-{partition}"
        return PartitionResult(
            partition_id=partition, error_code=ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, error_message=missing
        )
    return PartitionResult(
        partition_id=partition,
        error_code=ErrorCode.ELECTION_NOT_NEEDED,
        error_message=ErrorCode.ELECTION_NOT_NEEDED.sentence,
    )
