"""A transaction that is open while its directory changes hands, and is ended by the broker that has it next.

The producer's transactional id, its epoch and the partitions of its transaction stand in `__transaction_state`, its
batches in the log of `open`, its offsets in `__consumer_offsets`. The next broker has to find all three: it takes one
more batch of the transaction, commits it, shows its records to readers of committed ones, and its offsets to the group.
Then the next transaction is begun, for the broker after that.

Said in the protocol itself, as a client of `transaction.version` 2 does (KIP-890), for no client library lets go of a
transaction and takes it up elsewhere.
"""

from __future__ import annotations

import time
from typing import Any, Final, NamedTuple

from kproto.batches.records import RecordData, build_batch
from kproto.errors import ErrorCode
from kproto.messages.end_txn import EndTxnRequest
from kproto.messages.find_coordinator import FindCoordinatorRequest
from kproto.messages.init_producer_id import InitProducerIdRequest
from kproto.messages.list_offsets import ListOffsetsPartition, ListOffsetsRequest, ListOffsetsTopic
from kproto.messages.offset_fetch import OffsetFetchRequest, OffsetFetchRequestGroup, OffsetFetchRequestTopics
from kproto.messages.produce import PartitionProduceData, ProduceRequest, TopicProduceData
from kproto.messages.txn_offset_commit import (
    TxnOffsetCommitRequest,
    TxnOffsetCommitRequestPartition,
    TxnOffsetCommitRequestTopic,
)
from kproto.schema.declare import Request
from tools.trials.brokers import pause
from tools.trials.wire.client import WireClient

TOPIC: Final = "open"
NAME: Final = "exchange-open"
RECORDS: Final = 3
TIMEOUT_MS: Final = 900_000
"""The longest that brokers allow: the transaction must not be over before the next broker has it."""
WAIT_SECONDS: Final = 60.0
NOT_YET: Final = frozenset(
    {
        ErrorCode.COORDINATOR_LOAD_IN_PROGRESS, ErrorCode.COORDINATOR_NOT_AVAILABLE, ErrorCode.NOT_COORDINATOR,
        ErrorCode.CONCURRENT_TRANSACTIONS, ErrorCode.NOT_LEADER_OR_FOLLOWER, ErrorCode.NOT_ENOUGH_REPLICAS,
        ErrorCode.UNSTABLE_OFFSET_COMMIT,
    }
)  # fmt: skip


class OpenTransaction(NamedTuple):
    """A producer with a transaction under way: `sent` batches of it, and `ended` records of those before it."""

    producer_id: int
    epoch: int
    sent: int = 0
    ended: int = 0


def begin(port: int) -> OpenTransaction:
    """The first transaction of the transactional id, left open. Raises ConnectionError, TimeoutError."""
    with WireClient(port) as client:
        for kind in (0, 1):
            _answer(client, FindCoordinatorRequest(key_type=kind, coordinator_keys=[NAME]), 4)
        request = InitProducerIdRequest(transactional_id=NAME, transaction_timeout_ms=TIMEOUT_MS)
        reply = _answer(client, request, 4)
        return _open(client, OpenTransaction(reply.producer_id, reply.producer_epoch))


def go_on(port: int, transaction: OpenTransaction, name: str) -> tuple[list[str], OpenTransaction]:
    """End the transaction on another broker and begin the next: what is not as it should be, and the next one.

    Raises ConnectionError, TimeoutError.
    """
    wrong = []
    with WireClient(port) as client:
        for kind in (0, 1):
            _answer(client, FindCoordinatorRequest(key_type=kind, coordinator_keys=[NAME]), 4)
        stable = _end_of_log(client, 1)
        if stable >= _end_of_log(client, 0):
            wrong.append(f"{name} shows records of an open transaction to readers of committed ones")
        transaction = _send(client, transaction)
        request = EndTxnRequest(
            transactional_id=NAME, producer_id=transaction.producer_id, producer_epoch=transaction.epoch, committed=True
        )
        reply = _answer(client, request, 5)
        ended = transaction.ended + transaction.sent * RECORDS
        offset = _committed(client)
        if offset != ended:
            wrong.append(f"{name} has committed offset {offset} with the transaction, and not {ended}")
        deadline = time.monotonic() + WAIT_SECONDS
        while (stable := _end_of_log(client, 1)) != (high := _end_of_log(client, 0)):
            if time.monotonic() > deadline:
                wrong.append(f"{name} holds readers back at {stable} of {high} though the transaction has ended")
                break
            pause(0.05)
        following = OpenTransaction(reply.producer_id, reply.producer_epoch, 0, ended)
        return wrong, _open(client, following)


