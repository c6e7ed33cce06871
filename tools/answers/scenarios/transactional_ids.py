"""InitProducerId and FindCoordinator for transactions: who holds a transactional id, and who held it before."""

from __future__ import annotations

from typing import Any

from kproto.messages.find_coordinator import FindCoordinatorRequest
from kproto.messages.init_producer_id import InitProducerIdRequest
from tools.answers.scenario import scenario
from tools.answers.stage import Stage
from tools.answers.transaction_requests import (
    Producer,
    add_partitions,
    ask_described,
    ask_settled,
    end,
    ended,
    init,
    opened,
    send,
    sent,
)


@scenario(FindCoordinatorRequest, since=1)
def transactions(stage: Stage) -> None:
    def asked(key: str) -> FindCoordinatorRequest:
        if stage.version < 4:
            return FindCoordinatorRequest(key=key, key_type=1)
        return FindCoordinatorRequest(coordinator_keys=[key], key_type=1)

    stage.ask("an id", asked(stage.name("tx")))
    stage.ask("an empty id", asked(""))
    stage.ask("strange characters", asked("what is\nthis \u00e4?"))
    if stage.version >= 4:
        stage.ask("two", FindCoordinatorRequest(coordinator_keys=["a", "b"], key_type=1))
        stage.ask("one empty", FindCoordinatorRequest(coordinator_keys=["a", ""], key_type=1))


@scenario(InitProducerIdRequest)
def one_after_another(stage: Stage) -> None:
    """Each start of a producer with the same id gets the same producer id and the next epoch."""
    name = stage.name("tx")
    for step in ("first", "second", "third"):
        stage.ask(step, init(name))
    stage.ask("another id", init(stage.name("other")))
    stage.ask("another time-out", init(name, timeout=1000))
    ask_described(stage, "described", name)


@scenario(InitProducerIdRequest)
def time_outs(stage: Stage) -> None:
    for timeout in (0, -1, 1, 900_000, 900_001, 0x7FFF_FFFF):
        stage.ask(f"{timeout} ms", init(stage.name(f"tx{timeout}"), timeout=timeout))


@scenario(InitProducerIdRequest)
def over_an_open_transaction(stage: Stage) -> None:
    """It is aborted first, and the producer that had begun it is fenced."""
    topic = stage.topic("t")
    producer = opened(stage)
    sent(stage, producer, topic)
    stage.ask("at first", init(producer.transactional_id))
    reply = ask_settled(stage, "then", init(producer.transactional_id))
    stage.ask("the old one commits", end(producer))
    stage.ask("the old one aborts", end(producer, commit=False))
    stage.ask("the old one sends", send(producer, topic, 1))
    stage.ask("the old one adds", add_partitions(3, producer, (topic, [0])), version=3)
    newer = Producer(producer.transactional_id, reply.producer_id, reply.producer_epoch)
    sent(stage, newer, topic)
    ask_settled(stage, "the new one commits", end(newer))
    ask_described(stage, "after all, described", producer.transactional_id)


@scenario(InitProducerIdRequest)
def over_an_ended_transaction(stage: Stage) -> None:
    topic = stage.topic("t")
    for commit in (True, False):
        producer = opened(stage, f"tx{commit}")
        sent(stage, producer, topic)
        newer = ended(stage, producer, commit=commit)
        what = "committed" if commit else "aborted"
        ask_settled(stage, f"after it was {what}", init(producer.transactional_id))
        stage.ask(f"{what}: the one before ends again", end(newer))
        stage.ask(f"{what}: the one before that ends again", end(producer))


@scenario(InitProducerIdRequest)
def over_a_classic_transaction(stage: Stage) -> None:
    """Of a client that adds its partitions itself, and keeps its epoch."""
    topic = stage.topic("t")
    producer = opened(stage)
    sent(stage, producer, topic, classic=True)
    ended(stage, producer, classic=True)
    sent(stage, producer, topic, 1, classic=True)
    stage.ask("at first", init(producer.transactional_id))
    ask_settled(stage, "then", init(producer.transactional_id))
    stage.ask("the old one commits", end(producer), version=4)
    stage.ask("the old one adds", add_partitions(3, producer, (topic, [0])), version=3)
    ask_described(stage, "described", producer.transactional_id)


@scenario(InitProducerIdRequest, since=3)
def epochs_of_transactional_ids(stage: Stage) -> None:
    """A producer that lost its way bumps its own epoch (KIP-360)."""
    producer = opened(stage)

    def asked(producer: Producer, **fields: Any) -> InitProducerIdRequest:
        numbers: dict[str, Any] = {"producer_id": producer.producer_id, "producer_epoch": producer.producer_epoch}
        return init(producer.transactional_id, **numbers | fields)

    stage.ask("as it is", asked(producer))
    stage.ask("the same again", asked(producer))
    stage.ask("two behind", asked(producer, producer_epoch=producer.producer_epoch - 2))
    stage.ask("far ahead", asked(producer, producer_epoch=1000))
    stage.ask("another producer id", asked(producer, producer_id=1 << 50))
    stage.ask("an id without epoch", asked(producer, producer_epoch=-1))
    stage.ask("an epoch without id", asked(producer, producer_id=-1))
    stage.ask("for an unknown transactional id", init(stage.name("new"), producer_id=1 << 50, producer_epoch=3))
    ask_described(stage, "described", producer.transactional_id)


@scenario(InitProducerIdRequest, since=3)
def epochs_within_a_transaction(stage: Stage) -> None:
    topic = stage.topic("t")
    producer = opened(stage)
    sent(stage, producer, topic)
    numbers: dict[str, Any] = {"producer_id": producer.producer_id, "producer_epoch": producer.producer_epoch}
    stage.ask("a stranger", init(producer.transactional_id, producer_id=1 << 50, producer_epoch=0))
    stage.ask("the producer itself, at first", init(producer.transactional_id, **numbers))
    ask_settled(stage, "then", init(producer.transactional_id, **numbers))
    ask_settled(stage, "and again", init(producer.transactional_id, **numbers))
    ask_described(stage, "described", producer.transactional_id)
    stage.ask("a commit of the old epoch", end(producer))


@scenario(InitProducerIdRequest, since=3)
def epochs_after_a_transaction(stage: Stage) -> None:
    topic = stage.topic("t")
    producer = opened(stage)
    sent(stage, producer, topic)
    newer = ended(stage, producer)
    before: dict[str, Any] = {"producer_id": producer.producer_id, "producer_epoch": producer.producer_epoch}
    now: dict[str, Any] = {"producer_id": newer.producer_id, "producer_epoch": newer.producer_epoch}
    stage.ask("with the epoch before", init(producer.transactional_id, **before))
    stage.ask("with the epoch it has now", init(producer.transactional_id, **now))
    stage.ask("with that once more", init(producer.transactional_id, **now))
    ask_described(stage, "described", producer.transactional_id)
