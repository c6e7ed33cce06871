"""ConsumerGroupHeartbeat: how members of the consumer protocol join, stay, leave and are refused."""

from __future__ import annotations

from typing import Any

from kproto.messages.consumer_group_heartbeat import ConsumerGroupHeartbeatRequest
from kproto.messages.create_partitions import CreatePartitionsRequest, CreatePartitionsTopic
from kproto.messages.delete_topics import DeleteTopicsRequest, DeleteTopicState
from kproto.messages.describe_groups import DescribeGroupsRequest
from kproto.messages.heartbeat import HeartbeatRequest
from kproto.messages.join_group import JoinGroupRequest
from tools.answers.consumer_requests import (
    JOINS,
    LEAVES_FOR_A_WHILE,
    beat,
    describe,
    group,
    joins,
    leaves,
    owned,
)
from tools.answers.group_requests import join, stable
from tools.answers.scenario import scenario
from tools.answers.stage import Stage


@scenario(ConsumerGroupHeartbeatRequest)
def a_members_life(stage: Stage) -> None:
    """The first answer already has the assignment; later ones only when there is something new."""
    topic, name = stage.topic("t", 4), group(stage)
    reply = stage.ask("joins", joins(name, "member-a", topic))
    stage.ask("described before it says what it owns", describe(name))
    stage.ask("beats without a word", beat(name, "member-a", reply.member_epoch))
    stage.ask("says what it owns", beat(name, "member-a", reply.member_epoch, owned(reply, topic)))
    stage.ask("described", describe(name))
    stage.ask("described as classic", DescribeGroupsRequest(groups=[name]))
    stage.ask("says that it owns less", beat(name, "member-a", reply.member_epoch, {topic: [0]}))
    stage.ask("says that it owns nothing", beat(name, "member-a", reply.member_epoch, {}))
    full = {"rebalance_timeout_ms": 30_000, "subscribed_topic_names": [topic.name]}
    stage.ask("says all again", beat(name, "member-a", reply.member_epoch, owned(reply, topic), **full))
    stage.ask("joins again", joins(name, "member-a", topic))
    stage.ask("leaves", leaves(name, "member-a"))
    stage.ask("leaves again", leaves(name, "member-a"))
    stage.ask("described when empty", describe(name))
    stage.ask("beats after leaving", beat(name, "member-a", reply.member_epoch))
    stage.ask("joins an empty group", joins(name, "member-a", topic))


@scenario(ConsumerGroupHeartbeatRequest)
def what_is_wrong_with_a_heartbeat(stage: Stage) -> None:
    topic, name = stage.topic("t"), group(stage)
    unknown = stage.name("unknown")
    stage.ask("no group", joins("", "member-a", topic))
    stage.ask("blank group", joins("  ", "member-a", topic))
    stage.ask("an unknown group", beat(unknown, "member-a", 1))
    stage.ask("an unknown group is left", leaves(unknown, "member-a"))
    stage.ask("no subscription", beat(name, "member-a", JOINS, {}, rebalance_timeout_ms=30_000))
    stage.ask("no timeout", beat(name, "member-a", JOINS, {}, subscribed_topic_names=[topic.name]))
    stage.ask("timeout of 0", joins(name, "member-a", topic, rebalance_timeout_ms=0))
    stage.ask("a negative timeout", joins(name, "member-a", topic, rebalance_timeout_ms=-2))
    stage.ask(
        "no partitions",
        beat(name, "member-a", JOINS, rebalance_timeout_ms=30_000, subscribed_topic_names=[topic.name]),
    )
    full = {"rebalance_timeout_ms": 30_000, "subscribed_topic_names": [topic.name]}
    stage.ask("owns something already", beat(name, "member-a", JOINS, {topic: [0]}, **full))
    stage.ask("an unknown assignor", joins(name, "member-a", topic, server_assignor="what"))
    stage.ask("an empty assignor", joins(name, "member-a", topic, server_assignor=""))
    stage.ask("an empty instance", joins(name, "member-b", topic, instance_id=""))
    stage.ask("an empty rack", joins(name, "member-c", topic, rack_id=""))
    stage.ask("a negative epoch", beat(name, "member-a", -3))
    stage.ask("a blank member", joins(name, " ", topic))
    stage.ask("leaves without instance", beat(name, "member-a", LEAVES_FOR_A_WHILE))
    stage.ask("an unknown member", beat(name, "stranger", 1))
    stage.ask("an unknown member leaves", leaves(name, "stranger"))
    stage.ask("nothing said at all", ConsumerGroupHeartbeatRequest(group_id=name, member_id="member-a"))
    stage.ask("described", describe(name))


