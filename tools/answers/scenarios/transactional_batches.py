"""Produce within transactions, and what Fetch and ListOffsets give out of it to readers of committed records."""

from __future__ import annotations

from kproto.messages.fetch import FetchRequest
from kproto.messages.list_offsets import ListOffsetsRequest
from kproto.messages.produce import ProduceRequest
from tools.answers.requests import (
    A_TIME,
    LARGEST,
    LATEST,
    batch,
    delete_records,
    fetch,
    list_offsets,
    new_producer,
    produce,
    produce_to,
)
from tools.answers.scenario import scenario
from tools.answers.scenarios.transactions import strangers
from tools.answers.stage import Stage, Topic
from tools.answers.transaction_requests import (
    CLASSIC_PRODUCE,
    Producer,
    add_partitions,
    ask_described,
    ask_settled,
    describe_producers,
    ended,
    opened,
    send,
    sent,
    settled,
    transactional,
)


def added(stage: Stage, producer: Producer, topic: Topic, *partitions: int) -> None:
    """Have the partitions in the transaction, if the client must say so."""
    if stage.version <= CLASSIC_PRODUCE:
        settled(stage, add_partitions(3, producer, (topic, list(partitions))), version=3)


@scenario(ProduceRequest)
def batches_of_a_transaction(stage: Stage) -> None:
    topic, producer = stage.topic("t", 3), opened(stage)
    added(stage, producer, topic, 0, 1, 2)
    ask_settled(stage, "first", send(producer, topic, 0, 2))
    ask_settled(stage, "the same again", send(producer, topic, 0, 2))
    ask_settled(stage, "second", send(producer, topic, 2))
    ask_settled(stage, "a gap", send(producer, topic, 9))
    ask_settled(stage, "another partition", send(producer, topic, 0, partition=1))
    ask_settled(stage, "a plain batch of the same producer", send(producer, topic, 3, transactional=False))
    ask_settled(stage, "no transactional id", produce(topic, transactional(producer, 3)))
    other = opened(stage, "other")
    ask_settled(
        stage, "another's batch", produce(topic, transactional(other), transactional_id=producer.transactional_id)
    )
    ask_settled(stage, "without producer", produce(topic, batch(), transactional_id=producer.transactional_id))
    ask_settled(
        stage, "transactional without producer",
        produce(topic, batch(transactional=True), partition=2, transactional_id=producer.transactional_id),
    )  # fmt: skip
    ask_settled(stage, "acks 1", produce(
        topic, transactional(producer, 3), acks=1, transactional_id=producer.transactional_id
    ))  # fmt: skip
    control = transactional(producer, 4, control=True)
    ask_settled(stage, "a control batch", produce(topic, control, transactional_id=producer.transactional_id))
    stage.ask("producers", describe_producers((topic.name, [0, 1])))
    ask_described(stage, "the transaction", producer.transactional_id)


@scenario(ProduceRequest)
def unannounced_batches(stage: Stage) -> None:
    """No batch enters a partition for a transaction that the coordinator does not know (KIP-890)."""
    topic = stage.topic("t", 2)
    opened(stage)
    producer = opened(stage)
    ask_settled(stage, "not added", send(producer, topic))
    ask_described(stage, "described", producer.transactional_id)
    settled(stage, add_partitions(3, producer, (topic, [0])), version=3)
    ask_settled(stage, "added", send(producer, topic, 0))
    ask_settled(stage, "a partition that is not", send(producer, topic, 0, partition=1))
    for who, stranger in strangers(producer).items():
        if stranger.producer_id >= 0:
            ask_settled(stage, who, send(stranger, topic, 1, partition=1))
    stage.ask("producers", describe_producers((topic.name, [0, 1])))


@scenario(ProduceRequest)
def batches_after_the_end(stage: Stage) -> None:
    """A batch that is late finds its transaction gone."""
    classic = stage.version <= CLASSIC_PRODUCE
    topic = stage.topic("t")
    for commit in (True, False):
        what = "commit" if commit else "abort"
        producer = opened(stage, what)
        sent(stage, producer, topic, classic=classic)
        newer = ended(stage, producer, commit=commit, classic=classic)
        ask_settled(stage, f"after the {what}", send(producer, topic, 1))
        ask_settled(stage, f"the one before the {what} again", send(producer, topic, 0))
        added(stage, newer, topic, 0)
        ask_settled(stage, f"the next after the {what}", send(newer, topic, 1 if classic else 0))
        ask_settled(stage, f"the next but one after the {what}", send(newer, topic, 2 if classic else 1))
    stage.ask("the end", list_offsets(topic, isolation_level=0), version=8)
    stage.ask("the stable end", list_offsets(topic, isolation_level=1), version=8)


@scenario(ProduceRequest)
def sequences_in_a_transaction(stage: Stage) -> None:
    """The first batch of a producer that the partition does not know."""
    topic = stage.topic("t", 4)
    for partition, sequence in enumerate((0, 1, 5, 0x7FFF_FFFF)):
        producer = opened(stage, f"tx{partition}")
        added(stage, producer, topic, partition)
        ask_settled(stage, f"sequence {sequence}", send(producer, topic, sequence, partition=partition))


