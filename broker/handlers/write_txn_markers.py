"""WriteTxnMarkers (27): write the end of a transaction into partitions (KIP-98).

- v1: flexible. Coordinators send it to brokers; and an administrator, to end a transaction that no coordinator knows
  any more (`kafka-transactions.sh abort`, KIP-664).
- v2: the version of the transaction (KIP-1228): from 2 on a marker's epoch is above that of the batches it ends.
- It takes ALTER on the cluster (KIP-1037), or CLUSTER_ACTION; else CLUSTER_AUTHORIZATION_FAILED.
- A partition that does not exist: UNKNOWN_TOPIC_OR_PARTITION. An epoch older than the log has seen:
  INVALID_PRODUCER_EPOCH; a coordinator's: TRANSACTION_COORDINATOR_FENCED.
- A marker with nothing to end is written too: it fences older epochs.
- In a partition of `__consumer_offsets` it moves the pending offsets of groups; while its shard is not there, it is
  NOT_LEADER_OR_FOLLOWER, which coordinators try again after.
- Answered when all markers are durable. One without partitions is left out of the answer.

Departs from Kafka: markers of one producer id that stand in the request several times are answered each by itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from broker.coordinators.machine import EndOfTransaction
from broker.security.operations import Operation, Resource
from kproto.errors import ErrorCode
from kproto.messages.write_txn_markers import (
    WritableTxnMarker,
    WritableTxnMarkerPartitionResult,
    WritableTxnMarkerResult,
    WritableTxnMarkerTopicResult,
    WriteTxnMarkersRequest,
    WriteTxnMarkersResponse,
)
from storage.seams.slices import Slices

if TYPE_CHECKING:
    from broker.context import RequestContext

NOT_THERE: Final = frozenset({ErrorCode.NOT_COORDINATOR, ErrorCode.COORDINATOR_LOAD_IN_PROGRESS})


async def handle(request: WriteTxnMarkersRequest, ctx: RequestContext) -> WriteTxnMarkersResponse:
    """Write one marker after the other."""
    if not ctx.may(Operation.ALTER, Resource.CLUSTER, quiet=True):
        ctx.require(Operation.CLUSTER_ACTION, Resource.CLUSTER)
    slices = Slices()
    results: list[WritableTxnMarkerResult] = []
    async for marker in slices.over(request.markers):
        end = EndOfTransaction(
            marker.producer_id,
            marker.producer_epoch,
            marker.coordinator_epoch,
            marker.transaction_result,
            marker.transaction_version,
        )
        places: list[tuple[str, int]] = []
        async for topic in slices.over(marker.topics):
            places += [(topic.name, partition) async for partition in slices.over(topic.partition_indexes)]
        if not places:
            continue
        found = await ctx.transactions.write_markers(end, places)
        results.append(
            WritableTxnMarkerResult(
                producer_id=marker.producer_id,
                topics=[
                    WritableTxnMarkerTopicResult(
                        name=topic.name,
                        partitions=[
                            _result(partition, found[topic.name, partition])
                            async for partition in slices.over(topic.partition_indexes)
                        ],
                    )
                    async for topic in slices.over(marker.topics)
                ],
            )
        )
    return WriteTxnMarkersResponse(markers=results)


def _result(partition: int, code: ErrorCode) -> WritableTxnMarkerPartitionResult:
    error_code = ErrorCode.NOT_LEADER_OR_FOLLOWER if code in NOT_THERE else code
    return WritableTxnMarkerPartitionResult(partition_index=partition, error_code=error_code)


def refuse(request: WriteTxnMarkersRequest, error: ErrorCode, version: int) -> WriteTxnMarkersResponse:
    """The error for every partition asked for."""
    return WriteTxnMarkersResponse(markers=[_refused(marker, error) for marker in request.markers])


def _refused(marker: WritableTxnMarker, error: ErrorCode) -> WritableTxnMarkerResult:
    return WritableTxnMarkerResult(
        producer_id=marker.producer_id,
        topics=[
            WritableTxnMarkerTopicResult(
                name=topic.name, partitions=[_result(partition, error) for partition in topic.partition_indexes]
            )
            for topic in marker.topics
        ],
    )
