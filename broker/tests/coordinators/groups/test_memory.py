"""One budget of memory for all groups: what would grow beyond it is refused, and what does not grow is served."""

from __future__ import annotations

from broker.coordinators.groups.machine import GroupsMachine
from broker.coordinators.groups.memory import GROUP_BYTES, MEMBER_BYTES, OFFSET_BYTES, Budget
from broker.coordinators.groups.settings import GroupSettings
from broker.tests.coordinators.groups.shards import SESSION, Shard
from kproto.errors import ErrorCode
from storage.seams.entropy import SeededEntropy

LARGE = {"range": b"x" * 10_000}
CHECK = 600_000


def test_members_of_all_groups_share_one_budget() -> None:
    """G12: 91 groups with one member of 32 MB each took 3 GB, each below its own bound."""
    shard = Shard(max_state=100_000)
    joined: list[str] = []
    while (member := shard.join(group=f"{len(joined)}", protocols=LARGE, version=3)).error is ErrorCode.NONE:
        joined.append(member.reply.member_id)
    assert member.error is ErrorCode.GROUP_MAX_SIZE_REACHED
    assert len(joined) == 100_000 // (GROUP_BYTES + MEMBER_BYTES + 10_000 + 200)
    assert shard.machine.described(f"{len(joined)}") is None, "no group comes into being for it"
    assert shard.join(joined[0], group="0", protocols=LARGE).error is ErrorCode.NONE, "it takes no more than before"
    longer = {"range": b"x" * 20_000}
    assert shard.join(joined[1], group="1", protocols=longer).error is ErrorCode.GROUP_MAX_SIZE_REACHED
    shard.leave(joined[0], group="0")
    assert shard.join(group="again", protocols=LARGE, version=3).error is ErrorCode.NONE


def test_assignments_count() -> None:
    """Leaders that hand out much took 1.4 GB. Their members get an error, and can try again with less."""
    shard = Shard(max_state=20_000)
    leader, follower = (shard.join(version=3) for _ in range(2))
    ids = [leader.reply.member_id]
    again = shard.join(ids[0])
    ids.append(follower.reply.member_id)
    waiting = shard.sync(ids[1], 2)
    assert shard.sync(ids[0], 2, {ids[1]: b"a" * 20_000}).error is ErrorCode.UNKNOWN_SERVER_ERROR
    assert waiting.error is ErrorCode.UNKNOWN_SERVER_ERROR, "no follower waits in vain"
    assert again.answered
    shard.join(ids[0])
    shard.join(ids[1])
    shard.sync(ids[1], 3)
    assert shard.sync(ids[0], 3, {ids[1]: b"a" * 10_000}).error is ErrorCode.NONE


def test_offsets_count_and_the_next_one_of_a_partition_is_always_taken() -> None:
    """INVALID_COMMIT_OFFSET_SIZE for those that there is no room for; the others of the request are committed."""
    shard = Shard(max_state=GROUP_BYTES + 1 + 3 * OFFSET_BYTES)
    codes = shard.commit({("t", partition): 1 for partition in range(5)})
    assert codes == [ErrorCode.NONE] * 3 + [ErrorCode.INVALID_COMMIT_OFFSET_SIZE] * 2
    assert shard.commit({("t", 0): 2, ("t", 2): 3}) is ErrorCode.NONE
    assert shard.commit({("t", 1): 2}, metadata="m") == [ErrorCode.INVALID_COMMIT_OFFSET_SIZE]
    assert shard.commit({("t", 0): 1}, group="h") == [ErrorCode.INVALID_COMMIT_OFFSET_SIZE]
    assert shard.committed() == {("t", 0): 2, ("t", 1): 1, ("t", 2): 3}
    assert [each.group_id for each in shard.machine.listed()] == ["g"]
    shard.forget_topics("t")
    shard.advance(1)
    assert shard.commit({("u", partition): 1 for partition in range(3)}) is ErrorCode.NONE


def test_ids_that_were_given_out_count() -> None:
    """10,000 of them with 32 KB each were 320 MB for one group, and a minute's work."""
    shard = Shard(max_state=100_000)
    given = 0
    while shard.join(client="c" * 10_000).error is ErrorCode.MEMBER_ID_REQUIRED:
        given += 1
    assert 0 < given < 10
    shard.advance(SESSION)
    assert shard.join(client="c" * 10_000).error is ErrorCode.MEMBER_ID_REQUIRED


def test_what_is_in_the_log_is_served_whatever_the_budget() -> None:
    """The setting was lowered: nothing is lost, nothing can grow."""
    shard = Shard()
    group = shard.stable(2)
    shard.commit({("t", 0): 1}, member=group.leader, generation=group.generation)
    shard.restart(max_state=1)
    assert shard.committed() == {("t", 0): 1}
    assert shard.beat(group.leader, group.generation) is ErrorCode.NONE
    assert shard.commit({("t", 0): 2}, member=group.leader, generation=group.generation) is ErrorCode.NONE
    assert shard.join(version=3).error is ErrorCode.GROUP_MAX_SIZE_REACHED
    assert shard.beat(group.leader, group.generation) is ErrorCode.NONE, "and the group is not disturbed"


def test_with_the_last_group_nothing_is_held() -> None:
    """By whatever way they go."""
    shard = Shard()
    shard.stable(3, group="left")
    shard.commit({("t", 0): 1}, group="deleted", metadata="m")
    shard.new_id(group="never came back", client="c" * 100)
    assert shard.machine.account.bytes > 5 * GROUP_BYTES
    shard.delete("deleted")
    shard.advance(2 * CHECK)
    assert list(shard.machine.listed()) == []
    assert shard.machine.account.bytes == 0


def test_machines_of_one_broker_share_the_budget() -> None:
    """A machine that is dropped is no part of the sum any more."""
    machines: list[GroupsMachine] = []
    budget = Budget(10_000, lambda: sum(machine.account.bytes for machine in machines))
    one, other = (GroupsMachine(GroupSettings(), SeededEntropy(0), budget) for _ in range(2))
    machines += [one, other]
    one.account.bytes, other.account.bytes = 4_000, 5_000
    assert budget.allows(1_000) and not budget.allows(1_001) and budget.allows(0)
    assert budget.refused == 1
    machines.remove(one)
    assert budget.held == 5_000 and budget.allows(5_000)