def _open(client: WireClient, transaction: OpenTransaction) -> OpenTransaction:
    """Send the first batch, and the offset that is behind the whole transaction when there have been two."""
    transaction = _send(client, transaction)
    part = TxnOffsetCommitRequestPartition(
        partition_index=0, committed_offset=transaction.ended + 2 * RECORDS, committed_metadata=""
    )
    request = TxnOffsetCommitRequest(
        transactional_id=NAME, group_id=NAME, producer_id=transaction.producer_id, producer_epoch=transaction.epoch,
        topics=[TxnOffsetCommitRequestTopic(name=TOPIC, partitions=[part])],
    )  # fmt: skip
    _answer(client, request, 5)
    return transaction


def _send(client: WireClient, transaction: OpenTransaction) -> OpenTransaction:
    now = int(time.time() * 1000)
    records = [RecordData(timestamp=now, value=b"%d" % (transaction.sent * RECORDS + n)) for n in range(RECORDS)]
    batch = build_batch(
        records, producer_id=transaction.producer_id, producer_epoch=transaction.epoch,
        base_sequence=transaction.sent * RECORDS, transactional=True,
    )  # fmt: skip
    data = [TopicProduceData(name=TOPIC, partition_data=[PartitionProduceData(index=0, records=batch)])]
    _answer(client, ProduceRequest(transactional_id=NAME, acks=-1, timeout_ms=30_000, topic_data=data), 12)
    return transaction._replace(sent=transaction.sent + 1)


def _end_of_log(client: WireClient, isolation_level: int) -> int:
    asked = ListOffsetsTopic(name=TOPIC, partitions=[ListOffsetsPartition(partition_index=0, timestamp=-1)])
    request = ListOffsetsRequest(replica_id=-1, isolation_level=isolation_level, topics=[asked])
    offset: int = _answer(client, request, 6).topics[0].partitions[0].offset
    return offset


def _committed(client: WireClient) -> int:
    topics = [OffsetFetchRequestTopics(name=TOPIC, partition_indexes=[0])]
    asked = OffsetFetchRequestGroup(group_id=NAME, topics=topics)
    reply = _answer(client, OffsetFetchRequest(groups=[asked], require_stable=True), 8)
    offset: int = reply.groups[0].topics[0].partitions[0].committed_offset
    return offset


def _answer(client: WireClient, request: Request, version: int) -> Any:
    """The reply, asked for again as long as it says: not yet. Raises ConnectionError, TimeoutError."""
    deadline = time.monotonic() + WAIT_SECONDS
    while True:
        reply = client.call(request, version)
        codes = {ErrorCode(code) for code in _error_codes(reply)} - {ErrorCode.NONE}
        if not codes:
            return reply
        name = type(request).__name__
        if not codes <= NOT_YET:
            raise ConnectionError(f"{name} was answered with {', '.join(sorted(code.name for code in codes))}")
        if time.monotonic() > deadline:
            raise TimeoutError(f"{name} was answered with {codes} for {WAIT_SECONDS:g} s")
        pause(0.05)


def _error_codes(reply: object) -> set[int]:
    found = set()
    for name in getattr(type(reply), "_declared", ()):
        value = getattr(reply, name)
        if name == "error_code":
            found.add(value)
        elif isinstance(value, list):
            for each in value:
                found |= _error_codes(each)
    return found
