"""JoinGroup and SyncGroup: how a group comes to a generation."""

from __future__ import annotations

from broker.coordinators.groups.records import GroupMetadataRecord
from broker.tests.coordinators.groups.shards import REBALANCE, SESSION, Shard
from kproto.errors import ErrorCode


def test_a_new_member_gets_its_id_first() -> None:
    """KIP-394: from version 4 on a client becomes a member only after it has shown that it got its id."""
    shard = Shard()
    first = shard.join(client="app", version=4)
    assert first.error is ErrorCode.MEMBER_ID_REQUIRED
    assert first.reply.member_id.startswith("app-") and len(first.reply.member_id) == len("app-") + 36
    assert shard.described().members == []

    second = shard.join(first.reply.member_id, version=4)
    assert second.error is ErrorCode.NONE
    assert second.reply.member_id == first.reply.member_id


def test_old_clients_become_members_at_once() -> None:
    """Versions 0-3 know no MEMBER_ID_REQUIRED."""
    join = Shard().join(version=3)
    assert (join.error, join.reply.generation_id) == (ErrorCode.NONE, 1)
    assert join.reply.leader == join.reply.member_id


def test_a_group_is_written_down_as_soon_as_a_client_wants_to_join() -> None:
    """Kafka's first record of a group: generation 0, no kind, no members."""
    shard = Shard()
    shard.join()
    [record] = shard.records()
    assert isinstance(record, GroupMetadataRecord) and record.value is not None
    assert (record.value.protocol_type, record.value.generation, record.value.members) == ("", 0, [])
    assert (record.value.protocol, record.value.leader) == (None, None)


def test_only_the_leader_gets_the_members_of_the_group() -> None:
    """G4: the leader assigns, so it gets all members' metadata; the others get none."""
    shard = Shard()
    a, b = shard.new_id(), shard.new_id()
    shard.join(a, protocols={"range": b"wishes of a"})
    follower = shard.join(b, protocols={"range": b"wishes of b"})
    leader = shard.join(a, protocols={"range": b"wishes of a"})
    assert leader.reply.leader == follower.reply.leader == a
    assert [(each.member_id, each.metadata) for each in leader.reply.members] == [
        (a, b"wishes of a"),
        (b, b"wishes of b"),
    ]
    assert follower.reply.members == []
    assert leader.reply.generation_id == follower.reply.generation_id == 2
    assert (leader.reply.protocol_type, leader.reply.protocol_name) == ("consumer", "range")


def test_a_join_waits_for_the_members_of_the_last_generation() -> None:
    """No JoinGroup is answered before all known members have come; heartbeats ask the others to come."""
    shard = Shard()
    group = shard.stable(2)
    new = shard.join(version=3)
    assert not new.answered
    assert shard.beat(group.members[0], group.generation) is ErrorCode.REBALANCE_IN_PROGRESS
    first, second = shard.join(group.members[0]), shard.join(group.members[1])
    assert {each.reply.generation_id for each in (new, first, second)} == {group.generation + 1}


