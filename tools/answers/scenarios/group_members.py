"""SyncGroup, Heartbeat and LeaveGroup: what a member of a classic group may do when."""

from __future__ import annotations

from kproto.messages.describe_groups import DescribeGroupsRequest
from kproto.messages.heartbeat import HeartbeatRequest
from kproto.messages.leave_group import LeaveGroupRequest, MemberIdentity
from kproto.messages.sync_group import SyncGroupRequest
from tools.answers.group_requests import Member, beat, join, joined, leave, stable, sync
from tools.answers.scenario import scenario
from tools.answers.stage import Stage


@scenario(SyncGroupRequest)
def syncing(stage: Stage) -> None:
    member = joined(stage, stage.name("g"))
    stage.ask("a generation below", sync(member, generation_id=member.generation - 1))
    stage.ask("a generation above", sync(member, generation_id=member.generation + 1))
    stage.ask("another member", sync(member, member_id="stranger"))
    stage.ask("an empty member", sync(member, member_id=""))
    stage.ask("the leader", sync(member, {member.member_id: b"assignment"}))
    stage.ask("the leader again", sync(member, {member.member_id: b"another"}))
    stage.ask("without assignments", sync(member))
    stage.ask("a generation above, stable", sync(member, generation_id=member.generation + 1))
    stage.ask("another member, stable", sync(member, member_id="stranger"))
    stage.ask("described", DescribeGroupsRequest(groups=[member.group]))


@scenario(SyncGroupRequest)
def assignments(stage: Stage) -> None:
    """The assignment of a member that the leader leaves out is empty; that of an unknown member is dropped."""
    cases: dict[str, dict[str, bytes]] = {
        "none": {},
        "empty": {"me": b""},
        "for another member": {"stranger": b"x"},
        "both": {"me": b"x", "stranger": b"y"},
    }
    for name, given in cases.items():
        member = joined(stage, stage.name(name.replace(" ", "-")))
        ids = {"me": member.member_id}
        stage.ask(name, sync(member, {ids.get(each, each): what for each, what in given.items()}))
        stage.ask(f"{name}, described", DescribeGroupsRequest(groups=[member.group]))


@scenario(SyncGroupRequest)
def groups_that_are_not(stage: Stage) -> None:
    stranger = Member(stage.name("unknown"), "stranger", 1)
    stage.ask("unknown", sync(stranger))
    stage.ask("an empty group", sync(stranger, group_id=""))
    stage.ask("nothing filled in", SyncGroupRequest(group_id=stranger.group))


@scenario(SyncGroupRequest, since=5)
def protocols_named(stage: Stage) -> None:
    """From version 5 on a member may say which protocol it believes to be in."""
    member = joined(stage, stage.name("g"))
    stage.ask("another type", sync(member, protocol_type="connect", protocol_name="range"))
    stage.ask("another name", sync(member, protocol_type="consumer", protocol_name="sticky"))
    stage.ask("empty", sync(member, protocol_type="", protocol_name=""))
    stage.ask("right", sync(member, {member.member_id: b"x"}, protocol_type="consumer", protocol_name="range"))
    stage.ask("another name when stable", sync(member, protocol_type="consumer", protocol_name="sticky"))


@scenario(SyncGroupRequest, since=3)
def static_members_syncing(stage: Stage) -> None:
    member = joined(stage, stage.name("g"), instance_id="one")
    stage.ask("an unknown instance", sync(member, group_instance_id="two"))
    stage.ask("another member", sync(member, member_id="stranger", group_instance_id="one"))
    stage.ask("without instance", sync(member, {member.member_id: b"x"}))
    stage.ask("as it is", sync(member, {member.member_id: b"x"}, group_instance_id="one"))


@scenario(HeartbeatRequest)
def heartbeats(stage: Stage) -> None:
    group = stage.name("g")
    stranger = Member(stage.name("unknown"), "stranger", 1)
    stage.ask("an unknown group", beat(stranger))
    stage.ask("an empty group", beat(stranger, group_id=""))
    stage.ask("nothing but a group", HeartbeatRequest(group_id=stranger.group))
    member = joined(stage, group)
    stage.ask("before sync", beat(member))
    stage.arrange(sync(member, {member.member_id: b""}))
    stage.ask("after sync", beat(member))
    stage.ask("a generation below", beat(member, generation_id=member.generation - 1))
    stage.ask("a generation above", beat(member, generation_id=member.generation + 1))
    stage.ask("a negative generation", beat(member, generation_id=-1))
    stage.ask("another member", beat(member, member_id="stranger"))
    stage.ask("an empty member", beat(member, member_id=""))
    stage.arrange(leave(5, group, (member.member_id, None)))
    stage.ask("after leaving", beat(member))


@scenario(HeartbeatRequest, since=3)
def static_heartbeats(stage: Stage) -> None:
    member = stable(stage, instance_id="one")
    stage.ask("as it is", beat(member, group_instance_id="one"))
    stage.ask("without instance", beat(member))
    stage.ask("an unknown instance", beat(member, group_instance_id="two"))
    stage.ask("another member", beat(member, member_id="stranger", group_instance_id="one"))
    stage.ask("an empty instance", beat(member, group_instance_id=""))


@scenario(LeaveGroupRequest)
def leaving(stage: Stage) -> None:
    version = stage.version
    stage.ask("an unknown group", leave(version, stage.name("unknown"), ("stranger", None)))
    stage.ask("an empty group", leave(version, "", ("stranger", None)))
    member = stable(stage)
    stage.ask("another member", leave(version, member.group, ("stranger", None)))
    stage.ask("an empty member", leave(version, member.group, ("", None)))
    stage.ask("goes", leave(version, member.group, (member.member_id, None)))
    stage.ask("goes again", leave(version, member.group, (member.member_id, None)))
    stage.ask("described", DescribeGroupsRequest(groups=[member.group]))
    waiting = stage.arrange(join(stage.name("waiting")))
    stage.ask("one that has only an id", leave(version, stage.name("waiting"), (waiting.member_id, None)))
    stage.ask("its id is of no use", beat(Member(stage.name("waiting"), waiting.member_id, -1)))


@scenario(LeaveGroupRequest, since=3)
def many_leave(stage: Stage) -> None:
    member = stable(stage, instance_id="one")
    stage.ask("no members", LeaveGroupRequest(group_id=member.group))
    stage.ask("an unknown instance", leave(5, member.group, ("", "two")))
    stage.ask("an instance with another member", leave(5, member.group, ("stranger", "one")))
    stage.ask("two unknown ones", leave(5, member.group, ("stranger", None), ("", "two")))
    stage.ask("by instance, and again", leave(5, member.group, ("", "one"), ("", "one")))
    other = stable(stage, "other", instance_id="one")
    stage.ask("by both", leave(5, other.group, (other.member_id, "one")))
    if stage.version >= 5:
        third = stable(stage, "third")
        stage.ask(
            "with a reason",
            LeaveGroupRequest(
                group_id=third.group, members=[MemberIdentity(member_id=third.member_id, reason="because")]
            ),
        )
