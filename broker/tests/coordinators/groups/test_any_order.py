"""Any number of clients in any order, crashes and silence included: the invariants hold, and no client is left waiting.

The model knows little on purpose: which ids it has been given, what it has committed, which requests it waits for.
After every decision the machine's own `check` has run, and every settled group and every offset is what the log alone
makes of it (see `shards.py`). Limits are drawn small, for what happens at a limit is seldom tried otherwise.
"""

from __future__ import annotations

from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from broker.coordinators.groups.machine import GroupsMachine
from broker.coordinators.groups.offsets import OffsetToCommit
from broker.tests.coordinators.groups.shards import Shard, Waiting
from kproto.errors import ErrorCode
from kproto.ids import ZERO_UUID
from kproto.messages.leave_group import MemberIdentity

GROUPS = st.sampled_from(["g", "h"])
PICK = st.integers(0, 1_000)
OFFERS = st.sampled_from([("range",), ("sticky", "range"), ("range", "sticky"), ("sticky",)])
INSTANCES = st.sampled_from([None, None, None, "i", "j"])
SESSION, REBALANCE = 5_000, 8_000
EXPECTED_OF_JOIN = {
    ErrorCode.NONE,
    ErrorCode.MEMBER_ID_REQUIRED,
    ErrorCode.UNKNOWN_MEMBER_ID,
    ErrorCode.FENCED_INSTANCE_ID,
    ErrorCode.INCONSISTENT_GROUP_PROTOCOL,
    ErrorCode.GROUP_MAX_SIZE_REACHED,
    ErrorCode.REBALANCE_IN_PROGRESS,
}


