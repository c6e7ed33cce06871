"""Consumers do what they like, in any order, with crashes in between: then each partition has one owner.

After every step the state is checked, and compared with what the log says (`shards.py`): no partition ever has two
owners. In the end the members that are left beat honestly, and the group has to settle, with every partition of what
they read owned once.
"""

from __future__ import annotations

from functools import partial

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from broker.tests.coordinators.groups.consumer.members import SESSION, ConsumerShard
from kproto.errors import ErrorCode

MEMBERS = st.sampled_from(["m1", "m2", "m3", "m4"])
SUBSCRIPTIONS = st.sampled_from([["a"], ["a", "b"], ["b", "later"], []])
EXPRESSIONS = st.sampled_from(["a", "[ab]", ".*", ""])
INSTANCES = st.sampled_from([None, None, "i1", "i2"])
LEAST_PAUSE = 10_000


class Consumers(RuleBasedStateMachine):
    """Clients of one group, and what each believes of itself: its epoch and what it owns."""

    shard: ConsumerShard
    epochs: dict[str, int]
    owns: dict[str, dict[str, list[int]]]
    instances: dict[str, str | None]

    @initialize(interval=st.sampled_from([0, 1_000]), computes=st.booleans())
    def begin(self, interval: int, computes: bool) -> None:
        self.shard = ConsumerShard({"a": 3, "b": 2})
        self.shard.set_times(assignment_interval=interval)
        self.shard.computes = computes
        self.epochs, self.owns, self.instances = {}, {}, {}

    def take(self, member: str, answer: object, *, lost: bool = False) -> None:
        """The client gets the answer, unless it is lost."""
        assert hasattr(answer, "error_code")
        if lost:
            return
        if answer.error_code:
            self.epochs.pop(member, None)
            self.owns.pop(member, None)
            return
        self.epochs[member] = answer.member_epoch  # type: ignore[attr-defined]
        shares = self.shard.shares(answer)  # type: ignore[arg-type]
        if shares is not None:
            self.owns[member] = shares

    @rule(member=MEMBERS, topics=SUBSCRIPTIONS, expression=EXPRESSIONS, instance=INSTANCES)
    def join(self, member: str, topics: list[str], expression: str, instance: str | None) -> None:
        answer = self.shard.heartbeat(member, 0, topics, expression=expression, instance=instance)
        self.take(member, answer)
        if answer.error_code == ErrorCode.NONE:
            self.instances[member] = instance

    @rule(member=MEMBERS, says=st.booleans(), lost=st.booleans())
    def beat(self, member: str, says: bool, lost: bool) -> None:
        if member in self.epochs:
            owns = self.owns.get(member, {}) if says else None
            answer = self.shard.heartbeat(member, self.epochs[member], owns=owns, instance=self.instances.get(member))
            self.take(member, answer, lost=lost)

    @rule(member=MEMBERS, topics=SUBSCRIPTIONS, expression=EXPRESSIONS)
    def subscribe(self, member: str, topics: list[str], expression: str) -> None:
        if member in self.epochs:
            answer = self.shard.heartbeat(
                member, self.epochs[member], topics, expression=expression, instance=self.instances.get(member)
            )
            self.take(member, answer)

    @rule(member=MEMBERS, assignor=st.sampled_from(["uniform", "range"]))
    def wish(self, member: str, assignor: str) -> None:
        if member in self.epochs:
            self.take(member, self.shard.heartbeat(member, self.epochs[member], assignor=assignor))

    @rule(member=MEMBERS, epoch=st.sampled_from([-1, -2]))
    def leave(self, member: str, epoch: int) -> None:
        self.shard.heartbeat(member, epoch, instance=self.instances.get(member))
        self.epochs.pop(member, None)
        self.owns.pop(member, None)

    @rule(member=MEMBERS, epoch=st.integers(-1, 4))
    def commit(self, member: str, epoch: int) -> None:
        self.shard.commit({("a", 0): 1}, member=member, generation=epoch)

    @rule(name=st.sampled_from(["a", "b", "later"]), partitions=st.integers(1, 4))
    def change_topic(self, name: str, partitions: int) -> None:
        topic = self.shard.topics.get(name)
        if topic is None:
            self.shard.create(name, partitions)
        elif topic.partition_count < partitions:
            self.shard.grow(name, partitions)
        else:
            self.shard.drop(name)

    @rule(millis=st.sampled_from([0, 1, 1_000, LEAST_PAUSE + 1, SESSION - 1, SESSION]))
    def wait(self, millis: int) -> None:
        self.shard.advance(millis)

    @rule()
    def compute(self) -> None:
        self.shard.compute()

    @rule()
    def crash(self) -> None:
        self.shard.left.clear()
        self.shard.restart()

    @rule()
    def delete(self) -> None:
        self.shard.delete("g")

    @invariant()
    def nothing_waits(self) -> None:
        assert not self.shard.waiting, "a heartbeat is answered at once"

    def teardown(self) -> None:
        """Who is there beats honestly; then who stays silent is removed, and the group settles."""
        if not hasattr(self, "shard"):
            return
        self.shard.computes = True
        for _ in range(12):
            self.shard.advance(SESSION // 4)
            for member in list(self.epochs):
                beat = partial(self.shard.heartbeat, member, self.epochs[member], instance=self.instances[member])
                self.take(member, beat(owns=self.owns.get(member, {})))
        if not self.epochs:
            return
        assert self.shard.state() == "Stable"
        group = self.shard.consumer_group()
        assert group.members.keys() == self.epochs.keys()
        read = {name for each in group.members.values() for name in group.subscription_of(each)}
        for name in read:
            topic = self.shard.topics.get(name)
            if topic is not None:
                assert sorted(group.owners.get(topic.topic_id, {})) == list(topic.partitions), f"{name} is not read"
        for member, owns in self.owns.items():
            assert owns == self.shard.owned(member), "a client knows what it owns"


def test_every_rule_leads_to_one_owner() -> None:
    """G15: the rules above reach all that can change a group of this protocol."""
    rules = {name for name, each in vars(Consumers).items() if hasattr(each, "hypothesis_stateful_rule")}
    assert rules >= {"join", "beat", "subscribe", "wish", "leave", "change_topic", "wait", "compute", "crash", "delete"}


Consumers.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestConsumers = Consumers.TestCase
