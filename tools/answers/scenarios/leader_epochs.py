"""OffsetForLeaderEpoch: where the log of an epoch ends."""

from __future__ import annotations

from typing import Any

from kproto.messages.offset_for_leader_epoch import (
    OffsetForLeaderEpochRequest,
    OffsetForLeaderPartition,
    OffsetForLeaderTopic,
)
from tools.answers.requests import batch, delete_records, produce, unknown_topic
from tools.answers.scenario import scenario
from tools.answers.stage import Stage, Topic


def end_of(topic: Topic, epoch: int, *, partition: int = 0, current: int = -1, **fields: Any) -> Any:
    """Ask where an epoch ends."""
    asked = OffsetForLeaderPartition(partition=partition, current_leader_epoch=current, leader_epoch=epoch)
    return OffsetForLeaderEpochRequest(topics=[OffsetForLeaderTopic(topic=topic.name, partitions=[asked])], **fields)


@scenario(OffsetForLeaderEpochRequest)
def epochs(stage: Stage) -> None:
    topic = stage.topic("t")
    for epoch in (-2, -1, 0, 1, 7):
        stage.ask(f"epoch {epoch} of an empty log", end_of(topic, epoch))
    stage.arrange(produce(topic, batch(3)))
    for epoch in (-2, -1, 0, 1, 7):
        stage.ask(f"epoch {epoch}", end_of(topic, epoch))
        for current in (-2, 0, 1, 5):
            stage.ask(f"epoch {epoch}, current {current}", end_of(topic, epoch, current=current))
    stage.arrange(delete_records(topic, 2))
    stage.ask("after a deletion", end_of(topic, 0))
    stage.arrange(delete_records(topic, -1))
    stage.ask("after deleting all", end_of(topic, 0))


@scenario(OffsetForLeaderEpochRequest)
def places(stage: Stage) -> None:
    topic, nothing = stage.topic("t", 2), unknown_topic(stage)
    stage.ask("unknown topic", end_of(nothing, 0))
    stage.ask("unknown partition", end_of(topic, 0, partition=2))
    stage.ask("negative partition", end_of(topic, 0, partition=-1))
    stage.ask("an empty name", end_of(Topic("", b""), 0))
    stage.ask("nowhere", OffsetForLeaderEpochRequest())
    stage.ask("no partitions", OffsetForLeaderEpochRequest(topics=[OffsetForLeaderTopic(topic=topic.name)]))
    both = [OffsetForLeaderPartition(partition=each, leader_epoch=0) for each in (1, 4, 0)]
    stage.ask(
        "good and bad",
        OffsetForLeaderEpochRequest(
            topics=[
                OffsetForLeaderTopic(topic=topic.name, partitions=both),
                OffsetForLeaderTopic(topic=nothing.name, partitions=both[:1]),
            ]
        ),
    )


@scenario(OffsetForLeaderEpochRequest, since=3)
def replicas(stage: Stage) -> None:
    topic = stage.topic("t")
    stage.arrange(produce(topic, batch(3)))
    for replica in (-3, -2, -1, 0, 1, 9):
        stage.ask(f"replica {replica}", end_of(topic, 0, replica_id=replica))