class Clients(RuleBasedStateMachine):
    """Clients that send what they were answered, and now and then something else."""

    @initialize(
        delay=st.sampled_from([0, 0, 3_000]),
        size=st.sampled_from([2, 3, 1_000]),
        metadata=st.sampled_from([150, 1_500]),
        record=st.sampled_from([600, 900, 100_000]),
        retention=st.sampled_from([10_000, 10**9]),
        batch=st.sampled_from([1, 2_000]),
        seed=st.integers(0, 3),
    )
    def start(self, delay: int, size: int, metadata: int, record: int, retention: int, batch: int, seed: int) -> None:
        self.shard = Shard(
            min_session_timeout=1,
            seed=seed,
            initial_rebalance_delay=delay,
            max_size=size,
            max_pending_members=4,
            max_group_metadata=metadata,
            max_record=record,
            offsets_retention=retention,
            offsets_retention_check_interval=1_000,
            expiry_batch=batch,
        )
        self.forgets = retention < 10**9
        self.ids: list[tuple[str, str, str | None]] = []  # group, member, instance
        self.generations: dict[str, int] = {}
        self.waiting: list[tuple[str, str | None, Waiting[Any]]] = []
        self.order = 0
        self.committed: dict[tuple[str, int], tuple[int, int]] = {}  # order and offset
        self.pending: dict[int, dict[tuple[str, int], tuple[int, int]]] = {}  # the same, by producer id

    def _member(self, pick: int) -> tuple[str, str, str | None]:
        return self.ids[pick % len(self.ids)] if self.ids else ("g", "unknown", None)

    def _settle(self) -> None:
        """Learn from what has been answered."""
        for group, instance, waiting in [each for each in self.waiting if each[2].answered]:
            self.waiting.remove((group, instance, waiting))
            reply = waiting.reply
            if hasattr(reply, "generation_id"):
                assert waiting.error in EXPECTED_OF_JOIN
                if reply.member_id and (group, reply.member_id, instance) not in self.ids:
                    self.ids.append((group, reply.member_id, instance))
                if waiting.error is ErrorCode.NONE:
                    self.generations[group] = max(reply.generation_id, self.generations.get(group, 0))
                    assert (len(reply.members) > 0) == (reply.leader == reply.member_id)

    @rule(
        group=GROUPS,
        offers=OFFERS,
        instance=INSTANCES,
        version=st.sampled_from([3, 8, 9]),
        patience=st.sampled_from([REBALANCE, 0, 1]),
    )
    def join_new(
        self, group: str, offers: tuple[str, ...], instance: str | None, version: int, patience: int = REBALANCE
    ) -> None:
        waiting = self.shard.join(
            group=group, protocols=offers, instance=instance, version=version, session=SESSION, rebalance=patience
        )
        self.waiting.append((group, instance, waiting))
        self._settle()

    @rule(pick=PICK, offers=OFFERS, disguise=INSTANCES)
    def join_again(self, pick: int, offers: tuple[str, ...], disguise: str | None) -> None:
        group, member, instance = self._member(pick)
        instance = instance or disguise
        waiting = self.shard.join(
            member, group=group, protocols=offers, instance=instance, session=SESSION, rebalance=REBALANCE
        )
        self.waiting.append((group, instance, waiting))
        self._settle()

    @rule(pick=PICK, stale=st.sampled_from([0, 0, 0, 1]))
    def sync(self, pick: int, stale: int) -> None:
        group, member, instance = self._member(pick)
        found = self.shard.machine._classic_group(group)
        generation = (found.generation if found is not None else 1) - stale
        shares = {each: f"{generation} {each}".encode() for g, each, _ in self.ids if g == group}
        waiting = self.shard.sync(member, generation, shares, group=group, instance=instance)
        self.waiting.append((group, instance, waiting))
        if waiting.answered and waiting.error is ErrorCode.NONE:
            share = waiting.reply.assignment.decode()
            former_self = instance is not None and f" {instance}-" in share
            assert share.endswith(member) or former_self or not share
        self._settle()

    @rule(pick=PICK)
    def beat(self, pick: int) -> None:
        group, member, instance = self._member(pick)
        self.shard.beat(member, self.generations.get(group, 0), group=group, instance=instance)

    @rule(pick=PICK, by_instance=st.booleans())
    def leave(self, pick: int, by_instance: bool) -> None:
        group, member, instance = self._member(pick)
        self.shard.leave(
            MemberIdentity(member_id="" if by_instance else member, group_instance_id=instance), group=group
        )
        self._settle()

    @rule(pick=PICK, partition=st.integers(0, 2), offset=st.integers(0, 9), outsider=st.booleans())
    def commit(self, pick: int, partition: int, offset: int, outsider: bool) -> None:
        group, member, instance = self._member(pick)
        found = self.shard.machine._classic_group(group)
        generation = -1 if outsider or found is None else found.generation
        code = self.shard.commit(
            {("t", partition): offset},
            group=group,
            member="" if outsider else member,
            generation=generation,
            instance=None if outsider else instance,
        )
        if code is ErrorCode.NONE:
            self.committed[group, partition] = self._next(), offset

    @rule(pick=PICK, partitions=st.sets(st.integers(0, 2), min_size=2), offset=st.integers(0, 9))
    def commit_many(self, pick: int, partitions: set[int], offset: int) -> None:
        """As very many are committed."""
        group, _, _ = self._member(pick)
        commits = [OffsetToCommit("t", ZERO_UUID, partition, offset, 0, "") for partition in partitions]
        waiting = self.shard.commit_many(commits, group=group)
        reply: Any = waiting.reply
        if isinstance(reply, list):
            for partition in partitions:
                self.committed[group, partition] = self._next(), offset

    def _next(self) -> int:
        """The order of what is written down."""
        self.order += 1
        return self.order

    @rule(pick=PICK, producer=st.integers(0, 2), partition=st.integers(0, 2), offset=st.integers(0, 9))
    def commit_in_transaction(self, pick: int, producer: int, partition: int, offset: int) -> None:
        group, _, _ = self._member(pick)
        if self.shard.commit_in_transaction(producer, {("t", partition): offset}, group=group) is ErrorCode.NONE:
            self.pending.setdefault(producer, {})[group, partition] = self._next(), offset
            assert ("t", partition) in self.shard.unstable(group)

    @rule(producer=st.integers(0, 2), commit=st.booleans())
    def end_transaction(self, producer: int, commit: bool) -> None:
        """The latest record of a partition counts, in the order of the log."""
        self.shard.end_transaction(producer, commit)
        for place, pending in self.pending.pop(producer, {}).items():
            if commit and pending > self.committed.get(place, (0, 0)):
                self.committed[place] = pending
            others = any(place in each for each in self.pending.values())
            assert (("t", place[1]) in self.shard.unstable(place[0])) == others

    def _has_forgotten(self, *places: tuple[str, int]) -> None:
        for place in places:
            self.committed.pop(place, None)
            for pending in self.pending.values():
                pending.pop(place, None)

    @rule(group=GROUPS, partitions=st.lists(st.integers(0, 2), max_size=3))
    def delete_offsets(self, group: str, partitions: list[int]) -> None:
        codes = self.shard.delete_offsets(*(("t", partition) for partition in partitions), group=group)
        for partition, code in zip(partitions, codes if isinstance(codes, list) else (), strict=False):
            if code is ErrorCode.NONE:
                self._has_forgotten((group, partition))

    @rule()
    def forget_topic(self) -> None:
        for producer in list(self.pending):
            self.end_transaction(producer, False)
        self.shard.forget_topics("t")
        self.shard.advance(1)  # a search that has used its room up finds out a moment later that it is at its end
        self.committed.clear()

    @rule(group=GROUPS)
    def delete(self, group: str) -> None:
        [code] = self.shard.delete(group)
        if code is ErrorCode.NONE:
            self._has_forgotten(*((group, partition) for partition in range(3)))

    @rule(group=GROUPS)
    def all_of_a_group_sync(self, group: str) -> None:
        """As members do that have nothing else to do: settled groups would be rare otherwise."""
        found = self.shard.machine._classic_group(group)
        for member in list(found.members.values()) if found is not None else ():
            assert found is not None
            shares = {each: f"{found.generation} {each}".encode() for each in found.members}
            waiting = self.shard.sync(
                member.member_id, found.generation, shares, group=group, instance=member.instance_id
            )
            self.waiting.append((group, member.instance_id, waiting))
        self._settle()

    @rule(millis=st.sampled_from([0, 1, 1_000, SESSION - 1, SESSION, REBALANCE]))
    def wait(self, millis: int) -> None:
        self.shard.advance(millis)
        self._settle()

    @rule()
    def crash(self) -> None:
        self.waiting.clear()
        self.shard.restart()

    @invariant()
    def offsets_are_what_was_committed(self) -> None:
        for group in ("g", "h"):
            model = {
                ("t", partition): offset for (owner, partition), (_, offset) in self.committed.items() if owner == group
            }
            committed = self.shard.committed(group)
            assert committed.items() <= model.items() if self.forgets else committed == model

    def teardown(self) -> None:
        """All clients fall silent: all are answered, all groups become empty."""
        if not hasattr(self, "shard"):
            return
        for producer in list(self.pending):
            self.shard.end_transaction(producer, True)
        assert not any(map(self.shard.unstable, ("g", "h")))
        self.shard.advance(20 * (REBALANCE + SESSION) + 300_000)
        assert not self.shard.waiting, "a client waits forever"
        assert all(each.group_state == "Empty" for each in self.shard.machine.listed())


Clients.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestClients = Clients.TestCase


OF_CONSUMER_GROUPS = {
    "decide_consumer_heartbeat",
    "decide_target",
    "decide_room",
    "decide_give_up",
    "decide_resolved",
}
"""Tried in `consumer/test_any_order.py`."""


def test_every_decision_of_a_shard_is_tried() -> None:
    """M10: a decision that is new is tried here as well, where state and log are compared."""
    decisions = {name for name in dir(GroupsMachine) if name.startswith("decide_")}
    assert decisions - OF_CONSUMER_GROUPS == {
        "decide_join",
        "decide_sync",
        "decide_heartbeat",
        "decide_leave",
        "decide_commit",
        "decide_commit_prepared",
        "decide_commit_in_transaction",
        "decide_end_transaction",
        "decide_delete_offsets",
        "decide_forget_topics",
        "decide_delete_group",
        "decide_delete_prepared",
        "decide_expired",
    }
