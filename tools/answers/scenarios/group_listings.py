"""DescribeGroups, ListGroups and DeleteGroups: groups as an administrator sees them."""

from __future__ import annotations

from kproto.messages.delete_groups import DeleteGroupsRequest
from kproto.messages.describe_groups import DescribeGroupsRequest
from kproto.messages.list_groups import ListGroupsRequest
from tools.answers.group_requests import commit, join, joined, leave, stable, subscribed_to
from tools.answers.scenario import scenario
from tools.answers.stage import Stage


@scenario(DescribeGroupsRequest)
def groups_in_all_states(stage: Stage) -> None:
    topic = stage.topic("t")
    stage.ask("unknown", DescribeGroupsRequest(groups=[stage.name("unknown")]))
    stage.ask("empty name", DescribeGroupsRequest(groups=[""]))
    stage.ask("none", DescribeGroupsRequest())
    stage.arrange(commit(stage.name("offsets"), topic))
    stage.ask("offsets only", DescribeGroupsRequest(groups=[stage.name("offsets")]))
    stage.arrange(join(stage.name("waiting")))
    stage.ask("one who has only an id", DescribeGroupsRequest(groups=[stage.name("waiting")]))
    joined(stage, stage.name("completing"))
    stage.ask("completing", DescribeGroupsRequest(groups=[stage.name("completing")]))
    member = stable(stage, "stable", instance_id="one")
    stage.ask("stable", DescribeGroupsRequest(groups=[member.group]))
    stage.ask("many", DescribeGroupsRequest(groups=[member.group, stage.name("unknown"), stage.name("offsets")]))
    stage.ask("the same twice", DescribeGroupsRequest(groups=[member.group, member.group]))
    stage.arrange(leave(5, member.group, (member.member_id, None)))
    stage.ask("left by all", DescribeGroupsRequest(groups=[member.group]))
    stage.arrange(DeleteGroupsRequest(groups_names=[member.group]))
    stage.ask("deleted", DescribeGroupsRequest(groups=[member.group]))
    if stage.version >= 3:
        for group in ("stable", "offsets", "completing"):
            stage.ask(
                f"what one may do with {group}",
                DescribeGroupsRequest(groups=[stage.name(group)], include_authorized_operations=True),
            )


@scenario(DescribeGroupsRequest)
def connectors(stage: Stage) -> None:
    member = stable(stage, protocol_type="connect")
    stage.ask("of another type", DescribeGroupsRequest(groups=[member.group]))
    real = stable(stage, "real", protocols=subscribed_to("a"))
    stage.ask("a subscription", DescribeGroupsRequest(groups=[real.group]))


@scenario(ListGroupsRequest)
def listing(stage: Stage) -> None:
    topic = stage.topic("t")
    stage.ask("none of ours", ListGroupsRequest(), only_mine=True)
    stage.arrange(commit(stage.name("offsets"), topic))
    stage.arrange(join(stage.name("waiting")))
    joined(stage, stage.name("completing"))
    stable(stage, "stable")
    stable(stage, "connect", protocol_type="connect")
    left = stable(stage, "left")
    stage.arrange(leave(5, left.group, (left.member_id, None)))
    stage.ask("all", ListGroupsRequest(), only_mine=True)
    if stage.version >= 4:
        for state in (
            "Stable",
            "Empty",
            "stable",
            "STABLE",
            "Dead",
            "CompletingRebalance",
            "PreparingRebalance",
            "Assigning",
            "Reconciling",
            "what",
            "",
        ):
            stage.ask(f"in state {state!r}", ListGroupsRequest(states_filter=[state]), only_mine=True)
        stage.ask("in two states", ListGroupsRequest(states_filter=["Stable", "Empty"]), only_mine=True)
        stage.ask("in a state that is none, too", ListGroupsRequest(states_filter=["Stable", "x"]), only_mine=True)
    if stage.version >= 5:
        for kind in ("classic", "Classic", "consumer", "share", "streams", "unknown", "what", ""):
            stage.ask(f"of type {kind!r}", ListGroupsRequest(types_filter=[kind]), only_mine=True)
        stage.ask(
            "stable and classic", ListGroupsRequest(states_filter=["Stable"], types_filter=["classic"]), only_mine=True
        )


@scenario(DeleteGroupsRequest)
def deleting(stage: Stage) -> None:
    topic = stage.topic("t")

    def named(*groups: str) -> DeleteGroupsRequest:
        return DeleteGroupsRequest(groups_names=[stage.name(each) for each in groups])

    stage.ask("none", named())
    stage.ask("unknown", named("unknown"))
    stage.ask("an empty name", DeleteGroupsRequest(groups_names=[""]))
    stage.arrange(commit(stage.name("offsets"), topic))
    stage.ask("offsets only", named("offsets"))
    stage.ask("again", named("offsets"))
    stage.arrange(join(stage.name("waiting")))
    stage.ask("one who has only an id", named("waiting"))
    joined(stage, stage.name("completing"))
    stage.ask("completing", named("completing"))
    member = stable(stage, "stable")
    stage.ask("with a member", named("stable"))
    stage.arrange(leave(5, member.group, (member.member_id, None)))
    stage.arrange(commit(stage.name("offsets"), topic))
    stage.ask("three, one twice", named("stable", "unknown", "offsets", "stable"))
    stage.ask("all gone", DescribeGroupsRequest(groups=[stage.name("stable"), stage.name("offsets")]))
