"""`ottla transactions`: which there are, what holds them up, and how to end one, as `kafka-transactions.sh` does.

    ottla transactions list
    ottla transactions describe shop-1
    ottla transactions describe-producers --topic orders --partition 0
    ottla transactions find-hanging --max-transaction-timeout 15
    ottla transactions abort --topic orders --partition 0 --start-offset 42
    ottla transactions force-terminate shop-1

A transaction *hangs* when a partition has it open and no coordinator will ever end it: readers with
`isolation.level=read_committed` then get nothing behind its start. `abort` writes its end into that one partition.
`force-terminate` has a coordinator end what a producer, which is fenced by that, has begun.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from kproto.ids import TopicPartition
from kproto.messages.describe_producers import DescribeProducersRequest, TopicRequest
from kproto.messages.describe_transactions import DescribeTransactionsRequest
from kproto.messages.init_producer_id import InitProducerIdRequest
from kproto.messages.list_transactions import ListTransactionsRequest
from kproto.messages.write_txn_markers import WritableTxnMarker, WritableTxnMarkerTopic, WriteTxnMarkersRequest
from tools.actions import Action, Options, run_action, verb_parser
from tools.client.cluster import TRANSACTION, Cluster, check
from tools.client.properties import properties_of
from tools.client.topics import topic_names
from tools.failures import Failed, Misunderstood
from tools.output.tables import Table, show

STATES = ("Empty", "Ongoing", "PrepareCommit", "PrepareAbort", "CompleteCommit", "CompleteAbort", "Dead",
          "PrepareEpochFence")  # fmt: skip
STABLE_INIT = 5
"""The newest version of InitProducerId that is not for two-phase commit."""
AT_ONCE = 500
"""Partitions that are asked about in one request."""


class ActiveProducer(NamedTuple):
    """A producer that a partition knows of. `start` is the offset at which its open transaction begins, or None."""

    producer_id: int
    epoch: int
    coordinator_epoch: int
    last_sequence: int
    last_timestamp: int
    start: int | None


def main(arguments: Sequence[str]) -> int:
    """Do what was asked for and return the exit status. Raises Failed."""
    return run_action(parser(), ACTIONS, arguments)


def parser() -> argparse.ArgumentParser:
    """All words of `ottla transactions`."""
    return verb_parser(
        "ottla transactions", "Which transactions there are, what holds them up, how to end one.", ACTIONS
    )


def list_them(options: Options) -> None:
    """Transactional ids of all coordinators."""
    request = ListTransactionsRequest(
        state_filters=options.state, producer_id_filters=options.producer_id, duration_filter=options.duration_filter,
        transactional_id_pattern=options.transactional_id_pattern,
    )  # fmt: skip
    rows = []
    with Cluster(properties_of(options)) as cluster:
        for node, reply in cluster.ask_all(request).items():
            check(reply.error_code)
            if reply.unknown_state_filters:
                known = ", ".join(STATES)
                raise Misunderstood(f"{', '.join(reply.unknown_state_filters)} is no state; there are {known}")
            rows += [
                (each.transactional_id, node, each.producer_id, each.transaction_state)
                for each in reply.transaction_states
            ]
    show(
        Table(("TransactionalId", "Coordinator", "ProducerId", "TransactionState"), sorted(rows)), as_json=options.json
    )


def describe(options: Options) -> None:
    """What coordinators know of transactional ids."""
    rows = []
    now = int(time.time() * 1000)
    with Cluster(properties_of(options)) as cluster:
        for name in _names(options):
            found = transaction_state(cluster, name)
            check(found.error_code, what=f"transactional id {name}")
            begun = None if found.transaction_start_time_ms < 0 else found.transaction_start_time_ms
            places = [f"{topic.topic}-{partition}" for topic in found.topics for partition in topic.partitions]
            rows.append(
                (cluster.coordinator(name, TRANSACTION), name, found.producer_id, found.producer_epoch,
                 found.transaction_state, found.transaction_timeout_ms, begun, None if begun is None else now - begun,
                 sorted(places))
            )  # fmt: skip
    columns = (
        "CoordinatorId", "TransactionalId", "ProducerId", "ProducerEpoch", "TransactionState", "TransactionTimeoutMs",
        "CurrentTransactionStartTimeMs", "TransactionDurationMs", "TopicPartitions",
    )  # fmt: skip
    show(Table(columns, rows), as_json=options.json)


def transaction_state(cluster: Cluster, name: str) -> Any:
    """What the coordinator of a transactional id says. Raises Failed."""
    request = DescribeTransactionsRequest(transactional_ids=[name])
    reply = cluster.ask_coordinator(
        name, request, lambda reply: reply.transaction_states[0].error_code, kind=TRANSACTION
    )
    return reply.transaction_states[0]


def describe_producers(options: Options) -> None:
    """Producers that a partition knows of."""
    place = _place(options)
    with Cluster(properties_of(options)) as cluster:
        producers = active_producers(cluster, [place])[place]
    columns = (
        "ProducerId", "ProducerEpoch", "LatestCoordinatorEpoch", "LastSequence", "LastTimestamp",
        "CurrentTransactionStartOffset",
    )  # fmt: skip
    rows = [
        (each.producer_id, each.epoch, each.coordinator_epoch, each.last_sequence, each.last_timestamp, each.start)
        for each in producers
    ]
    show(Table(columns, rows), as_json=options.json)


def active_producers(cluster: Cluster, places: Iterable[TopicPartition]) -> dict[TopicPartition, list[ActiveProducer]]:
    """Partition -> the producers that it knows of. Raises Failed."""
    found: dict[TopicPartition, list[ActiveProducer]] = {}
    for node, led in cluster.leaders_of(places).items():
        if node == -1:
            raise Failed(f"{led[0].topic}-{led[0].partition} is not there, or has no leader")
        for first in range(0, len(led), AT_ONCE):
            topics: dict[str, TopicRequest] = {}
            for place in led[first : first + AT_ONCE]:
                topic = topics.setdefault(place.topic, TopicRequest(name=place.topic, partition_indexes=[]))
                topic.partition_indexes.append(place.partition)
            for answer in cluster.ask(DescribeProducersRequest(topics=list(topics.values())), node=node).topics:
                for each in answer.partitions:
                    check(each.error_code, each.error_message, f"{answer.name}-{each.partition_index}")
                    found[TopicPartition(answer.name, each.partition_index)] = [
                        ActiveProducer(
                            state.producer_id, state.producer_epoch, state.coordinator_epoch, state.last_sequence,
                            state.last_timestamp,
                            None if state.current_txn_start_offset < 0 else state.current_txn_start_offset,
                        )
                        for state in each.active_producers
                    ]  # fmt: skip
    return found


def find_hanging(options: Options) -> None:
    """Transactions that are open in a partition and not at their coordinator."""
    limit = int(time.time() * 1000) - options.max_transaction_timeout * 60_000
    rows = []
    with Cluster(properties_of(options)) as cluster:
        topics = [options.topic] if options.topic else topic_names(cluster)
        places = [
            TopicPartition(topic, partition)
            for topic, partitions in (cluster.partitions_of(topics) if topics else {}).items()
            for partition in partitions
            if options.partition is None or partition == options.partition
        ]
        open_ones = [
            (place, producer)
            for place, producers in active_producers(cluster, places).items()
            for producer in producers
            if producer.start is not None and producer.last_timestamp < limit
        ]
        known = _known_places(cluster, {producer.producer_id for _, producer in open_ones})
        for place, producer in sorted(open_ones):
            name, its_places = known.get(producer.producer_id, (None, set()))
            if place not in its_places:
                duration = (int(time.time() * 1000) - producer.last_timestamp) // 60_000
                rows.append(
                    (*place, producer.producer_id, producer.epoch, producer.coordinator_epoch, producer.start,
                     producer.last_timestamp, duration, name)
                )  # fmt: skip
    columns = (
        "Topic", "Partition", "ProducerId", "ProducerEpoch", "CoordinatorEpoch", "StartOffset", "LastTimestamp",
        "Duration(min)", "TransactionalId",
    )  # fmt: skip
    show(Table(columns, rows), as_json=options.json)


def _known_places(cluster: Cluster, producers: set[int]) -> dict[int, tuple[str, set[TopicPartition]]]:
    """Producer id -> its transactional id, and the partitions that its coordinator will end its transaction in."""
    if not producers:
        return {}
    known = {}
    for reply in cluster.ask_all(ListTransactionsRequest(producer_id_filters=sorted(producers))).values():
        check(reply.error_code)
        for each in reply.transaction_states:
            found = transaction_state(cluster, each.transactional_id)
            places = {TopicPartition(topic.topic, part) for topic in found.topics for part in topic.partitions}
            known[each.producer_id] = (each.transactional_id, places)
    return known


def abort(options: Options) -> None:
    """Write the end of a hanging transaction into its partition."""
    place = _place(options)
    with Cluster(properties_of(options)) as cluster:
        if options.start_offset is not None:
            started = [p for p in active_producers(cluster, [place])[place] if p.start == options.start_offset]
            if not started:
                raise Failed(
                    f"Could not find any open transactions starting at offset {options.start_offset} in partition "
                    f"{place.topic}-{place.partition}"
                )
            producer = started[0]
            of_whom = (producer.producer_id, producer.epoch, max(0, producer.coordinator_epoch))
        else:
            of_whom = (options.producer_id, options.producer_epoch, options.coordinator_epoch)
            if None in of_whom:
                raise Misunderstood("which? --start-offset, or --producer-id, --producer-epoch and --coordinator-epoch")
        topic = WritableTxnMarkerTopic(name=place.topic, partition_indexes=[place.partition])
        marker = WritableTxnMarker(
            producer_id=of_whom[0], producer_epoch=of_whom[1], transaction_result=False, topics=[topic],
            coordinator_epoch=of_whom[2],
        )  # fmt: skip
        ((leader, _),) = cluster.leaders_of([place]).items()
        reply = cluster.ask(WriteTxnMarkersRequest(markers=[marker]), node=leader)
    for found in reply.markers:
        for done in found.topics:
            for each in done.partitions:
                check(each.error_code, what=f"{done.name}-{each.partition_index}")
    show(
        Table(("TOPIC", "PARTITION"), [place]), as_json=options.json,
        lines=[f"Aborted the transaction of producer {of_whom[0]} in {place.topic}-{place.partition}."],
    )  # fmt: skip


def force_terminate(options: Options) -> None:
    """Have the coordinator end what is open, and fence the producer."""
    with Cluster(properties_of(options)) as cluster:
        for name in _names(options):
            found = transaction_state(cluster, name)
            check(found.error_code, what=f"transactional id {name}")
            request = InitProducerIdRequest(transactional_id=name, transaction_timeout_ms=found.transaction_timeout_ms)
            reply = cluster.ask_coordinator(
                name, request, lambda reply: reply.error_code, kind=TRANSACTION, newest=STABLE_INIT
            )
            check(reply.error_code, what=f"transactional id {name}")
    names = _names(options)
    show(
        Table(("TransactionalId",), [(name,) for name in names]), as_json=options.json,
        lines=[f"Terminated the transaction of {name}; its producer is fenced." for name in names],
    )  # fmt: skip


def _names(options: Options) -> list[str]:
    names = [*options.names, *(options.transactional_id or [])]
    if not names:
        raise Misunderstood("which transactional id? Name it")
    return names


def _place(options: Options) -> TopicPartition:
    if options.topic is None or options.partition is None:
        raise Misunderstood("which partition? --topic and --partition")
    return TopicPartition(options.topic, options.partition)


def _list_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--state", action="append", default=[], metavar="STATE", help="only these; may be repeated")
    parser.add_argument("--producer-id", action="append", default=[], type=int, metavar="ID", help="only of these")
    parser.add_argument("--duration-filter", type=int, default=-1, metavar="MS", help="only longer ones")
    parser.add_argument("--transactional-id-pattern", metavar="REGEX", help="only ids like this")


def _id_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("names", nargs="*", metavar="ID", help="transactional ids")
    parser.add_argument("--transactional-id", action="append", metavar="ID", help="the same, in Kafka's way")


def _place_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-t", "--topic", metavar="TOPIC", help="the topic")
    parser.add_argument("-p", "--partition", type=int, metavar="N", help="its partition")


def _hanging_options(parser: argparse.ArgumentParser) -> None:
    _place_options(parser)
    parser.add_argument(
        "--max-transaction-timeout", type=int, default=15, metavar="MINUTES",
        help="none is looked at that could still be young (default 15)",
    )  # fmt: skip


def _abort_options(parser: argparse.ArgumentParser) -> None:
    _place_options(parser)
    parser.add_argument("--start-offset", type=int, metavar="OFFSET", help="where it begins")
    parser.add_argument("--producer-id", type=int, metavar="ID", help="or whose it is")
    parser.add_argument("--producer-epoch", type=int, metavar="N", help="the producer's epoch")
    parser.add_argument("--coordinator-epoch", type=int, metavar="N", help="the coordinator's epoch")


ACTIONS = {
    "list": Action(list_them, _list_options, "list transactional ids"),
    "describe": Action(describe, _id_options, "show what coordinators know"),
    "describe-producers": Action(describe_producers, _place_options, "show the producers that a partition knows of"),
    "find-hanging": Action(find_hanging, _hanging_options, "find transactions that no coordinator will end"),
    "abort": Action(abort, _abort_options, "end a hanging transaction in one partition"),
    "force-terminate": Action(force_terminate, _id_options, "have a coordinator end what a producer has begun"),
}
