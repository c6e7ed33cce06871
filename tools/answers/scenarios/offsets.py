"""OffsetCommit, OffsetFetch and OffsetDelete: what groups remember."""

from __future__ import annotations

from typing import Any

from kproto.messages.offset_commit import (
    OffsetCommitRequest,
    OffsetCommitRequestPartition,
    OffsetCommitRequestTopic,
)
from kproto.messages.offset_delete import OffsetDeleteRequest, OffsetDeleteRequestPartition, OffsetDeleteRequestTopic
from kproto.messages.offset_fetch import OffsetFetchRequest
from tools.answers.group_requests import (
    commit,
    committed_by,
    fetch_offsets,
    group_offsets,
    joined,
    stable,
    subscribed_to,
)
from tools.answers.requests import NO_TOPIC_ID, unknown_topic
from tools.answers.scenario import scenario
from tools.answers.stage import Stage, Topic


@scenario(OffsetCommitRequest)
def groups_without_members(stage: Stage) -> None:
    """A commit without generation makes a group that consists of offsets only."""
    topic, group = stage.topic("t", 2), stage.name("g")
    stage.ask("first", commit(group, topic, 5))
    stage.ask("lower", commit(group, topic, 3, metadata="why"))
    stage.ask("zero", commit(group, topic, 0, partition=1, metadata=None))
    stage.ask("negative", commit(group, topic, -1, partition=1))
    stage.ask("very negative", commit(group, topic, -5, partition=1))
    stage.ask("beyond the end", commit(group, topic, 1 << 50))
    stage.ask("a generation", commit(group, topic, 5, generation_id_or_member_epoch=1))
    stage.ask("a generation of an unknown group", commit(stage.name("h"), topic, 5, generation_id_or_member_epoch=1))
    stage.ask("a member", commit(group, topic, 5, member_id="stranger"))
    stage.ask("a negative generation", commit(group, topic, 5, generation_id_or_member_epoch=-2))
    stage.ask("an empty group", commit("", topic, 5))
    stage.ask("what is there", fetch_offsets(8, group, everything=True), version=8)


@scenario(OffsetCommitRequest)
def metadata(stage: Stage) -> None:
    topic, group = stage.topic("t"), stage.name("g")
    stage.ask("4096 letters", commit(group, topic, metadata="m" * 4096))
    stage.ask("4097 letters", commit(group, topic, metadata="m" * 4097))
    stage.ask("4096 wide letters", commit(group, topic, metadata="\u00e4" * 4096))
    stage.ask("2048 wide letters", commit(group, topic, metadata="\u00e4" * 2048))
    stage.ask("null", commit(group, topic, metadata=None))
    stage.ask("what is there", fetch_offsets(8, group, everything=True), version=8)


@scenario(OffsetCommitRequest)
def places(stage: Stage) -> None:
    topic, nothing, group = stage.topic("t"), unknown_topic(stage), stage.name("g")
    stage.ask("unknown topic", commit(group, nothing))
    stage.ask("unknown partition", commit(group, topic, partition=1))
    stage.ask("negative partition", commit(group, topic, partition=-1))
    stage.ask("no id", commit(group, Topic(topic.name, NO_TOPIC_ID)))
    stage.ask("an empty name", commit(group, Topic("", NO_TOPIC_ID)))
    stage.ask("nowhere", commit(group, topic, topics=[]))
    stage.ask(
        "no partitions",
        commit(group, topic, topics=[OffsetCommitRequestTopic(name=topic.name, topic_id=topic.topic_id)]),
    )

    def of(topic: Topic, *partitions: int) -> OffsetCommitRequestTopic:
        parts = [
            OffsetCommitRequestPartition(partition_index=each, committed_offset=7, committed_metadata="")
            for each in partitions
        ]
        return OffsetCommitRequestTopic(name=topic.name, topic_id=topic.topic_id, partitions=parts)

    stage.ask("good and bad", commit(group, topic, topics=[of(topic, 0, 5), of(nothing, 0)]))
    stage.ask("bad and good", commit(group, topic, topics=[of(nothing, 0), of(topic, 5, 0)]))
    stage.ask("a partition twice", commit(group, topic, topics=[of(topic, 0, 0)]))
    stage.ask("a topic twice", commit(group, topic, topics=[of(topic, 0), of(topic, 0)]))
    stage.ask("an internal topic", commit(group, Topic("__consumer_offsets", NO_TOPIC_ID)))
    stage.ask("what is there", fetch_offsets(8, group, everything=True), version=8)


