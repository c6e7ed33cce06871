"""WriteTxnMarkers and DescribeProducers: how a transaction ends in a partition, and who writes there."""

from __future__ import annotations

from kproto.messages.describe_producers import DescribeProducersRequest
from kproto.messages.write_txn_markers import WriteTxnMarkersRequest
from tools.answers.group_requests import fetch_offsets
from tools.answers.requests import batch, fetch, new_producer, produce, unknown_topic
from tools.answers.scenario import scenario
from tools.answers.stage import Stage
from tools.answers.transaction_requests import (
    commit_offsets,
    describe_producers,
    ended,
    marker,
    opened,
    sent,
    settled,
    write_markers,
)


@scenario(WriteTxnMarkersRequest)
def markers(stage: Stage) -> None:
    """They may come from outside too: an administrator ends a transaction that hangs."""
    version = 0 if stage.version < 2 else 2
    topic, nothing = stage.topic("t", 3), unknown_topic(stage)
    producer = opened(stage)
    for partition in range(3):
        sent(stage, producer, topic, partition=partition)
    newer = producer._replace(producer_epoch=producer.producer_epoch + 1)
    stage.ask("none", write_markers())
    stage.ask("nowhere", write_markers(marker(newer, version=version)))
    stage.ask("no partitions", write_markers(marker(newer, (topic.name, []), version=version)))
    stage.ask("the producer's own epoch", write_markers(marker(producer, (topic.name, [0]), version=version)))
    stage.ask("the next epoch", write_markers(marker(newer, (topic.name, [1]), version=version)))
    stage.ask("the same again", write_markers(marker(newer, (topic.name, [1]), version=version)))
    stage.ask("an older epoch", write_markers(marker(producer, (topic.name, [1]), version=version)))
    stage.ask("an abort", write_markers(marker(newer, (topic.name, [2]), commit=False, version=version)))
    stage.ask("an unknown topic", write_markers(marker(newer, (nothing.name, [0]), version=version)))
    stage.ask("an unknown partition", write_markers(marker(newer, (topic.name, [0, 9]), version=version)))
    stranger = newer._replace(producer_id=1 << 50)
    stage.ask("an unknown producer", write_markers(marker(stranger, (topic.name, [0]), version=version)))
    stage.ask(
        "two at once",
        write_markers(
            marker(newer._replace(producer_epoch=5), (topic.name, [0, 1]), version=version),
            marker(stranger._replace(producer_epoch=3), (topic.name, [2]), commit=False, version=version),
        ),
    )
    stage.ask("from an old coordinator", write_markers(
        marker(newer._replace(producer_epoch=6), (topic.name, [0]), coordinator_epoch=-1, version=version)
    ))  # fmt: skip
    stage.ask("from a new coordinator", write_markers(
        marker(newer._replace(producer_epoch=7), (topic.name, [0]), coordinator_epoch=9, version=version)
    ))  # fmt: skip
    stage.ask("from the one before", write_markers(
        marker(newer._replace(producer_epoch=8), (topic.name, [0]), coordinator_epoch=8, version=version)
    ))  # fmt: skip
    for partition in range(3):
        stage.ask(f"what is in {partition}", fetch(topic, partition=partition))
        stage.ask(f"committed in {partition}", fetch(topic, partition=partition, isolation_level=1))
        stage.ask(f"producers of {partition}", describe_producers((topic.name, [partition])))


@scenario(WriteTxnMarkersRequest)
def markers_of_offsets(stage: Stage) -> None:
    """In __consumer_offsets they end what was pending."""
    topic, group = stage.topic("t"), stage.name("g")
    producer = opened(stage)
    settled(stage, commit_offsets(producer, group, topic, 5))
    newer = producer._replace(producer_epoch=producer.producer_epoch + 1)
    partitions = list(range(50))  # the group's is one of them, and the others have nothing that could end
    reply = stage.arrange(write_markers(marker(newer, ("__consumer_offsets", partitions), version=2)))
    stage.write_down("errors", sorted({part.error_code for part in reply.markers[0].topics[0].partitions}))
    stage.ask_until(
        "what is committed", fetch_offsets(8, group, (topic, [0]), require_stable=True),
        lambda found: found.groups[0].topics[0].partitions[0].error_code == 0, version=8,
    )  # fmt: skip


@scenario(DescribeProducersRequest)
def producers(stage: Stage) -> None:
    topic, nothing = stage.topic("t", 2), unknown_topic(stage)
    stage.ask("none yet", describe_producers((topic.name, [0, 1])))
    stage.ask("nothing", describe_producers())
    stage.ask("no partitions", describe_producers((topic.name, [])))
    stage.ask("an unknown topic", describe_producers((nothing.name, [0])))
    stage.ask("an unknown partition", describe_producers((topic.name, [2])))
    stage.ask("a negative partition", describe_producers((topic.name, [-1])))
    stage.ask("good and bad", describe_producers((topic.name, [0, 7]), (nothing.name, [0])))
    stage.ask("the same twice", describe_producers((topic.name, [0, 0])))
    stage.ask("an empty name", describe_producers(("", [0])))
    plain = new_producer(stage)
    stage.arrange(produce(topic, batch(3, producer_id=plain, producer_epoch=0, base_sequence=0)))
    stage.ask("an idempotent one", describe_producers((topic.name, [0])))
    producer = opened(stage)
    sent(stage, producer, topic, 0, 2)
    stage.ask("and one in a transaction", describe_producers((topic.name, [0, 1])))
    sent(stage, producer, topic, 2)
    stage.ask("which goes on", describe_producers((topic.name, [0])))
    newer = ended(stage, producer)
    stage.ask("and has committed", describe_producers((topic.name, [0])))
    sent(stage, newer, topic)
    stage.ask("and begins again", describe_producers((topic.name, [0])))
    ended(stage, newer, commit=False)
    stage.ask("and has aborted", describe_producers((topic.name, [0])))


@scenario(DescribeProducersRequest)
def classic_producers(stage: Stage) -> None:
    topic, producer = stage.topic("t"), opened(stage)
    for number in range(3):
        sent(stage, producer, topic, number, classic=True)
        stage.ask(f"open {number}", describe_producers((topic.name, [0])))
        ended(stage, producer, commit=number != 1, classic=True)
        stage.ask(f"ended {number}", describe_producers((topic.name, [0])))