@scenario(ConsumerGroupHeartbeatRequest, until=0)
def an_id_from_the_broker(stage: Stage) -> None:
    """Version 0 makes an id for a member without one; from version 1 on a member has to bring it."""
    topic, name = stage.topic("t", 2), group(stage)
    reply = stage.ask("joins without id", joins(name, "", topic))
    assert reply.member_id, reply
    stage.ask("beats", beat(name, reply.member_id, reply.member_epoch))
    stage.ask("beats without id", beat(name, "", reply.member_epoch))
    stage.ask("leaves", leaves(name, reply.member_id))


@scenario(ConsumerGroupHeartbeatRequest, since=1)
def an_id_is_asked_for(stage: Stage) -> None:
    topic, name = stage.topic("t", 2), group(stage)
    stage.ask("joins without id", joins(name, "", topic))
    stage.ask("leaves without id", leaves(name, ""))
    stage.ask("a long id", joins(name, "member-" + "x" * 300, topic))


@scenario(ConsumerGroupHeartbeatRequest)
def subscriptions_that_change(stage: Stage) -> None:
    """Every change of a subscription makes an epoch; so does a topic that appears."""
    first, second, name = stage.topic("a", 2), stage.topic("b", 3), group(stage)
    reply = stage.ask("joins", joins(name, "member-a", first))
    epoch = reply.member_epoch
    stage.arrange(beat(name, "member-a", epoch, owned(reply, first)), version=stage.version)
    reply = stage.ask("another topic", beat(name, "member-a", epoch, subscribed_topic_names=[second.name]))
    reply = stage.ask("has given up the first", beat(name, "member-a", reply.member_epoch, {}))
    epoch = reply.member_epoch
    stage.ask("described", describe(name))
    reply = stage.ask("both", beat(name, "member-a", epoch, subscribed_topic_names=[second.name, first.name]))
    stage.ask(
        "the other way round",
        beat(name, "member-a", reply.member_epoch, subscribed_topic_names=[first.name, second.name]),
    )
    reply = stage.ask(
        "one twice", beat(name, "member-a", reply.member_epoch, subscribed_topic_names=[first.name, first.name])
    )
    stage.ask(
        "an unknown one", beat(name, "member-a", reply.member_epoch, subscribed_topic_names=[stage.name("unknown")])
    )
    stage.ask("described with nothing to read", describe(name))
    stage.ask("none", beat(name, "member-a", reply.member_epoch + 1, subscribed_topic_names=[]))
    stage.ask("described with no topic", describe(name))
    stage.ask("an old epoch", beat(name, "member-a", 1))
    stage.ask("a new epoch", beat(name, "member-a", 1000))


@scenario(ConsumerGroupHeartbeatRequest)
def two_members(stage: Stage) -> None:
    """A partition goes to another member only when its owner has given it up; meanwhile that one waits."""
    topic, name = stage.topic("t", 4), group(stage)
    first = stage.ask("the first joins", joins(name, "member-a", topic))
    stage.ask("the first says what it owns", beat(name, "member-a", first.member_epoch, owned(first, topic)))
    second = stage.ask("the second joins", joins(name, "member-b", topic))
    stage.ask("described while the second waits", describe(name))
    stage.ask("the second beats", beat(name, "member-b", second.member_epoch, {}))
    told = stage.ask("the first hears what to give up", beat(name, "member-a", first.member_epoch))
    stage.ask("the first hears it again", beat(name, "member-a", first.member_epoch, owned(first, topic)))
    stage.ask("described while revoking", describe(name))
    stage.ask("the second still waits", beat(name, "member-b", second.member_epoch))
    given = stage.ask("the first has given them up", beat(name, "member-a", told.member_epoch, owned(told, topic)))
    got = stage.ask("the second gets them", beat(name, "member-b", second.member_epoch))
    stage.ask("the second owns them", beat(name, "member-b", got.member_epoch, owned(got, topic)))
    stage.ask("described when stable", describe(name))
    stage.ask("the first uses its old epoch", beat(name, "member-a", first.member_epoch, owned(told, topic)))
    stage.ask("the first beats", beat(name, "member-a", given.member_epoch))
    stage.ask("the second leaves", leaves(name, "member-b"))
    stage.ask("the first gets all", beat(name, "member-a", given.member_epoch))
    stage.ask("described at the end", describe(name))


