"""Making another broker know what this one has decided, before a client can go there and ask.

The question is DescribeQuorum: a broker that is asked how far the cluster's log has come finds out where it ends, and
replays it up to there, before it answers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from broker.coordinators.cluster.image import CLUSTER_METADATA
from kproto.errors import ErrorCode, KafkaError
from kproto.messages.describe_quorum import DescribeQuorumRequest, RequestPartitionData, RequestTopicData

if TYPE_CHECKING:
    from broker.brokers.entry import Ask

VERSION: Final = 2


async def make_catch_up(ask: Ask, node_id: int) -> None:
    """Returns when the broker of this node id knows all that has been decided. Raises KafkaError."""
    log = RequestTopicData(topic_name=CLUSTER_METADATA, partitions=[RequestPartitionData(partition_index=0)])
    reply = await ask(node_id, DescribeQuorumRequest(topics=[log]), VERSION)
    if reply.error_code:
        raise KafkaError(ErrorCode(reply.error_code))
