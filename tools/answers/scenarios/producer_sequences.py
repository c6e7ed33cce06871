"""Idempotent producers: sequences and epochs, in order and out of it."""

from __future__ import annotations

from kproto.messages.produce import ProduceRequest
from tools.answers.requests import batch, list_offsets, new_producer, produce
from tools.answers.scenario import scenario
from tools.answers.stage import Stage

LAST = 0x7FFF_FFFF


def by(producer: int, epoch: int, sequence: int, count: int = 1) -> bytearray:
    """A batch of an idempotent producer."""
    return batch(count, producer_id=producer, producer_epoch=epoch, base_sequence=sequence)


@scenario(ProduceRequest)
def in_order(stage: Stage) -> None:
    topic, producer = stage.topic("t"), new_producer(stage)
    stage.ask("first", produce(topic, by(producer, 0, 0, 3)))
    stage.ask("second", produce(topic, by(producer, 0, 3, 2)))
    stage.ask("the first again", produce(topic, by(producer, 0, 0, 3)))
    stage.ask("the second again", produce(topic, by(producer, 0, 3, 2)))
    stage.ask("the second, one longer", produce(topic, by(producer, 0, 3, 3)))
    stage.ask("a part of the first", produce(topic, by(producer, 0, 1, 1)))
    stage.ask("the tail of the first", produce(topic, by(producer, 0, 1, 2)))
    stage.ask("a gap", produce(topic, by(producer, 0, 7)))
    stage.ask("after the gap", produce(topic, by(producer, 0, 5)))
    stage.ask("the end", list_offsets(topic))


@scenario(ProduceRequest)
def old_duplicates(stage: Stage) -> None:
    """The last five batches are remembered, no more."""
    topic, producer = stage.topic("t"), new_producer(stage)
    for sequence in range(7):
        stage.arrange(produce(topic, by(producer, 0, sequence)))
    for sequence in reversed(range(7)):
        stage.ask(f"{sequence} again", produce(topic, by(producer, 0, sequence)))
    stage.ask("eighth", produce(topic, by(producer, 0, 7)))
    stage.ask("the end", list_offsets(topic))


@scenario(ProduceRequest)
def unknown_producers(stage: Stage) -> None:
    topic = stage.topic("t")
    stage.ask("in the middle", produce(topic, by(new_producer(stage), 0, 5)))
    stage.ask("at the last sequence", produce(topic, by(new_producer(stage), 0, LAST)))
    stage.ask("a later epoch", produce(topic, by(new_producer(stage), 7, 0)))
    stage.ask("a later epoch in the middle", produce(topic, by(new_producer(stage), 7, 3)))
    stage.ask("never given out", produce(topic, by(1 << 60, 0, 0)))
    stage.ask("the last epoch", produce(topic, by(new_producer(stage), 32767, 0)))
    stage.ask("the end", list_offsets(topic))


@scenario(ProduceRequest)
def epochs(stage: Stage) -> None:
    topic, producer = stage.topic("t"), new_producer(stage)
    stage.ask("epoch 3", produce(topic, by(producer, 3, 0, 2)))
    stage.ask("epoch 2", produce(topic, by(producer, 2, 2)))
    stage.ask("epoch 2 from zero", produce(topic, by(producer, 2, 0)))
    stage.ask("epoch 4 in the middle", produce(topic, by(producer, 4, 2)))
    stage.ask("epoch 3 goes on", produce(topic, by(producer, 3, 2)))
    stage.ask("epoch 4 from zero", produce(topic, by(producer, 4, 0)))
    stage.ask("epoch 3 goes on no more", produce(topic, by(producer, 3, 3)))
    stage.ask("epoch 3's first again", produce(topic, by(producer, 3, 0, 2)))
    stage.ask("epoch 4 again", produce(topic, by(producer, 4, 0)))
    stage.ask("epoch 6 from zero", produce(topic, by(producer, 6, 0)))
    stage.ask("the end", list_offsets(topic))


@scenario(ProduceRequest)
def wrapping(stage: Stage) -> None:
    """After the last sequence comes zero, also within a batch."""
    topic, producer = stage.topic("t"), new_producer(stage)
    stage.ask("near the end, unknown", produce(topic, by(producer, 0, LAST - 1, 2)))
    stage.ask("the wrap", produce(topic, by(producer, 0, 0)))
    other = new_producer(stage)
    stage.ask("a batch over the end, unknown", produce(topic, by(other, 0, LAST - 1, 4)))
    stage.ask("goes on", produce(topic, by(other, 0, 2)))
    stage.ask("the one over the end again", produce(topic, by(other, 0, LAST - 1, 4)))
    stage.ask("goes on again", produce(topic, by(other, 0, 2)))
    stage.ask("the end", list_offsets(topic))


@scenario(ProduceRequest)
def two_partitions(stage: Stage) -> None:
    """Each partition counts for itself."""
    topic, producer = stage.topic("t", 2), new_producer(stage)
    stage.ask("one", produce(topic, by(producer, 0, 0)))
    stage.ask("other in the middle", produce(topic, by(producer, 0, 1), partition=1))
    stage.ask("other from zero", produce(topic, by(producer, 0, 0), partition=1))
    stage.ask("one goes on", produce(topic, by(producer, 0, 1)))
    stage.ask("a later epoch on one", produce(topic, by(producer, 1, 0)))
    stage.ask("the earlier epoch on the other", produce(topic, by(producer, 0, 1), partition=1))


@scenario(ProduceRequest)
def plain_between(stage: Stage) -> None:
    """Batches without a producer do not disturb one."""
    topic, producer = stage.topic("t"), new_producer(stage)
    stage.ask("idempotent", produce(topic, by(producer, 0, 0)))
    stage.ask("plain", produce(topic, batch()))
    stage.ask("idempotent again", produce(topic, by(producer, 0, 1)))
    stage.ask("the first again", produce(topic, by(producer, 0, 0)))