def test_members_that_do_not_come_back_in_time_are_left_behind() -> None:
    """KIP-62: the rebalance timeout of the most patient member bounds the first phase."""
    shard = Shard()
    group = shard.stable(2)
    new = shard.join(version=3, rebalance=2 * REBALANCE)
    kept = shard.join(group.members[0])
    for _ in range(20):
        shard.advance(2 * REBALANCE // 20)
        shard.beat(group.members[1], group.generation)
    assert new.answered and kept.answered
    assert {each.member_id for each in kept.reply.members} == {group.members[0], new.reply.member_id}
    assert shard.beat(group.members[1], group.generation) is ErrorCode.UNKNOWN_MEMBER_ID


def test_another_leader_is_found_when_the_old_one_does_not_come() -> None:
    """Who leads must have joined."""
    shard = Shard()
    group = shard.stable(2)
    follower = shard.join(group.members[1], protocols={"range": b"new wishes"})
    shard.advance(REBALANCE)
    assert follower.reply.leader == group.members[1]


def test_followers_wait_for_the_leader_to_assign() -> None:
    """SyncGroups are parked until the leader's comes; then each member gets its share, and the group is stable."""
    shard = Shard()
    a, b = shard.new_id(), shard.new_id()
    shard.join(a)
    shard.join(b)
    generation = shard.join(a).reply.generation_id
    follower = shard.sync(b, generation)
    assert not follower.answered
    leader = shard.sync(a, generation, {a: b"for a", b: b"for b"})
    assert (leader.reply.assignment, follower.reply.assignment) == (b"for a", b"for b")
    assert (leader.reply.protocol_type, leader.reply.protocol_name) == ("consumer", "range")
    assert shard.described().group_state == "Stable"


def test_whom_the_leader_forgets_gets_nothing() -> None:
    """A missing assignment is an empty one, not an error."""
    shard = Shard()
    a = shard.new_id()
    generation = shard.join(a).reply.generation_id
    assert shard.sync(a, generation, {"another member": b"x"}).reply.assignment == b""


def test_a_stable_group_repeats_its_assignment() -> None:
    """A member whose SyncGroup reply got lost asks again."""
    shard = Shard()
    group = shard.stable(2)
    again = shard.sync(group.members[1], group.generation)
    assert again.reply.assignment == f"share of {group.members[1]}".encode()


def test_the_generation_is_written_down_with_its_assignment() -> None:
    """G3: what a new coordinator must know: members, their timeouts, their subscriptions and their shares."""
    shard = Shard()
    member = shard.new_id()
    shard.join(member, protocols={"range": b"wishes"}, session=7_000, rebalance=50_000)
    shard.sync(member, 1, {member: b"share"})
    record = shard.records()[-1]
    assert isinstance(record, GroupMetadataRecord) and record.value is not None
    [entry] = record.value.members
    assert (record.value.generation, record.value.protocol, record.value.leader) == (1, "range", member)
    assert (entry.member_id, entry.client_id, entry.client_host) == (member, "client", "/10.0.0.1")
    assert (entry.session_timeout, entry.rebalance_timeout) == (7_000, 50_000)
    assert (entry.subscription, entry.assignment) == (b"wishes", b"share")


def test_a_retried_join_takes_the_place_of_the_one_it_repeats() -> None:
    """A client that lost patience sends JoinGroup again: the later request counts, the older is not left hanging."""
    shard = Shard()
    group = shard.stable(2)
    lost = shard.join(group.members[0])
    again = shard.join(group.members[0])
    assert lost.error is ErrorCode.REBALANCE_IN_PROGRESS and not again.answered
    shard.join(group.members[1])
    assert again.reply.generation_id == group.generation + 1


def test_a_retried_sync_takes_the_place_of_the_one_it_repeats() -> None:
    """The same for SyncGroup."""
    shard = Shard()
    a, b = shard.new_id(), shard.new_id()
    shard.join(a)
    shard.join(b)
    generation = shard.join(a).reply.generation_id
    lost, again = shard.sync(b, generation), shard.sync(b, generation)
    assert lost.error is ErrorCode.REBALANCE_IN_PROGRESS and not again.answered
    shard.sync(a, generation, {b: b"share"})
    assert again.reply.assignment == b"share"


def test_a_join_that_changes_nothing_is_answered_with_the_present_generation() -> None:
    """A follower that joins a stable group with the same subscription disturbs no other member."""
    shard = Shard()
    group = shard.stable(2)
    again = shard.join(group.members[1], protocols={"range": _wishes(shard, group.members[1])})
    assert (again.reply.generation_id, again.reply.members) == (group.generation, [])
    assert shard.described().group_state == "Stable"


def test_a_leader_may_force_a_rebalance() -> None:
    """The leader sees things that no subscription shows, such as new partitions; its JoinGroup always starts over."""
    shard = Shard()
    group = shard.stable(2)
    assert not shard.join(group.leader, protocols={"range": _wishes(shard, group.leader)}).answered
    assert shard.described().group_state == "PreparingRebalance"


def test_a_join_while_the_leader_computes_is_repeated_or_starts_over() -> None:
    """With the same wishes: the answer again, with the members if it leads. With others: a new rebalance."""
    shard = Shard()
    a, b = shard.new_id(), shard.new_id()
    shard.join(a)
    shard.join(b)
    shard.join(a)
    assert len(shard.join(a).reply.members) == 2
    follower = shard.sync(b, 2)
    assert not shard.join(a, protocols={"range": b"other wishes"}).answered
    assert follower.error is ErrorCode.REBALANCE_IN_PROGRESS


def test_an_unknown_member_must_join_again() -> None:
    """With an id but without a group, or in a group that does not know it."""
    shard = Shard()
    assert shard.join("who?").error is ErrorCode.UNKNOWN_MEMBER_ID
    assert shard.machine.described("g") is None, "and no group comes of it"
    shard.stable(1)
    lost = shard.join("who?")
    assert (lost.error, lost.reply.member_id) == (ErrorCode.UNKNOWN_MEMBER_ID, "who?")


def test_members_must_have_kind_and_a_protocol_in_common() -> None:
    """INCONSISTENT_GROUP_PROTOCOL otherwise, and for no kind or no protocol at all."""
    shard = Shard()
    assert shard.join(kind="").error is ErrorCode.INCONSISTENT_GROUP_PROTOCOL
    assert shard.join(protocols=[]).error is ErrorCode.INCONSISTENT_GROUP_PROTOCOL
    assert shard.machine.described("g") is None
    shard.stable(1)
    assert shard.join(kind="connect").error is ErrorCode.INCONSISTENT_GROUP_PROTOCOL
    assert shard.join(protocols=["sticky"]).error is ErrorCode.INCONSISTENT_GROUP_PROTOCOL


def test_the_protocol_with_the_most_votes_wins() -> None:
    """Each member votes for the first of its protocols that all members offer."""
    shard = Shard()
    a, b, c = (shard.new_id() for _ in range(3))
    offers = {a: ["range", "sticky"], b: ["sticky", "range"], c: ["cooperative", "sticky", "range"]}
    shard.join(a, protocols=offers[a])
    shard.join(b, protocols=offers[b])
    shard.join(c, protocols=offers[c])
    last = shard.join(a, protocols=offers[a])
    assert last.reply.protocol_name == "sticky"


def test_of_two_protocols_with_one_name_the_first_counts() -> None:
    """Kafka keeps protocols in a map by name."""
    shard = Shard()
    member = shard.new_id()
    shard.join(member, protocols=["range", "range"])
    shard.sync(member, 1)
    assert shard.described().members[0].member_metadata == b"wishes"


def test_an_empty_group_may_become_of_another_kind() -> None:
    """A group's kind is its members'."""
    shard = Shard()
    group = shard.stable(1)
    shard.leave(group.leader)
    assert shard.join(kind="connect", protocols=["default"], version=3).reply.protocol_type == "connect"


def test_session_timeouts_have_bounds() -> None:
    """group.min.session.timeout.ms and group.max.session.timeout.ms, both inclusive."""
    shard = Shard(min_session_timeout=100, max_session_timeout=200)
    for timeout, error in [(99, 26), (100, 79), (200, 79), (201, 26), (-1, 26)]:
        assert shard.join(session=timeout).error == error


def test_a_group_has_a_name() -> None:
    """INVALID_GROUP_ID for the empty one, in every request of members."""
    shard = Shard()
    assert shard.join(group="").error is ErrorCode.INVALID_GROUP_ID
    assert shard.sync("m", 1, group="").error is ErrorCode.INVALID_GROUP_ID
    assert shard.beat("m", 1, group="") is ErrorCode.INVALID_GROUP_ID
    assert shard.leave("m", group="") == [ErrorCode.INVALID_GROUP_ID]


def test_sync_is_refused_to_whom_it_does_not_concern() -> None:
    """Unknown group or member, another generation, another protocol, a rebalance that is under way."""
    shard = Shard()
    assert shard.sync("m", 1).error is ErrorCode.UNKNOWN_MEMBER_ID
    group = shard.stable(2)
    a, generation = group.members[0], group.generation
    assert shard.sync("m", generation).error is ErrorCode.UNKNOWN_MEMBER_ID
    assert shard.sync(a, generation - 1).error is ErrorCode.ILLEGAL_GENERATION
    assert shard.sync(a, generation, kind="connect").error is ErrorCode.INCONSISTENT_GROUP_PROTOCOL
    assert shard.sync(a, generation, kind="consumer", protocol="sticky").error is ErrorCode.INCONSISTENT_GROUP_PROTOCOL
    assert shard.sync(a, generation, kind="consumer", protocol="range").error is ErrorCode.NONE
    shard.join(a)
    assert shard.sync(a, generation).error is ErrorCode.REBALANCE_IN_PROGRESS


def test_version_0_has_one_timeout_for_both() -> None:
    """KIP-62 split them; before, the session timeout bounded the rebalance as well."""
    shard = Shard()
    old = shard.join(version=0, rebalance=-1, session=SESSION)
    shard.sync(old.reply.member_id, 1)
    shard.join(version=0, rebalance=-1, session=SESSION)
    shard.advance(SESSION)
    assert shard.beat(old.reply.member_id, 1) is ErrorCode.UNKNOWN_MEMBER_ID


def test_an_empty_group_waits_a_little_for_company() -> None:
    """KIP-134: the first rebalance is delayed, and again while members come, up to the rebalance timeout."""
    shard = Shard(initial_rebalance_delay=3_000)
    a = shard.join(version=3, rebalance=7_000)
    shard.advance(2_900)
    b = shard.join(version=3, rebalance=7_000)
    shard.advance(2_900)
    assert not a.answered, "b has prolonged it"
    c = shard.join(version=3, rebalance=7_000)
    shard.advance(1_199)
    assert not a.answered
    shard.advance(1)
    assert [each.reply.generation_id for each in (a, b, c)] == [1, 1, 1], "7 s are over, though c has only just come"


def test_without_company_the_initial_delay_is_not_prolonged() -> None:
    """One delay, and on."""
    shard = Shard(initial_rebalance_delay=3_000)
    alone = shard.join(version=3)
    shard.advance(2_999)
    assert not alone.answered
    shard.advance(1)
    assert alone.reply.generation_id == 1


def _wishes(shard: Shard, member: str) -> bytes:
    [found] = [each.member_metadata for each in shard.described().members if each.member_id == member]
    return found