@scenario(OffsetCommitRequest)
def members(stage: Stage) -> None:
    """In a group with members only they may commit, in their generation."""
    topic, member = stage.topic("t"), stable(stage)
    stage.ask("a member", committed_by(member, topic))
    stage.ask("an outsider", commit(member.group, topic))
    stage.ask("an outsider with a member id", commit(member.group, topic, member_id="stranger"))
    stage.ask("a generation below", committed_by(member, topic, generation_id_or_member_epoch=member.generation - 1))
    stage.ask("a generation above", committed_by(member, topic, generation_id_or_member_epoch=member.generation + 1))
    stage.ask("another member", committed_by(member, topic, member_id="stranger"))
    stage.ask("an empty member", committed_by(member, topic, member_id=""))
    stage.ask("no generation", committed_by(member, topic, generation_id_or_member_epoch=-1))
    fresh = joined(stage, stage.name("fresh"))
    stage.ask("before sync", committed_by(fresh, topic))


@scenario(OffsetCommitRequest, since=7)
def static_members(stage: Stage) -> None:
    topic, member = stage.topic("t"), stable(stage, instance_id="one")
    stage.ask("as it is", committed_by(member, topic, group_instance_id="one"))
    stage.ask("without instance", committed_by(member, topic))
    stage.ask("an unknown instance", committed_by(member, topic, group_instance_id="two"))
    stage.ask("another member", committed_by(member, topic, member_id="stranger", group_instance_id="one"))
    stage.ask("an instance and no generation", commit(member.group, topic, group_instance_id="one"))
    stage.ask("an instance of an unknown group", commit(stage.name("h"), topic, group_instance_id="one"))


@scenario(OffsetCommitRequest, since=6)
def committed_leader_epochs(stage: Stage) -> None:
    topic, group = stage.topic("t"), stage.name("g")
    for epoch in (0, 5, -1, -2):
        stage.ask(f"epoch {epoch}", commit(group, topic, committed_leader_epoch=epoch))
        stage.ask(f"epoch {epoch}, read", fetch_offsets(8, group, everything=True), version=8)


@scenario(OffsetCommitRequest, until=4)
def retention_times(stage: Stage) -> None:
    topic, group = stage.topic("t"), stage.name("g")
    for time in (-1, 0, 1000, 1 << 60):
        stage.ask(f"{time} ms", commit(group, topic, retention_time_ms=time))


@scenario(OffsetFetchRequest)
def what_was_committed(stage: Stage) -> None:
    version = stage.version
    topic, other, group = stage.topic("t", 3), stage.topic("o"), stage.name("g")
    stage.arrange(commit(group, topic, 5, metadata="m", committed_leader_epoch=3))
    stage.arrange(commit(group, topic, 6, partition=2, metadata=None))
    stage.arrange(commit(group, other, 7))
    stage.ask("one", fetch_offsets(version, group, (topic, [0])))
    stage.ask("three, one without", fetch_offsets(version, group, (topic, [0, 1, 2])))
    stage.ask("in another order", fetch_offsets(version, group, (other, [0]), (topic, [2, 0])))
    stage.ask("a partition twice", fetch_offsets(version, group, (topic, [0, 0])))
    stage.ask("a topic twice", fetch_offsets(version, group, (topic, [0]), (topic, [2])))
    stage.ask("an unknown partition", fetch_offsets(version, group, (topic, [9])))
    stage.ask("a negative partition", fetch_offsets(version, group, (topic, [-1])))
    stage.ask("an unknown topic", fetch_offsets(version, group, (unknown_topic(stage), [0])))
    stage.ask("known and unknown", fetch_offsets(version, group, (topic, [0]), (unknown_topic(stage), [0])))
    stage.ask("no id", fetch_offsets(version, group, (Topic(topic.name, NO_TOPIC_ID), [0])))
    stage.ask("no topics", fetch_offsets(version, group))
    stage.ask("no partitions", fetch_offsets(version, group, (topic, [])))
    stage.ask("an unknown group", fetch_offsets(version, stage.name("unknown"), (topic, [0, 1])))
    stage.ask("an empty group", fetch_offsets(version, "", (topic, [0])))
    if version >= 2:
        stage.ask("all", fetch_offsets(version, group, everything=True))
        stage.ask("all of an unknown group", fetch_offsets(version, stage.name("unknown"), everything=True))
        stage.ask("all of an empty group", fetch_offsets(version, "", everything=True))
    if version >= 7:
        stage.ask("stable", fetch_offsets(version, group, (topic, [0, 1]), require_stable=True))
        stage.ask("all stable", fetch_offsets(version, group, everything=True, require_stable=True))


