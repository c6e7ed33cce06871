"""JoinGroup with a single member: who is let in, under which id, into which generation."""

from __future__ import annotations

from kproto.messages.describe_groups import DescribeGroupsRequest
from kproto.messages.heartbeat import HeartbeatRequest
from kproto.messages.join_group import JoinGroupRequest, JoinGroupRequestProtocol
from tools.answers.group_requests import beat, join, joined, protocols, stable, subscribed_to, sync
from tools.answers.scenario import scenario
from tools.answers.stage import Stage


@scenario(JoinGroupRequest)
def a_life(stage: Stage) -> None:
    """From the first join on: from version 4 on a new member is given an id first and has to come back with it."""
    group = stage.name("g")
    reply = stage.ask("in", join(group))
    if reply.error_code == 79:
        reply = stage.ask("in with the id given", join(group, reply.member_id))
    stage.ask("described while joining", DescribeGroupsRequest(groups=[group]))
    again = stage.ask("again", join(group, reply.member_id))
    stage.ask("with other metadata", join(group, reply.member_id, protocols=protocols("range", metadata=b"other")))
    stage.ask(
        "heartbeat in the first generation",
        HeartbeatRequest(group_id=group, generation_id=again.generation_id, member_id=reply.member_id),
    )
    stage.ask("described", DescribeGroupsRequest(groups=[group]))


@scenario(JoinGroupRequest)
def joining_when_stable(stage: Stage) -> None:
    """The leader's join starts a rebalance; the reply is the same generation if nothing has changed for a follower."""
    member = stable(stage)
    stage.ask("the same", join(member.group, member.member_id))
    other = stable(stage, "other")
    stage.ask("other metadata", join(other.group, other.member_id, protocols=protocols("range", metadata=b"new")))
    third = stable(stage, "third")
    stage.ask("other protocols", join(third.group, third.member_id, protocols=protocols("roundrobin", "range")))
    stage.ask("no common protocol", join(third.group, third.member_id, protocols=protocols("sticky")))
    stage.ask("another type", join(third.group, third.member_id, protocol_type="connect"))


@scenario(JoinGroupRequest)
def bad_groups_and_members(stage: Stage) -> None:
    stage.ask("an empty group", join(""))
    stage.ask("an unknown member of an unknown group", join(stage.name("unknown"), "stranger"))
    member = stable(stage)
    stage.ask("an unknown member", join(member.group, "stranger"))
    stage.ask("another protocol type", join(member.group, protocol_type="connect"))
    stage.ask("no protocol in common", join(member.group, protocols=protocols("sticky")))
    stage.ask("an empty protocol type", join(stage.name("a"), protocol_type=""))
    stage.ask("no protocols", join(stage.name("b"), protocols=[]))
    stage.ask("neither", join(stage.name("c"), protocol_type="", protocols=[]))
    stage.ask("an empty protocol name", join(stage.name("d"), protocols=protocols("")))
    stage.ask("a protocol twice", join(stage.name("e"), protocols=protocols("range", "range")))
    stage.ask("still stable", DescribeGroupsRequest(groups=[member.group]))


@scenario(JoinGroupRequest)
def timeouts(stage: Stage) -> None:
    """The session timeout has bounds, the rebalance timeout has none."""
    for session in (-1, 0, 1, 5999, 6000, 1_800_000, 1_800_001):
        stage.ask(f"session {session}", join(stage.name(f"s{session}"), session_timeout_ms=session))
    if stage.version >= 1:
        for rebalance in (-1, 0, 0x7FFF_FFFF):
            stage.ask(f"rebalance {rebalance}", join(stage.name(f"r{rebalance}"), rebalance_timeout_ms=rebalance))


@scenario(JoinGroupRequest, since=5)
def static_members(stage: Stage) -> None:
    group = stage.name("g")
    first = stage.ask("in", join(group, group_instance_id="one"))
    stage.ask("again without id", join(group, group_instance_id="one"))
    stage.ask("the first id", join(group, first.member_id, group_instance_id="one"))
    stage.ask("an id of no member", join(group, "stranger", group_instance_id="one"))
    stage.ask("an unknown instance with an id", join(group, "stranger", group_instance_id="two"))
    stage.ask("described", DescribeGroupsRequest(groups=[group]))
    for name, instance in {
        "empty": "",
        "dot": ".",
        "dots": "..",
        "strange": "a b",
        "long": "n" * 250,
        "allowed": "a-b_c.d",
    }.items():
        stage.ask(f"{name} instance id", join(stage.name(name), group_instance_id=instance))


@scenario(JoinGroupRequest, since=5)
def static_members_that_return(stage: Stage) -> None:
    """A static member of a stable group that returns gets a new id, and if nothing has changed no rebalance."""
    member = stable(stage, instance_id="one")
    back = stage.ask("back", join(member.group, group_instance_id="one"))
    stage.ask("the old id beats", beat(member, group_instance_id="one"))
    stage.ask("the old id beats without name", beat(member))
    stage.ask("the new id beats", beat(member, member_id=back.member_id, group_instance_id="one"))
    stage.ask("the new id syncs", sync(member, member_id=back.member_id, group_instance_id="one"))
    other = stable(stage, "other", instance_id="one")
    stage.ask(
        "back with other metadata",
        join(other.group, group_instance_id="one", protocols=protocols("range", metadata=b"other")),
    )
    stage.ask("described", DescribeGroupsRequest(groups=[other.group]))


@scenario(JoinGroupRequest, since=8)
def reasons(stage: Stage) -> None:
    stage.ask("a reason", join(stage.name("g"), reason="because"))
    stage.ask("a long one", join(stage.name("h"), reason="because " * 100))
    stage.ask("an empty one", join(stage.name("i"), reason=""))


@scenario(JoinGroupRequest, since=9)
def a_subscription_that_cannot_be_read(stage: Stage) -> None:
    """The coordinator carries what members tell each other, and looks inside only to know the topics."""
    group = stage.name("g")
    strange = [JoinGroupRequestProtocol(name="range", metadata=b"what is this?")]
    given = stage.arrange(join(group, protocols=strange))
    stage.ask("in", join(group, given.member_id, protocols=strange))


@scenario(JoinGroupRequest)
def choosing_a_protocol(stage: Stage) -> None:
    """Of several protocols the member's first counts."""
    group = stage.name("g")
    member = joined(stage, group, protocols=protocols("sticky", "range", "roundrobin"))
    stage.ask("three", join(group, member.member_id, protocols=protocols("sticky", "range", "roundrobin")))
    stage.ask("reversed", join(group, member.member_id, protocols=protocols("roundrobin", "range", "sticky")))
    stage.ask("not the consumers' type", join(stage.name("connect"), protocol_type="connect"))
    stage.ask("a real subscription", join(stage.name("real"), protocols=subscribed_to("a", "b")))