@scenario(ProduceRequest)
def many_partitions_of_a_transaction(stage: Stage) -> None:
    topic, producer = stage.topic("t", 4), opened(stage)
    added(stage, producer, topic, 0, 1, 2)
    records = [(index, transactional(producer)) for index in range(3)]
    request = produce_to([(topic, records)], transactional_id=producer.transactional_id)
    ask_settled(stage, "three", request)
    records = [(index, transactional(producer, 1)) for index in (0, 7)]
    ask_settled(stage, "one that is not there", produce_to(
        [(topic, records)], transactional_id=producer.transactional_id
    ))  # fmt: skip
    records = [
        (3, transactional(producer)),
        (0, batch(producer_id=new_producer(stage), producer_epoch=0, base_sequence=0)),
    ]
    ask_settled(stage, "two producers in one", produce_to(
        [(topic, records)], transactional_id=producer.transactional_id
    ))  # fmt: skip


def interleaved(stage: Stage, topic: Topic) -> Producer:
    """Transactions that were committed, aborted, and one that is open, with plain records between them."""
    first, second, third = (opened(stage, short) for short in ("first", "second", "third"))
    sent(stage, first, topic, 0, 2)  # 0-1
    stage.arrange(produce(topic, batch()))  # 2
    sent(stage, second, topic, 0)  # 3
    sent(stage, first, topic, 2)  # 4
    first = ended(stage, first, commit=False)  # 5
    sent(stage, second, topic, 1)  # 6
    second = ended(stage, second)  # 7
    stage.arrange(produce(topic, batch(2)))  # 8-9
    sent(stage, second, topic, 0)  # 10
    second = ended(stage, second, commit=False)  # 11
    sent(stage, third, topic, 0)  # 12
    sent(stage, first, topic, 0)  # 13
    ended(stage, first)  # 14
    stage.arrange(produce(topic, batch()))  # 15
    return third


@scenario(FetchRequest)
def committed_records(stage: Stage) -> None:
    """Up to the first open transaction, and which of them were aborted."""
    topic = stage.topic("t")
    third = interleaved(stage, topic)
    for offset in (0, 1, 3, 5, 6, 8, 10, 11, 12, 13, 15, 16, 17):
        stage.ask(f"committed from {offset}", fetch(topic, offset, isolation_level=1))
    for offset in (0, 5, 12, 16):
        stage.ask(f"uncommitted from {offset}", fetch(topic, offset))
    for size in (1, 100, 200, 300, 400, 600):
        stage.ask(f"committed, {size} bytes", fetch(topic, 0, isolation_level=1, partition_max_bytes=size))
    ended(stage, third, commit=False)
    for offset in (0, 8, 12, 13, 14, 16):
        stage.ask(f"committed from {offset}, all ended", fetch(topic, offset, isolation_level=1))


@scenario(FetchRequest)
def committed_records_after_deletion(stage: Stage) -> None:
    """DeleteRecords into the midst of a transaction."""
    topic = stage.topic("t")
    third = interleaved(stage, topic)
    stage.arrange(delete_records(topic, 4))
    for offset in (3, 4, 5):
        stage.ask(f"from {offset}", fetch(topic, offset, isolation_level=1))
    stage.ask("beyond the open one", delete_records(topic, 14))
    stage.ask("from 12", fetch(topic, 12, isolation_level=1))
    stage.ask("from 14", fetch(topic, 14, isolation_level=1))
    stage.ask("producers", describe_producers((topic.name, [0])))
    ended(stage, third)
    stage.ask("from 14, ended", fetch(topic, 14, isolation_level=1))


@scenario(ListOffsetsRequest, since=2)
def ends_of_what_is_committed(stage: Stage) -> None:
    topic = stage.topic("t")
    third = interleaved(stage, topic)
    timestamps = {"latest": LATEST, "earliest": -2, "a time": A_TIME, "after all": A_TIME + 1000, "within": A_TIME + 1}
    if stage.version >= 7:
        timestamps["the largest"] = LARGEST

    def ask_all(when: str) -> None:
        for step, timestamp in timestamps.items():
            for level in (0, 1):
                asked = list_offsets(topic, timestamp, isolation_level=level)
                stage.ask(f"{when}: {step}, level {level}", asked)

    ask_all("open")
    ended(stage, third, commit=False)
    ask_all("ended")


@scenario(ListOffsetsRequest, since=2)
def ends_above_the_stable_one(stage: Stage) -> None:
    """A time that only records of an open transaction have."""
    topic = stage.topic("t")
    producer = opened(stage)
    stage.arrange(produce(topic, batch()))
    sent(stage, producer, topic, 0, 5)
    for timestamp in (A_TIME, A_TIME + 1, A_TIME + 3, A_TIME + 9, LATEST):
        for level in (0, 1):
            stage.ask(f"{timestamp}, level {level}", list_offsets(topic, timestamp, isolation_level=level))
    ended(stage, producer)
    for timestamp in (A_TIME + 3, LATEST):
        stage.ask(f"{timestamp}, committed", list_offsets(topic, timestamp, isolation_level=1))