@scenario(ConsumerGroupHeartbeatRequest)
def three_members(stage: Stage) -> None:
    """Two join while the first has all; one of them leaves again before it got anything."""
    topic, name = stage.topic("t", 6), group(stage)
    a = stage.ask("a joins", joins(name, "member-a", topic))
    stage.arrange(beat(name, "member-a", a.member_epoch, owned(a, topic)), version=stage.version)
    b = stage.ask("b joins", joins(name, "member-b", topic))
    c = stage.ask("c joins", joins(name, "member-c", topic))
    stage.ask("described", describe(name))
    a2 = stage.ask("a beats", beat(name, "member-a", a.member_epoch))
    stage.ask("b leaves", leaves(name, "member-b"))
    a3 = stage.ask("a gives up", beat(name, "member-a", a.member_epoch, owned(a2, topic)))
    c2 = stage.ask("c beats", beat(name, "member-c", c.member_epoch))
    stage.ask("b is not known", beat(name, "member-b", b.member_epoch))
    stage.ask("a beats again", beat(name, "member-a", a3.member_epoch))
    stage.ask("c owns", beat(name, "member-c", c2.member_epoch, owned(c2, topic)))
    stage.ask("described at the end", describe(name))


@scenario(ConsumerGroupHeartbeatRequest)
def assignors(stage: Stage) -> None:
    """The group's assignor is what most members want."""
    topic, name = stage.topic("t", 5), group(stage)
    a = stage.ask("a wants range", joins(name, "member-a", topic, server_assignor="range"))
    stage.ask("described", describe(name))
    stage.ask("b has no wish", joins(name, "member-b", topic))
    stage.ask("c wants uniform", joins(name, "member-c", topic, server_assignor="uniform"))
    stage.ask("d wants uniform", joins(name, "member-d", topic, server_assignor="uniform"))
    stage.ask("described with two for uniform", describe(name))
    stage.ask("a changes its mind", beat(name, "member-a", a.member_epoch, server_assignor="uniform"))
    stage.ask("described at the end", describe(name))


@scenario(ConsumerGroupHeartbeatRequest)
def static_members(stage: Stage) -> None:
    """A static member that has left for a while comes back under another id to what it had; no other is let in."""
    topic, name = stage.topic("t", 4), group(stage)
    a = stage.ask("a joins", joins(name, "member-a", topic, instance_id="one"))
    b = stage.ask("b joins", joins(name, "member-b", topic, instance_id="two"))
    stage.ask("another one joins as one", joins(name, "member-x", topic, instance_id="one"))
    stage.ask("another one beats as one", beat(name, "member-x", 1, instance_id="one"))
    stage.ask("a beats without its name", beat(name, "member-a", a.member_epoch))
    stage.ask("a beats under another name", beat(name, "member-a", a.member_epoch, instance_id="two"))
    stage.ask("an unknown instance", beat(name, "member-x", 1, instance_id="three"))
    stage.ask("another one leaves as one", beat(name, "member-x", LEAVES_FOR_A_WHILE, instance_id="one"))
    stage.ask("an unknown instance leaves", beat(name, "member-x", LEAVES_FOR_A_WHILE, instance_id="three"))
    stage.ask("a leaves for a while", beat(name, "member-a", LEAVES_FOR_A_WHILE, instance_id="one"))
    stage.ask("described while it is away", describe(name))
    stage.ask("a beats while it is away", beat(name, "member-a", a.member_epoch, instance_id="one"))
    back = stage.ask("a is back as c", joins(name, "member-c", topic, instance_id="one"))
    stage.ask("the old a beats", beat(name, "member-a", a.member_epoch, instance_id="one"))
    stage.ask("c owns", beat(name, "member-c", back.member_epoch, owned(back, topic), instance_id="one"))
    stage.ask("b beats", beat(name, "member-b", b.member_epoch, instance_id="two"))
    stage.ask("described", describe(name))
    stage.ask("c leaves for good", leaves(name, "member-c", instance_id="one"))
    stage.ask("one joins again", joins(name, "member-d", topic, instance_id="one"))
    stage.ask("described at the end", describe(name))


