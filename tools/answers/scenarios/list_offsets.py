"""ListOffsets: special timestamps, real ones, and places that are not there."""

from __future__ import annotations

from kproto.batches.records import build_batch
from kproto.messages.list_offsets import ListOffsetsPartition, ListOffsetsRequest, ListOffsetsTopic
from tools.answers.requests import (
    A_TIME,
    batch,
    delete_records,
    list_offsets,
    produce,
    record,
    unknown_topic,
)
from tools.answers.scenario import scenario
from tools.answers.stage import Stage, Topic

SPECIAL = (-1, -2, -3, -4, -5, -6, -7, -100, -(1 << 63))


@scenario(ListOffsetsRequest)
def special_timestamps(stage: Stage) -> None:
    topic = stage.topic("t")
    for time in SPECIAL:
        stage.ask(f"{time} of an empty partition", list_offsets(topic, time))
    for count in (3, 2):
        stage.arrange(produce(topic, batch(count)))
    for time in SPECIAL:
        stage.ask(f"{time}", list_offsets(topic, time))
    stage.arrange(delete_records(topic, 4))
    for time in SPECIAL:
        stage.ask(f"{time} after a deletion", list_offsets(topic, time))
    stage.arrange(delete_records(topic, -1))
    for time in SPECIAL:
        stage.ask(f"{time} after deleting all", list_offsets(topic, time))


@scenario(ListOffsetsRequest)
def times(stage: Stage) -> None:
    topic = stage.topic("t")
    stage.ask("in an empty partition", list_offsets(topic, A_TIME))
    stage.arrange(produce(topic, batch(3)))
    stage.arrange(produce(topic, batch(3, compression=1)))
    stage.arrange(produce(topic, build_batch([record(time=A_TIME + 50), record(time=A_TIME + 20)])))
    for after in (-1000, -1, 0, 1, 2, 3, 20, 21, 49, 50, 51, 1000):
        stage.ask(f"{after} after", list_offsets(topic, A_TIME + after))
    stage.ask("zero", list_offsets(topic, 0))
    stage.ask("the end of time", list_offsets(topic, (1 << 63) - 1))
    stage.ask("largest", list_offsets(topic, -3))
    stage.arrange(delete_records(topic, 2))
    stage.ask("below the start", list_offsets(topic, A_TIME))


@scenario(ListOffsetsRequest)
def no_times(stage: Stage) -> None:
    """Records may have no timestamp."""
    topic = stage.topic("t")
    stage.arrange(produce(topic, build_batch([record(time=-1)])))
    stage.ask("largest", list_offsets(topic, -3))
    stage.ask("zero", list_offsets(topic, 0))


@scenario(ListOffsetsRequest)
def stamped_by_the_broker(stage: Stage) -> None:
    topic = stage.topic("t", message_timestamp_type="LogAppendTime")
    stage.arrange(produce(topic, batch(3)))
    reply = stage.arrange(list_offsets(topic, -3))
    stage.write_down("offset of the largest", reply.topics[0].partitions[0].offset)
    stage.ask("long ago", list_offsets(topic, (1 << 62)))


@scenario(ListOffsetsRequest)
def places(stage: Stage) -> None:
    topic, nothing = stage.topic("t", 2), unknown_topic(stage)
    for time in (-1, -2, A_TIME):
        stage.ask(f"unknown topic, {time}", list_offsets(nothing, time))
        stage.ask(f"unknown partition, {time}", list_offsets(topic, time, partition=2))
        stage.ask(f"negative partition, {time}", list_offsets(topic, time, partition=-1))
    stage.ask("an empty name", list_offsets(Topic("", b"")))
    stage.ask("a bad name", list_offsets(Topic("what is this?", b"")))
    stage.ask("nowhere", ListOffsetsRequest(replica_id=-1))
    stage.ask("no partitions", ListOffsetsRequest(replica_id=-1, topics=[ListOffsetsTopic(name=topic.name)]))

    def asked(*partitions: int) -> list[ListOffsetsPartition]:
        return [ListOffsetsPartition(partition_index=each, timestamp=-1) for each in partitions]

    stage.ask(
        "a partition twice",
        ListOffsetsRequest(replica_id=-1, topics=[ListOffsetsTopic(name=topic.name, partitions=asked(0, 1, 0))]),
    )
    stage.ask(
        "a topic twice",
        ListOffsetsRequest(
            replica_id=-1,
            topics=[
                ListOffsetsTopic(name=topic.name, partitions=asked(0)),
                ListOffsetsTopic(name=topic.name, partitions=asked(1)),
            ],
        ),
    )
    stage.ask(
        "good and bad",
        ListOffsetsRequest(
            replica_id=-1,
            topics=[
                ListOffsetsTopic(name=topic.name, partitions=asked(1, 5, 0)),
                ListOffsetsTopic(name=nothing.name, partitions=asked(0)),
            ],
        ),
    )


@scenario(ListOffsetsRequest, since=4)
def leader_epochs(stage: Stage) -> None:
    topic = stage.topic("t")
    stage.arrange(produce(topic, batch(3)))
    for epoch in (-2, -1, 0, 1, 5):
        for time in (-1, -2, A_TIME):
            stage.ask(f"{time} in epoch {epoch}", list_offsets(topic, time, current_leader_epoch=epoch))


@scenario(ListOffsetsRequest, since=2)
def isolation_levels(stage: Stage) -> None:
    topic = stage.topic("t")
    stage.arrange(produce(topic, batch(3)))
    for level in (0, 1, 2, -1):
        for time in (-1, -2, A_TIME + 1):
            stage.ask(f"{time} at level {level}", list_offsets(topic, time, isolation_level=level))


@scenario(ListOffsetsRequest)
def replicas(stage: Stage) -> None:
    topic = stage.topic("t")
    stage.arrange(produce(topic, batch(3)))
    for replica in (-3, -2, -1, 0, 1, 9):
        stage.ask(f"replica {replica}", list_offsets(topic, replica_id=replica))


@scenario(ListOffsetsRequest, since=10)
def time_limits(stage: Stage) -> None:
    topic = stage.topic("t")
    stage.arrange(produce(topic, batch(3)))
    for limit in (-1, 0, 1000):
        stage.ask(f"{limit} ms", list_offsets(topic, A_TIME, timeout_ms=limit))
