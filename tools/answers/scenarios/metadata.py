"""Metadata: topics by name, by id, all, none, and made on being asked for."""

from __future__ import annotations

from typing import Any

from kproto.messages.metadata import MetadataRequest, MetadataRequestTopic
from tools.answers.requests import UNKNOWN_TOPIC_ID, unknown_topic
from tools.answers.scenario import scenario
from tools.answers.stage import Stage, Topic


def about(stage: Stage, *names: str | None, **fields: Any) -> MetadataRequest:
    """Ask about topics by name, and make none where that can be said."""
    if stage.version >= 4:
        fields.setdefault("allow_auto_topic_creation", False)
    return MetadataRequest(topics=[MetadataRequestTopic(name=name) for name in names], **fields)


@scenario(MetadataRequest)
def topics_by_name(stage: Stage) -> None:
    one, three = stage.topic("one"), stage.topic("three", 3)
    stage.ask("one", about(stage, one.name))
    stage.ask("two", about(stage, three.name, one.name))
    stage.ask("the same twice", about(stage, one.name, one.name))
    stage.ask("an empty name", about(stage, ""))
    stage.ask("a bad name", about(stage, "what is this?"))
    stage.ask("a long name", about(stage, "n" * 250))
    stage.ask("a dot", about(stage, "."))
    stage.ask("good and bad", about(stage, one.name, "what is this?"))
    stage.ask("an internal one", about(stage, "__consumer_offsets"))
    if stage.version >= 4:
        unknown = stage.name("unknown")
        stage.ask("unknown", about(stage, unknown))
        stage.ask("known and unknown", about(stage, one.name, unknown, three.name))
    if stage.version >= 1:
        stage.ask("no topics", MetadataRequest())
        stage.ask("all", MetadataRequest(topics=None), only_mine=True)


@scenario(MetadataRequest)
def topics_made_on_demand(stage: Stage) -> None:
    """An unknown topic is made, unless the client says no; how soon it has leaders is not compared."""
    name = stage.name("auto")
    request = MetadataRequest(topics=[MetadataRequestTopic(name=name)])
    stage.ask("asked for", request)
    stage.wait_for_topic(name, range(4))
    stage.ask("there", request)
    stage.ask("a bad name", MetadataRequest(topics=[MetadataRequestTopic(name="what is this?")]))
    stage.ask(
        "two names that collide",
        MetadataRequest(
            topics=[MetadataRequestTopic(name=stage.name("a.b")), MetadataRequestTopic(name=stage.name("a_b"))]
        ),
    )


@scenario(MetadataRequest, since=8)
def what_one_may_do(stage: Stage) -> None:
    topic = stage.topic("t")
    stage.ask("with the topic", about(stage, topic.name, include_topic_authorized_operations=True))
    stage.ask("with an unknown topic", about(stage, stage.name("unknown"), include_topic_authorized_operations=True))
    if stage.version <= 10:
        stage.ask("with the cluster", about(stage, topic.name, include_cluster_authorized_operations=True))


@scenario(MetadataRequest, since=10)
def topics_by_id(stage: Stage) -> None:
    """Null instead of a name, and an id, from version 12 on; in 10 and 11 names alone count."""
    one, two, nothing = stage.topic("one"), stage.topic("two"), unknown_topic(stage)

    def asked(*topics: tuple[str | None, bytes]) -> MetadataRequest:
        wanted = [MetadataRequestTopic(name=name, topic_id=each) for name, each in topics]
        return MetadataRequest(topics=wanted, allow_auto_topic_creation=False)

    stage.ask("an id", asked((None, one.topic_id)))
    stage.ask("two ids", asked((None, two.topic_id), (None, one.topic_id)))
    stage.ask("an unknown id", asked((None, nothing.topic_id)))
    stage.ask("known and unknown", asked((None, one.topic_id), (None, UNKNOWN_TOPIC_ID)))
    stage.ask("neither name nor id", asked((None, bytes(16))))
    stage.ask("both", asked((one.name, one.topic_id)))
    stage.ask("both, of different topics", asked((one.name, two.topic_id)))
    stage.ask("by name and by id", asked((one.name, bytes(16)), (None, two.topic_id)))
    stage.ask("the same by id twice", asked((None, one.topic_id), (None, one.topic_id)))
    gone = Topic(two.name, two.topic_id)
    from kproto.messages.delete_topics import DeleteTopicsRequest, DeleteTopicState

    stage.arrange(DeleteTopicsRequest(topics=[DeleteTopicState(name=gone.name)], timeout_ms=10_000))
    stage.wait_until_gone(gone.name)
    stage.settle()
    stage.ask("a deleted one's id", asked((None, gone.topic_id)))
    stage.ask("a deleted one's name", asked((gone.name, bytes(16))))
