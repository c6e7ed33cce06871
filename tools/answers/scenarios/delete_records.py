"""DeleteRecords: moving the start of a log forward."""

from __future__ import annotations

from kproto.messages.delete_records import DeleteRecordsPartition, DeleteRecordsRequest, DeleteRecordsTopic
from tools.answers.requests import batch, delete_records, fetch, list_offsets, produce, unknown_topic
from tools.answers.scenario import scenario
from tools.answers.stage import Stage, Topic


@scenario(DeleteRecordsRequest)
def offsets(stage: Stage) -> None:
    topic = stage.topic("t")
    for offset in (0, -1, 1, -2):
        stage.ask(f"{offset} of an empty log", delete_records(topic, offset))
    for _ in range(4):
        stage.arrange(produce(topic, batch(3)))
    for number, offset in enumerate((0, 2, 2, 1, 3, 13, -2, -1 << 40, 1 << 40), 1):
        stage.ask(f"{number}: below {offset}", delete_records(topic, offset))
        stage.ask(f"{number}: the start", list_offsets(topic, -2))
    stage.ask("up to the end by number", delete_records(topic, 12))
    stage.ask("reading before it", fetch(topic, 11))
    stage.ask("all", delete_records(topic, -1))
    stage.ask("again all", delete_records(topic, -1))
    stage.ask("written after", produce(topic, batch(1)))
    stage.ask("reading it", fetch(topic, 12))
    stage.ask("all once more", delete_records(topic, -1))


@scenario(DeleteRecordsRequest)
def places(stage: Stage) -> None:
    topic, nothing = stage.topic("t", 2), unknown_topic(stage)
    stage.arrange(produce(topic, batch(3)))
    stage.ask("unknown topic", delete_records(nothing, 0))
    stage.ask("unknown partition", delete_records(topic, 0, partition=2))
    stage.ask("negative partition", delete_records(topic, 0, partition=-1))
    stage.ask("an empty name", delete_records(Topic("", b""), 0))
    stage.ask("an internal topic", delete_records(Topic("__consumer_offsets", b""), -1))
    stage.ask("nowhere", DeleteRecordsRequest(timeout_ms=1000))
    stage.ask("no partitions", DeleteRecordsRequest(topics=[DeleteRecordsTopic(name=topic.name)], timeout_ms=1000))

    def asked(*pairs: tuple[int, int]) -> list[DeleteRecordsPartition]:
        return [DeleteRecordsPartition(partition_index=index, offset=offset) for index, offset in pairs]

    stage.ask(
        "good and bad",
        DeleteRecordsRequest(
            timeout_ms=1000,
            topics=[
                DeleteRecordsTopic(name=topic.name, partitions=asked((0, 2), (7, 0), (1, 0))),
                DeleteRecordsTopic(name=nothing.name, partitions=asked((0, 0))),
            ],
        ),
    )
    stage.ask(
        "no time",
        DeleteRecordsRequest(timeout_ms=0, topics=[DeleteRecordsTopic(name=topic.name, partitions=asked((0, 3)))]),
    )


@scenario(DeleteRecordsRequest)
def compacted_topics(stage: Stage) -> None:
    """Where nothing may be deleted: the policy must have `delete` in it."""
    for policy in ("compact", "compact,delete", "delete"):
        topic = stage.topic(policy.replace(",", "-"), cleanup_policy=policy)
        stage.arrange(produce(topic, batch(3)))
        stage.ask(policy, delete_records(topic, 2))