@scenario(ConsumerGroupHeartbeatRequest)
def topics_that_grow_and_go(stage: Stage) -> None:
    """The group hears of it: new partitions are assigned, those of a deleted topic are taken away."""
    topic, other, name = stage.topic("t", 1), stage.topic("u", 1), group(stage)
    a = stage.ask("joins", joins(name, "member-a", topic, other))
    epoch = a.member_epoch
    stage.arrange(beat(name, "member-a", epoch, owned(a, topic, other)), version=stage.version)
    stage.arrange(
        CreatePartitionsRequest(
            topics=[CreatePartitionsTopic(name=topic.name, count=3, assignments=None)], timeout_ms=10_000
        )
    )
    stage.wait_for_topic(topic.name, range(3))
    stage.settle()
    grown = stage.ask("after it has grown", beat(name, "member-a", epoch))
    stage.ask("described", describe(name))
    stage.arrange(beat(name, "member-a", grown.member_epoch, owned(grown, topic, other)), version=stage.version)
    stage.arrange(DeleteTopicsRequest(topics=[DeleteTopicState(name=other.name)], timeout_ms=10_000))
    stage.wait_until_gone(other.name)
    stage.settle()
    gone = stage.ask("after one is gone", beat(name, "member-a", grown.member_epoch))
    stage.ask("has let go", beat(name, "member-a", gone.member_epoch, {topic: [0, 1, 2]}))
    stage.ask("described at the end", describe(name))


@scenario(ConsumerGroupHeartbeatRequest, since=1)
def expressions(stage: Stage) -> None:
    """A subscription by expression; who it is that cannot be compiled is refused."""
    stage.topic("orders-1", 1)
    name = group(stage)
    prefix = stage.name("orders")
    stage.ask("not an expression", joins(name, "member-a", subscribed_topic_names=None, subscribed_topic_regex="(a"))
    stage.ask("a look ahead", joins(name, "member-a", subscribed_topic_names=None, subscribed_topic_regex="(?=a)b"))
    stage.ask("a backreference", joins(name, "member-a", subscribed_topic_names=None, subscribed_topic_regex=r"(a)\1"))
    stage.ask("an empty one", joins(name, "member-e", subscribed_topic_names=None, subscribed_topic_regex=""))
    stage.arrange(leaves(name, "member-e"))
    # Kafka resolves it after the first answer, Ottla before.
    wanted = {"subscribed_topic_names": None, "subscribed_topic_regex": f"{prefix}.*"}
    got = stage.arrange(joins(name, "member-a", **wanted), version=1)

    def resolved(reply: Any) -> bool:
        nonlocal got
        if not reply.groups[0].members[0].assignment.topic_partitions:
            got = stage.arrange(beat(name, "member-a", got.member_epoch))
        return bool(reply.groups[0].members[0].assignment.topic_partitions)

    stage.until(describe(name), resolved)
    stage.ask("described when resolved", describe(name))
    stage.ask("an invalid one now", beat(name, "member-a", got.member_epoch, subscribed_topic_regex="[z-a]"))
    stage.ask("the same again", beat(name, "member-a", got.member_epoch, subscribed_topic_regex=f"{prefix}.*"))
    stage.ask(
        "a second member, already resolved",
        joins(name, "member-b", subscribed_topic_names=None, subscribed_topic_regex=f"{prefix}.*"),
    )
    stage.ask("leaves", leaves(name, "member-b"))


@scenario(ConsumerGroupHeartbeatRequest)
def groups_of_another_protocol(stage: Stage) -> None:
    """An empty classic group becomes a consumer group; one with members that are no consumers does not."""
    topic = stage.topic("t", 2)
    connectors = stable(stage, "connect", protocol_type="connect")
    stage.ask("a group of connectors", joins(connectors.group, "member-a", topic))
    stage.ask("a beat in it", beat(connectors.group, "member-a", 1))
    name = group(stage, "new")
    stage.arrange(joins(name, "member-a", topic), version=stage.version)
    stage.ask("a classic heartbeat", HeartbeatRequest(group_id=name, generation_id=1, member_id="member-a"))
    stage.ask("a connector joins", join(name, protocol_type="connect"))
    stage.ask(
        "a classic member without a subscription",
        JoinGroupRequest(
            group_id=name, session_timeout_ms=30_000, rebalance_timeout_ms=30_000, protocol_type="consumer"
        ),
    )
    stage.arrange(leaves(name, "member-a"))
    stage.ask("left by all", describe(name))
