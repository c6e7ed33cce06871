"""The transaction coordinator of an id, and the groups' shard of a partition, on whichever broker they are.

A broker that appends a transactional batch has to ask the coordinator of its transaction (`transaction_entry.py`), and
a coordinator that has decided on a transaction has to end it in the partitions of `__consumer_offsets` that it touched,
each through the owner of the shard, which alone appends there. Both are questions between brokers that Kafka has too,
AddPartitionsToTxn from version 4 on and WriteTxnMarkers, and this is their client: what belongs to this broker is asked
without a detour, the rest by `ask`.

What comes back, or does not, is told in codes: where no owner is known, or it could not be asked, NOT_COORDINATOR and
NETWORK_EXCEPTION. Clients try again then; so does the writer of markers.

Markers for all other partitions need no such question: any broker may append to any log.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, Protocol

from broker.coordinators.cluster.image import CONSUMER_OFFSETS, TRANSACTION_STATE
from broker.coordinators.machine import EndOfTransaction
from kproto.errors import ErrorCode, KafkaError
from kproto.messages.add_partitions_to_txn import (
    AddPartitionsToTxnRequest,
    AddPartitionsToTxnTopic,
    AddPartitionsToTxnTransaction,
)
from kproto.messages.write_txn_markers import WritableTxnMarker, WritableTxnMarkerTopic, WriteTxnMarkersRequest
from kproto.schema.declare import Request
from storage.membership import Shard

if TYPE_CHECKING:
    from broker.brokers.brokers import Brokers
    from broker.coordinators.groups import GroupCoordinator
    from broker.coordinators.transactions import TransactionCoordinator

ADD_PARTITIONS_VERSION: Final = 5
MARKERS_VERSION: Final = 2


class Ask(Protocol):
    """How another broker is asked. Raises KafkaError(NETWORK_EXCEPTION) when it cannot be, or does not answer."""

    async def __call__(self, node_id: int, request: Request, version: int) -> Any: ...


class TransactionsAnywhere:
    """The coordinator of transactions, as `transaction_entry.py` wants it, of all brokers together."""

    def __init__(self, own: TransactionCoordinator, brokers: Brokers, ask: Ask) -> None:
        self._own = own
        self._brokers = brokers
        self._ask = ask

    async def verify_partitions(
        self, transactional_id: str, producer_id: int, producer_epoch: int, partitions: Sequence[tuple[str, int]]
    ) -> Mapping[tuple[str, int], ErrorCode]:
        """Whether the transaction of this producer and epoch is going on and has these partitions: a code for each."""
        if self._own.shards.owns(transactional_id):
            return await self._own.verify_partitions(transactional_id, producer_id, producer_epoch, partitions)
        return await self._elsewhere(transactional_id, producer_id, producer_epoch, partitions, verify_only=True)

    async def add_partitions(
        self, transactional_id: str, producer_id: int, producer_epoch: int, partitions: Sequence[tuple[str, int]]
    ) -> Mapping[tuple[str, int], ErrorCode]:
        """Add these partitions to the transaction, durably: a code for each."""
        if self._own.shards.owns(transactional_id):
            return await self._own.add_partitions(transactional_id, producer_id, producer_epoch, partitions)
        return await self._elsewhere(transactional_id, producer_id, producer_epoch, partitions, verify_only=False)

    async def _elsewhere(
        self,
        transactional_id: str,
        producer_id: int,
        producer_epoch: int,
        partitions: Sequence[tuple[str, int]],
        *,
        verify_only: bool,
    ) -> Mapping[tuple[str, int], ErrorCode]:
        by_topic: dict[str, list[int]] = {}
        for topic, partition in partitions:
            by_topic.setdefault(topic, []).append(partition)
        asked = AddPartitionsToTxnTransaction(
            transactional_id=transactional_id,
            producer_id=producer_id,
            producer_epoch=producer_epoch,
            verify_only=verify_only,
            topics=[AddPartitionsToTxnTopic(name=name, partitions=several) for name, several in by_topic.items()],
        )
        try:
            shard = Shard(TRANSACTION_STATE, self._own.shards.index_of(transactional_id))
            owner = owner_of(self._brokers, shard)
            request = AddPartitionsToTxnRequest(transactions=[asked])
            reply = await self._ask(owner, request, ADD_PARTITIONS_VERSION)
        except KafkaError as error:
            return dict.fromkeys(partitions, error.code)
        if reply.error_code or not reply.results_by_transaction:
            return dict.fromkeys(partitions, ErrorCode(reply.error_code or ErrorCode.NETWORK_EXCEPTION))
        codes: dict[tuple[str, int], ErrorCode] = dict.fromkeys(partitions, ErrorCode.NETWORK_EXCEPTION)
        for topic_result in reply.results_by_transaction[0].topic_results:
            for each in topic_result.results_by_partition:
                codes[topic_result.name, each.partition_index] = ErrorCode(each.partition_error_code)
        return codes


class GroupShardsAnywhere:
    """Ends transactions in partitions of `__consumer_offsets`, of whichever broker they are."""

    def __init__(self, own: GroupCoordinator, brokers: Brokers, ask: Ask) -> None:
        self._own = own
        self._brokers = brokers
        self._ask = ask

    async def end_transaction(self, partition: int, end: EndOfTransaction) -> None:
        """Append the marker; returns when it is durable. Raises KafkaError."""
        if partition in self._own.shards.owned:
            await self._own.end_transaction(partition, end)
            return
        owner = owner_of(self._brokers, Shard(CONSUMER_OFFSETS, partition))
        marker = WritableTxnMarker(
            producer_id=end.producer_id,
            producer_epoch=end.producer_epoch,
            transaction_result=end.commit,
            topics=[WritableTxnMarkerTopic(name=CONSUMER_OFFSETS, partition_indexes=[partition])],
            coordinator_epoch=end.coordinator_epoch,
            transaction_version=end.transaction_version,
        )
        reply = await self._ask(owner, WriteTxnMarkersRequest(markers=[marker]), MARKERS_VERSION)
        for each in (found for topic in reply.markers[0].topics for found in topic.partitions):
            if each.error_code:
                raise KafkaError(ErrorCode(each.error_code))


def owner_of(brokers: Brokers, shard: Shard) -> int:
    """The node id of the broker that coordinates a shard. Raises KafkaError(NOT_COORDINATOR): none, or this one, which
    does not any more."""
    owner = brokers.owner(shard)
    if owner is None or owner.node_id == brokers.node_id:
        raise KafkaError(ErrorCode.NOT_COORDINATOR)
    return owner.node_id