@scenario(OffsetFetchRequest, since=8)
def many_groups(stage: Stage) -> None:
    topic, first, second = stage.topic("t"), stage.name("g"), stage.name("h")
    stage.arrange(commit(first, topic, 5))
    stage.arrange(commit(second, topic, 6))
    one = group_offsets(first, (topic, [0]))
    stage.ask("none", OffsetFetchRequest())
    stage.ask("two", OffsetFetchRequest(groups=[one, group_offsets(second, (topic, [0]))]))
    stage.ask(
        "known, unknown, all of one",
        OffsetFetchRequest(
            groups=[one, group_offsets(stage.name("unknown"), (topic, [0])), group_offsets(second, everything=True)]
        ),
    )
    stage.ask("the same twice", OffsetFetchRequest(groups=[one, one]))
    stage.ask("one empty", OffsetFetchRequest(groups=[one, group_offsets("", (topic, [0]))]))


@scenario(OffsetFetchRequest, since=9)
def with_member_and_epoch(stage: Stage) -> None:
    """Members of the new protocol say who they are; classic groups do not care."""
    topic, member = stage.topic("t"), stable(stage)
    stage.arrange(committed_by(member, topic, 5))
    who: dict[str, dict[str, Any]] = {
        "a member": {"member_id": member.member_id, "member_epoch": member.generation},
        "another epoch": {"member_id": member.member_id, "member_epoch": 77},
        "a stranger": {"member_id": "stranger", "member_epoch": 1},
        "an epoch alone": {"member_epoch": 1},
        "an empty member": {"member_id": "", "member_epoch": 0},
    }
    for name, fields in who.items():
        stage.ask(name, OffsetFetchRequest(groups=[group_offsets(member.group, (topic, [0]), **fields)]))
        stage.ask(f"{name}, all", OffsetFetchRequest(groups=[group_offsets(member.group, everything=True, **fields)]))
        stage.ask(
            f"{name}, unknown group",
            OffsetFetchRequest(groups=[group_offsets(stage.name("unknown"), (topic, [0]), **fields)]),
        )


@scenario(OffsetFetchRequest)
def topics_that_go(stage: Stage) -> None:
    """With a topic its committed offsets go."""
    from kproto.messages.delete_topics import DeleteTopicsRequest, DeleteTopicState

    topic, group = stage.topic("t"), stage.name("g")
    stage.arrange(commit(group, topic, 5))
    stage.arrange(DeleteTopicsRequest(topics=[DeleteTopicState(name=topic.name)], timeout_ms=10_000))
    stage.wait_until_gone(topic.name)
    stage.settle()
    stage.ask("after deletion", fetch_offsets(stage.version, group, (topic, [0])))
    again = stage.topic("t")
    stage.ask("made again", fetch_offsets(stage.version, group, (again, [0])))


def forget(group: str, *topics: tuple[str, list[int]]) -> OffsetDeleteRequest:
    """Delete committed offsets."""
    return OffsetDeleteRequest(
        group_id=group,
        topics=[
            OffsetDeleteRequestTopic(
                name=name, partitions=[OffsetDeleteRequestPartition(partition_index=each) for each in partitions]
            )
            for name, partitions in topics
        ],
    )


@scenario(OffsetDeleteRequest)
def deleting(stage: Stage) -> None:
    topic, group = stage.topic("t", 3), stage.name("g")
    stage.ask("an unknown group", forget(group, (topic.name, [0])))
    stage.ask("an empty group", forget("", (topic.name, [0])))
    stage.ask("nothing of an unknown group", forget(group))
    for partition in range(3):
        stage.arrange(commit(group, topic, 5, partition=partition))
    stage.ask("nothing", forget(group))
    stage.ask("no partitions", forget(group, (topic.name, [])))
    stage.ask("an unknown topic", forget(group, (stage.name("unknown"), [0])))
    stage.ask("an unknown partition", forget(group, (topic.name, [7])))
    stage.ask("one", forget(group, (topic.name, [1])))
    stage.ask("one again", forget(group, (topic.name, [1])))
    stage.ask("good and bad", forget(group, (topic.name, [0, 7]), (stage.name("unknown"), [0])))
    stage.ask("what is left", fetch_offsets(8, group, everything=True), version=8)
    stage.ask("a partition twice", forget(group, (topic.name, [2, 2])))
    stage.ask("nothing is left", fetch_offsets(8, group, everything=True), version=8)


@scenario(OffsetDeleteRequest)
def deleting_what_is_consumed(stage: Stage) -> None:
    """Of a group of consumers, what it is subscribed to cannot be deleted; of another group nothing can."""
    topic, other = stage.topic("t"), stage.topic("o")
    member = stable(stage, protocols=subscribed_to(topic.name))
    for each in (topic, other):
        stage.arrange(committed_by(member, each))
    stage.ask("subscribed and not", forget(member.group, (topic.name, [0]), (other.name, [0])))
    stage.ask("what is left", fetch_offsets(8, member.group, everything=True), version=8)
    connect = stable(stage, "connect", protocol_type="connect")
    stage.arrange(committed_by(connect, topic))
    stage.ask("no consumers", forget(connect.group, (topic.name, [0])))
