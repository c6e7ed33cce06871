"""AddPartitionsToTxn, AddOffsetsToTxn, EndTxn: what belongs to a transaction, and how it ends."""

from __future__ import annotations

from kproto.messages.add_offsets_to_txn import AddOffsetsToTxnRequest
from kproto.messages.add_partitions_to_txn import AddPartitionsToTxnRequest
from kproto.messages.end_txn import EndTxnRequest
from tools.answers.requests import unknown_topic
from tools.answers.scenario import scenario
from tools.answers.stage import Stage, Topic
from tools.answers.transaction_requests import (
    CLASSIC_PRODUCE,
    Producer,
    add_for_many,
    add_offsets,
    add_partitions,
    ask_described,
    ask_settled,
    end,
    ended,
    opened,
    send,
    sent,
    settled,
    transaction,
)


def strangers(producer: Producer) -> dict[str, Producer]:
    """Producers that are not who they say they are."""
    return {
        "an older epoch": producer._replace(producer_epoch=producer.producer_epoch - 1),
        "a newer epoch": producer._replace(producer_epoch=producer.producer_epoch + 1),
        "another producer id": producer._replace(producer_id=1 << 50),
        "an unknown transactional id": producer._replace(transactional_id=f"{producer.transactional_id}-unknown"),
        "an empty transactional id": producer._replace(transactional_id=""),
        "no producer id": producer._replace(producer_id=-1, producer_epoch=-1),
    }


@scenario(AddPartitionsToTxnRequest)
def adding_partitions(stage: Stage) -> None:
    version = stage.version
    topic, other, nothing = stage.topic("t", 3), stage.topic("o"), unknown_topic(stage)
    opened(stage)
    producer = opened(stage)
    stage.ask("one", add_partitions(version, producer, (topic, [0])))
    stage.ask("the same again", add_partitions(version, producer, (topic, [0])))
    stage.ask("two more", add_partitions(version, producer, (topic, [1]), (other, [0])))
    stage.ask("one twice", add_partitions(version, producer, (topic, [1, 1])))
    stage.ask("no topics", add_partitions(version, producer))
    stage.ask("no partitions", add_partitions(version, producer, (topic, [])))
    stage.ask("an unknown topic", add_partitions(version, producer, (nothing, [0])))
    stage.ask("an unknown partition", add_partitions(version, producer, (topic, [3])))
    stage.ask("a negative partition", add_partitions(version, producer, (topic, [-1])))
    stage.ask("good and bad", add_partitions(version, producer, (topic, [2, 7]), (nothing, [0])))
    stage.ask("an empty name", add_partitions(version, producer, (Topic("", bytes(16)), [0])))
    for name in ("__consumer_offsets", "__transaction_state", "__cluster_metadata"):
        stage.ask(f"the internal topic {name}", add_partitions(version, producer, (Topic(name, bytes(16)), [0])))
    ask_described(stage, "described", producer.transactional_id)
    for who, stranger in strangers(producer).items():
        stage.ask(who, add_partitions(version, stranger, (topic, [0])))


@scenario(AddPartitionsToTxnRequest)
def adding_partitions_again(stage: Stage) -> None:
    """After the end of a transaction the next one begins with its first partition."""
    version, topic = stage.version, stage.topic("t", 2)
    producer = opened(stage)
    ask_described(stage, "before anything", producer.transactional_id)
    for round_number in range(3):
        ask_settled(stage, f"add {round_number}", add_partitions(version, producer, (topic, [round_number % 2])))
        ask_described(stage, f"ongoing {round_number}", producer.transactional_id)
        producer = ended(stage, producer, commit=round_number != 1, classic=version < 4)
        ask_described(stage, f"ended {round_number}", producer.transactional_id)


@scenario(AddPartitionsToTxnRequest, since=4)
def many_transactions_at_once(stage: Stage) -> None:
    """As brokers ask each other (KIP-890); a request without any Kafka does not answer."""
    topic = stage.topic("t", 2)
    one, other = opened(stage, "one"), opened(stage, "other")
    stage.ask("two", add_for_many(transaction(one, (topic, [0])), transaction(other, (topic, [1]))))
    stage.ask("one twice", add_for_many(transaction(one, (topic, [0])), transaction(one, (topic, [1]))))
    stage.ask(
        "one good, one fenced",
        add_for_many(transaction(one, (topic, [0])), transaction(other._replace(producer_epoch=7), (topic, [0]))),
    )
    ask_described(stage, "both, described", one.transactional_id, other.transactional_id)


