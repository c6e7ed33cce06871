"""Two members in one group: who waits for whom, and who is asked to join again."""

from __future__ import annotations

from kproto.messages.describe_groups import DescribeGroupsRequest
from kproto.messages.heartbeat import HeartbeatRequest
from kproto.messages.join_group import JoinGroupRequest
from kproto.messages.sync_group import SyncGroupRequest
from tools.answers.group_requests import (
    Member,
    beat,
    commit,
    fetch_offsets,
    join,
    leave,
    protocols,
    stable,
    sync,
)
from tools.answers.requests import unknown_topic
from tools.answers.scenario import scenario
from tools.answers.stage import Stage


def in_state(stage: Stage, group: str, state: str) -> None:
    """Wait until the group is in a state."""
    stage.until(DescribeGroupsRequest(groups=[group]), lambda reply: reply.groups[0].group_state == state)


@scenario(JoinGroupRequest)
def a_second_member(stage: Stage) -> None:
    """The first is asked to join again, then both have the generation; the leader sees both subscriptions."""
    first = stable(stage)
    group = first.group
    other = stage.elsewhere()
    second_id = ""
    if stage.version >= 4:
        second_id = other.arrange(join(group), version=stage.version).member_id
    waiting = other.begin("the second joins", join(group, second_id, protocols=protocols("range", metadata=b"second")))
    in_state(stage, group, "PreparingRebalance")
    stage.ask("the first beats", beat(first))
    stage.ask("the first syncs too late", sync(first))
    stage.ask("described while preparing", DescribeGroupsRequest(groups=[group]))
    again = stage.ask("the first joins again", join(group, first.member_id))
    second = waiting()
    leader = Member(group, first.member_id, again.generation_id)
    follower = Member(group, second.member_id, second.generation_id)
    stage.ask("beats before sync", beat(leader))
    stage.ask("the old generation beats", beat(first))
    synced = other.begin("the second syncs", sync(follower))
    stage.ask("the first syncs", sync(leader, {leader.member_id: b"first", follower.member_id: b"second"}))
    synced()
    stage.ask("described when stable", DescribeGroupsRequest(groups=[group]))
    stage.ask("the second's beat", beat(follower))
    other.ask(
        "the follower joins again, nothing new",
        join(group, follower.member_id, protocols=protocols("range", metadata=b"second")),
    )
    stage.ask("the leader's beat", beat(leader))
    stage.arrange(leave(5, group, (follower.member_id, None)))
    stage.ask("the leader's beat after the second has left", beat(leader))
    stage.ask("the leader joins alone", join(group, leader.member_id))
    other.close()


@scenario(SyncGroupRequest)
def a_sync_that_is_overtaken(stage: Stage) -> None:
    """A follower waits for the leader's assignments; another rebalance sends it away."""
    first = stable(stage)
    group = first.group
    other = stage.elsewhere()
    second_id = other.arrange(join(group)).member_id
    waiting = other.begin("the second joins", join(group, second_id))
    in_state(stage, group, "PreparingRebalance")
    again = stage.arrange(join(group, first.member_id))
    second = waiting()
    follower = Member(group, second.member_id, second.generation_id)
    synced = other.begin("the second syncs", sync(follower))
    # A round trip on the same coordinator, so that the sync is there before the leader turns away.
    other_view = stage.elsewhere()
    in_state(other_view, group, "CompletingRebalance")
    other_view.settle()
    other_view.close()
    assert again.generation_id == second.generation_id
    stage.arrange(leave(5, group, (first.member_id, None)))
    synced()
    stage.ask("the second beats", beat(follower))
    third = other.ask("the second joins alone", join(group, follower.member_id))
    assert third is not None
    other.close()


@scenario(HeartbeatRequest)
def commits_while_rebalancing(stage: Stage) -> None:
    """Offsets may be committed while a rebalance is prepared, and not once it is being completed."""
    from tools.answers.group_requests import committed_by

    first, topic = stable(stage), stage.topic("t")
    group = first.group
    other = stage.elsewhere()
    second_id = other.arrange(join(group)).member_id
    waiting = other.begin("the second joins", join(group, second_id))
    in_state(stage, group, "PreparingRebalance")
    stage.ask("commit while preparing", committed_by(first, topic, 5))
    stage.ask("an outsider's commit", commit(group, topic, 9))
    stage.ask("a commit for nothing", committed_by(first, unknown_topic(stage), 5))
    again = stage.arrange(join(group, first.member_id))
    waiting()
    leader = Member(group, first.member_id, again.generation_id)
    stage.ask("commit while completing", committed_by(leader, topic, 6))
    stage.ask("commit of the generation before", committed_by(first, topic, 7))
    stage.ask("what is committed", fetch_offsets(8, group, (topic, [0])), version=8)
    stage.ask("beat while completing", beat(leader))
    other.close()
