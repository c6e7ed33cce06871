"""DescribeQuorum (55): who keeps the cluster's log, and how far it has come (KIP-595).

- v1: when each voter was last heard of (KIP-836): now.
- v2: directory ids and addresses of voters (KIP-853), where the log knows them; error messages.
- Partition 0 of `__cluster_metadata` is described if it alone is asked for. Whatever else a request asks for, each
  of its partitions is answered UNKNOWN_TOPIC_OR_PARTITION, as in Kafka.
- How far the log has come is asked of the store, so that brokers which share it give the same answer. By this request
  one of them makes another one catch up (`broker/brokers/telling.py`).
- There are no observers: voters are the brokers that live, all of which know the whole log.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from broker.coordinators.cluster.image import CLUSTER_METADATA
from kproto.errors import ErrorCode
from kproto.ids import ZERO_UUID
from kproto.messages.describe_quorum import (
    DescribeQuorumRequest,
    DescribeQuorumResponse,
    Listener,
    Node,
    ReplicaState,
    RequestTopicData,
    ResponsePartitionData,
    ResponseTopicData,
)
from storage.seams.slices import Slices

if TYPE_CHECKING:
    from broker.context import RequestContext
    from kproto.formats.control_records import QuorumVoter


async def handle(request: DescribeQuorumRequest, ctx: RequestContext) -> DescribeQuorumResponse:
    """Describe the quorum."""
    if not _asks_for_the_log(request.topics):
        slices = Slices()
        topics: list[ResponseTopicData] = []
        async for topic in slices.over(request.topics):
            unknown = [_unknown(part.partition_index) async for part in slices.over(topic.partitions)]
            topics.append(ResponseTopicData(topic_name=topic.topic_name, partitions=unknown))
        return DescribeQuorumResponse(topics=topics)
    await ctx.cluster.catch_up()
    quorum = ctx.cluster.quorum
    now = ctx.clock.wall_millis()
    voters = quorum.described
    states = [
        ReplicaState(
            replica_id=voter.voter_id,
            replica_directory_id=voter.voter_directory_id if ctx.api_version >= 2 else ZERO_UUID,
            log_end_offset=quorum.log_end_offset,
            last_fetch_timestamp=now,
            last_caught_up_timestamp=now,
        )
        for voter in voters
    ]
    described = ResponsePartitionData(
        leader_id=quorum.leader_id,
        leader_epoch=quorum.leader_epoch,
        high_watermark=quorum.high_watermark,
        current_voters=states,
    )
    response = DescribeQuorumResponse(topics=[ResponseTopicData(topic_name=CLUSTER_METADATA, partitions=[described])])
    if ctx.api_version >= 2:
        response.nodes = [_node(voter) for voter in voters]
    return response


def _node(voter: QuorumVoter) -> Node:
    listeners = [Listener(name=each.name, host=each.host, port=each.port) for each in voter.endpoints]
    return Node(node_id=voter.voter_id, listeners=listeners)


def refuse(request: DescribeQuorumRequest, error: ErrorCode, version: int) -> DescribeQuorumResponse:
    """The error and its sentence."""
    return DescribeQuorumResponse(error_code=error, error_message=error.sentence)


def _asks_for_the_log(topics: list[RequestTopicData]) -> bool:
    if len(topics) != 1 or topics[0].topic_name != CLUSTER_METADATA:
        return False
    return len(topics[0].partitions) == 1 and topics[0].partitions[0].partition_index == 0


def _unknown(partition: int) -> ResponsePartitionData:
    code = ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
    return ResponsePartitionData(partition_index=partition, error_code=code, error_message=code.sentence)