@scenario(AddPartitionsToTxnRequest, since=4)
def verifying(stage: Stage) -> None:
    """`verify_only` adds nothing: it asks whether a partition belongs to the transaction."""
    topic = stage.topic("t", 3)
    producer = opened(stage)

    def verified(step: str, who: Producer, *partitions: int) -> None:
        ask_settled(stage, step, add_for_many(transaction(who, (topic, list(partitions)), verify_only=True)))

    verified("before anything", producer, 0)
    settled(stage, add_partitions(3, producer, (topic, [0, 1])), version=3)
    verified("one that belongs", producer, 0)
    verified("two that belong", producer, 0, 1)
    verified("one that does not", producer, 2)
    verified("one that does, one that does not", producer, 1, 2)
    verified("one that is not there", producer, 9)
    verified("nothing", producer)
    for who, stranger in strangers(producer).items():
        verified(who, stranger, 0)
    mixed = add_for_many(
        transaction(producer, (topic, [0]), verify_only=True),
        transaction(opened(stage, "other"), (topic, [2])),
    )
    stage.ask("one verified, one added", mixed)
    ended(stage, producer, classic=True)
    verified("after the end", producer, 0)


@scenario(AddOffsetsToTxnRequest)
def adding_offsets(stage: Stage) -> None:
    opened(stage)
    producer, group = opened(stage), stage.name("g")
    stage.ask("a group", add_offsets(producer, group))
    stage.ask("the same again", add_offsets(producer, group))
    stage.ask("an empty group", add_offsets(producer, ""))
    for who, stranger in strangers(producer).items():
        stage.ask(who, add_offsets(stranger, group))
    ended(stage, producer, classic=True)
    ask_settled(stage, "after the end", add_offsets(producer, group))


@scenario(EndTxnRequest)
def ending_nothing(stage: Stage) -> None:
    """Before the first transaction, and after the last one."""
    opened(stage)
    producer = opened(stage)
    ask_settled(stage, "commit", end(producer))
    ask_settled(stage, "abort", end(producer, commit=False))
    ask_described(stage, "described", producer.transactional_id)
    for who, stranger in strangers(producer).items():
        stage.ask(who, end(stranger))


@scenario(EndTxnRequest)
def ending_again(stage: Stage) -> None:
    """A retry of the same decision is a success, the other decision is an error, at every point."""
    topic, version = stage.topic("t"), stage.version
    for commit in (True, False):
        what = "commit" if commit else "abort"
        producer = opened(stage, what)
        sent(stage, producer, topic, classic=version < 5)
        for who, stranger in strangers(producer).items():
            stage.ask(f"{what} by {who}", end(stranger, commit=commit))
        reply = ask_settled(stage, what, end(producer, commit=commit))
        newer = producer
        if version >= 5:
            newer = producer._replace(producer_id=reply.producer_id, producer_epoch=reply.producer_epoch)
        ask_settled(stage, f"{what} again", end(producer, commit=commit))
        ask_settled(stage, f"not {what}", end(producer, commit=not commit))
        ask_settled(stage, f"{what} in the next epoch", end(newer, commit=commit))
        ask_settled(stage, f"not {what} in the next epoch", end(newer, commit=not commit))
        ask_described(stage, f"{what}, described", producer.transactional_id)


@scenario(EndTxnRequest)
def ending_many(stage: Stage) -> None:
    """Transactions of one producer, one after another."""
    topic, classic = stage.topic("t", 4), stage.version < 5
    producer = opened(stage)
    for number in range(4):
        for partition in range(number + 1):
            # A newer epoch begins each partition at sequence 0 again.
            sequence = max(0, number - partition) if classic else 0
            sent(stage, producer, topic, sequence, partition=partition, classic=classic)
        reply = ask_settled(stage, f"end {number}", end(producer, commit=number % 2 == 0))
        if not classic:
            producer = producer._replace(producer_id=reply.producer_id, producer_epoch=reply.producer_epoch)
        ask_described(stage, f"described {number}", producer.transactional_id)


@scenario(EndTxnRequest)
def a_fenced_producer(stage: Stage) -> None:
    """A producer that starts later with the same id has fenced it."""
    topic, classic = stage.topic("t"), stage.version < 5
    producer = opened(stage)
    sent(stage, producer, topic, classic=classic)
    newer = opened(stage)
    stage.ask("commit", end(producer))
    stage.ask("abort", end(producer, commit=False))
    stage.ask("send", send(producer, topic, 1))
    stage.ask("send, as it was done before", send(producer, topic, 1), version=CLASSIC_PRODUCE)
    stage.ask("offsets", add_offsets(producer, stage.name("g")))
    stage.ask("the newer one commits nothing", end(newer))
    ask_described(stage, "described", producer.transactional_id)


@scenario(EndTxnRequest)
def the_other_dialect(stage: Stage) -> None:
    """A transaction begun as older clients do and ended as newer ones do, and the other way round."""
    topic, classic = stage.topic("t"), stage.version >= 5
    producer = opened(stage)
    sent(stage, producer, topic, classic=classic)
    ask_settled(stage, "commit", end(producer))
    ask_settled(stage, "commit again", end(producer))
    ask_described(stage, "described", producer.transactional_id)


@scenario(EndTxnRequest)
def only_offsets(stage: Stage) -> None:
    """A transaction may have no partition but that of a group's offsets."""
    producer, group = opened(stage), stage.name("g")
    settled(stage, add_offsets(producer, group), version=4)
    ask_settled(stage, "commit", end(producer))
    ask_settled(stage, "commit again", end(producer))
