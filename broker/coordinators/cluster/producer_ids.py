"""Decisions about producer ids: blocks of 1,000, so that most producers cost no record (Kafka:
ProducerIdControlManager).

The record names the first id after the block, therefore a crash loses at most the rest of a block and never gives an id
twice.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

from broker.coordinators.cluster.machine import ClusterDecision, ClusterMachine
from broker.coordinators.machine import Decision, Promise
from kproto.errors import ErrorCode, KafkaError
from kproto.formats.cluster_metadata import ProducerIdsRecord

BLOCK_SIZE: Final = 1000
MAX_PRODUCER_ID: Final = 2**63 - 1


def decide_block(machine: ClusterMachine, node_id: int, promise: Promise[range]) -> ClusterDecision:
    """Take the next block; the reply is its ids, or UNKNOWN_SERVER_ERROR when int64 is used up, as in Kafka."""
    first = machine.next_producer_id
    if first > MAX_PRODUCER_ID - BLOCK_SIZE:
        return Decision(replies=[(promise, KafkaError(ErrorCode.UNKNOWN_SERVER_ERROR, "all producer ids are used up"))])
    record = ProducerIdsRecord(broker_id=node_id, broker_epoch=0, next_producer_id=first + BLOCK_SIZE)
    return Decision([record], [(promise, range(first, first + BLOCK_SIZE))])


async def fresh_producer_id(next_producer_id: Callable[[], Awaitable[int]]) -> int:
    """What the cluster's coordinator gives. Raises KafkaError(COORDINATOR_LOAD_IN_PROGRESS), which producers know,
    while that coordinator reloads."""
    try:
        return await next_producer_id()
    except KafkaError as error:
        if error.code is not ErrorCode.NOT_CONTROLLER:
            raise
        raise KafkaError(ErrorCode.COORDINATOR_LOAD_IN_PROGRESS) from error
