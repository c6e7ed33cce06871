"""DeleteTopics and CreatePartitions."""

from __future__ import annotations

from kproto.messages.create_partitions import (
    CreatePartitionsAssignment,
    CreatePartitionsRequest,
    CreatePartitionsTopic,
)
from kproto.messages.delete_topics import DeleteTopicsRequest, DeleteTopicState
from kproto.messages.metadata import MetadataRequest, MetadataRequestTopic
from tools.answers.requests import NO_TOPIC_ID, unknown_topic
from tools.answers.scenario import scenario
from tools.answers.stage import Stage, Topic


@scenario(DeleteTopicsRequest)
def deleting(stage: Stage) -> None:
    def named(*names: str) -> DeleteTopicsRequest:
        if stage.version < 6:
            return DeleteTopicsRequest(topic_names=list(names), timeout_ms=10_000)
        return DeleteTopicsRequest(topics=[DeleteTopicState(name=name) for name in names], timeout_ms=10_000)

    one, two, three = (stage.topic(name) for name in ("one", "two", "three"))
    stage.ask("none", named())
    stage.ask("unknown", named(stage.name("unknown")))
    stage.ask("an empty name", named(""))
    stage.ask("a bad name", named("what is this?"))
    stage.ask("one", named(one.name))
    stage.ask("one again", named(one.name))
    stage.ask("the same twice", named(two.name, two.name))
    stage.ask("known, unknown", named(three.name, stage.name("unknown")))
    again = stage.topic("one")
    stage.ask("made again", named(again.name))
    four = stage.topic("four")
    request = named(four.name)
    request.timeout_ms = 0
    stage.ask("no time", request)


@scenario(DeleteTopicsRequest, since=6)
def deleting_by_id(stage: Stage) -> None:
    one, two, nothing = stage.topic("one"), stage.topic("two"), unknown_topic(stage)

    def asked(*topics: tuple[str | None, bytes]) -> DeleteTopicsRequest:
        wanted = [DeleteTopicState(name=name, topic_id=each) for name, each in topics]
        return DeleteTopicsRequest(topics=wanted, timeout_ms=10_000)

    stage.ask("unknown", asked((None, nothing.topic_id)))
    stage.ask("neither name nor id", asked((None, NO_TOPIC_ID)))
    stage.ask("both", asked((one.name, one.topic_id)))
    stage.ask("twice by id", asked((None, two.topic_id), (None, two.topic_id)))
    stage.ask("by name and by id", asked((two.name, NO_TOPIC_ID), (None, two.topic_id)))
    stage.ask("by id", asked((None, one.topic_id)))
    stage.ask("by id again", asked((None, one.topic_id)))


@scenario(CreatePartitionsRequest)
def more_partitions(stage: Stage) -> None:
    topic = stage.topic("t", 2)

    def asked(*topics: tuple[str, int], **fields: bool) -> CreatePartitionsRequest:
        wanted = [CreatePartitionsTopic(name=name, count=count, assignments=None) for name, count in topics]
        return CreatePartitionsRequest(topics=wanted, timeout_ms=10_000, **fields)

    stage.ask("none", asked())
    for count in (2, 1, 0, -1):
        stage.ask(f"to {count}", asked((topic.name, count)))
    stage.ask("tried", asked((topic.name, 3), validate_only=True))
    stage.ask("to 3", asked((topic.name, 3)))
    stage.ask("to 3 again", asked((topic.name, 3)))
    stage.ask("far too many", asked((topic.name, 1_000_000), validate_only=True))
    stage.ask("unknown", asked((stage.name("unknown"), 3)))
    stage.ask("an empty name", asked(("", 3)))
    stage.ask("a bad name", asked(("what is this?", 3)))
    stage.ask("the same twice", asked((topic.name, 4), (topic.name, 5)))
    stage.ask("the same twice and another", asked((topic.name, 4), (topic.name, 5), (stage.name("unknown"), 3)))
    stage.ask("good and bad", asked((topic.name, 4), (stage.name("unknown"), 3)))
    stage.ask("internal", asked(("__consumer_offsets", 10)))
    stage.wait_for_topic(topic.name, range(4))
    stage.ask("what is there", MetadataRequest(topics=[MetadataRequestTopic(name=topic.name)]))


@scenario(CreatePartitionsRequest)
def placed_partitions(stage: Stage) -> None:
    topic = stage.topic("t", 2)

    def asked(count: int, *brokers: list[int]) -> CreatePartitionsRequest:
        placed = [CreatePartitionsAssignment(broker_ids=each) for each in brokers]
        wanted = CreatePartitionsTopic(name=topic.name, count=count, assignments=placed)
        return CreatePartitionsRequest(topics=[wanted], timeout_ms=10_000, validate_only=True)

    stage.ask("one", asked(3, [1]))
    stage.ask("two", asked(4, [1], [1]))
    stage.ask("too few", asked(4, [1]))
    stage.ask("too many", asked(3, [1], [1]))
    stage.ask("an unknown broker", asked(3, [9]))
    stage.ask("two brokers", asked(3, [1, 9]))
    stage.ask("the same broker twice", asked(3, [1, 1]))
    stage.ask("no broker", asked(3, []))
    stage.ask("an empty list", asked(3))
    stage.ask("nothing to add", asked(2))


@scenario(DeleteTopicsRequest)
def an_id_that_is_gone(stage: Stage) -> None:
    """A topic made again under the same name has another id and no data."""
    from tools.answers.requests import batch, list_offsets, produce

    topic = stage.topic("t")
    stage.arrange(produce(topic, batch(3)))
    stage.arrange(DeleteTopicsRequest(topics=[DeleteTopicState(name=topic.name)], timeout_ms=10_000))
    stage.wait_until_gone(topic.name)
    again: Topic = stage.topic("t")
    stage.ask("the end", list_offsets(again))
    stage.write_down("another id", again.topic_id != topic.topic_id)
