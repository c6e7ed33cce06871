"""DescribeTopicPartitions: topics page by page."""

from __future__ import annotations

from typing import Any

from kproto.messages.describe_topic_partitions import Cursor, DescribeTopicPartitionsRequest, TopicRequest
from tools.answers.scenario import scenario
from tools.answers.stage import Stage


def about(*names: str, **fields: Any) -> DescribeTopicPartitionsRequest:
    """Ask about topics."""
    return DescribeTopicPartitionsRequest(topics=[TopicRequest(name=name) for name in names], **fields)


@scenario(DescribeTopicPartitionsRequest)
def topics(stage: Stage) -> None:
    one, three = stage.topic("one"), stage.topic("three", 3)
    unknown = stage.name("unknown")
    stage.ask("one", about(one.name))
    stage.ask("two", about(three.name, one.name))
    stage.ask("the same twice", about(one.name, one.name))
    stage.ask("unknown", about(unknown))
    stage.ask("known and unknown", about(unknown, one.name))
    stage.ask("an empty name", about(""))
    stage.ask("a bad name", about("what is this?"))
    stage.ask("a bad one among good ones", about(one.name, "what is this?", three.name))
    stage.ask("internal", about("__consumer_offsets", response_partition_limit=2))
    stage.ask("still unknown", about(unknown))


@scenario(DescribeTopicPartitionsRequest)
def pages(stage: Stage) -> None:
    one, three, zero = stage.topic("m-one"), stage.topic("n-three", 3), stage.name("a-zero")
    names = (one.name, three.name)
    for limit in (0, -1, 1, 2, 3, 4, 5, 2001, 0x7FFF_FFFF):
        stage.ask(f"limit {limit}", about(*names, response_partition_limit=limit))
    cursors = {
        "first": (one.name, 0), "second": (three.name, 0), "within": (three.name, 2), "behind": (three.name, 3),
        "far behind": (three.name, 100), "negative": (three.name, -1), "before all": (zero, 0),
        "after all": (stage.name("z"), 0), "between": (stage.name("n"), 5), "nothing": ("", 0),
    }  # fmt: skip
    for name, (topic, partition) in cursors.items():
        cursor = Cursor(topic_name=topic, partition_index=partition)
        stage.ask(f"from {name}", about(*names, cursor=cursor))
        stage.ask(f"from {name}, two of them", about(*names, cursor=cursor, response_partition_limit=2))
        stage.ask(f"from {name}, unknown asked for too", about(*names, stage.name("unknown"), cursor=cursor))
    stage.ask(
        "all from a cursor",
        DescribeTopicPartitionsRequest(cursor=Cursor(topic_name=stage.name(""), partition_index=0)),
        only_mine=True,
    )
