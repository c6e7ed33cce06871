"""A shard with topics, and members that speak the consumer protocol.

A heartbeat is answered as a broker answers it: what it leaves to be computed beside the event loop is computed at once.
Shares are written as the tests read best: `{"t": [0, 1]}`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import trio

from broker.coordinators.cluster.image import ClusterChange, ClusterImage, Topic
from broker.coordinators.groups.consumer.assigning import Assigning
from broker.coordinators.groups.consumer.configs import ConsumerTimes
from broker.coordinators.groups.consumer.group import NO_SHARES, ConsumerGroup, described_member
from broker.coordinators.groups.consumer.resolving import Resolving
from broker.coordinators.groups.decision import Caller
from broker.coordinators.groups.expressions import resolve
from broker.tests.coordinators.groups.shards import Shard, Waiting
from kproto.errors import ErrorCode
from kproto.ids import Uuid
from kproto.messages.consumer_group_describe import DescribedGroup, Member
from kproto.messages.consumer_group_heartbeat import (
    ConsumerGroupHeartbeatRequest,
    ConsumerGroupHeartbeatResponse,
    TopicPartitions,
)

SESSION = 45_000
REBALANCE = 5_000

Shares = Mapping[str, Sequence[int]]


class ConsumerShard(Shard):
    """One shard, some topics, and consumers. The assignment interval is 0 unless a test sets another."""

    def __init__(self, topics: Mapping[str, int] | None = None, **settings: Any) -> None:
        super().__init__(**settings)
        self.computes = True
        """Whether what is left to be computed is computed with the heartbeat that asks for it."""
        self.left: list[Assigning | Resolving] = []
        self.meanwhile: Callable[[], object] = lambda: None
        """What comes between the preparation of an upgrade, if there is one, and the decision on a heartbeat."""
        self._next_id = 0
        for name, partitions in (topics or {}).items():
            self.create(name, partitions)

    # --- topics

    def create(self, name: str, partitions: int = 1) -> Uuid:
        """Make a topic."""
        self._next_id += 1
        topic = Topic(name, self._next_id.to_bytes(16, "big"), partitions, {})
        self._put(topic, ClusterChange(created=[topic]))
        return topic.topic_id

    def grow(self, name: str, partitions: int) -> None:
        """Give a topic more partitions."""
        topic = Topic(name, self.image.topics[name].topic_id, partitions, {})
        self._put(topic, ClusterChange(grown=[topic]))

    def drop(self, name: str) -> None:
        """Delete a topic."""
        topic = self.image.topics[name]
        self.image = ClusterImage(
            self.image.topics.updated({}, [name]), self.image.topics_by_id.updated({}, [topic.topic_id])
        )
        self.topics.follow(self.image, ClusterChange(deleted=[topic]), self._next_id)

    def _put(self, topic: Topic, change: ClusterChange) -> None:
        self.image = ClusterImage(
            self.image.topics.updated({topic.name: topic}),
            self.image.topics_by_id.updated({topic.topic_id: topic}),
        )
        self.topics.follow(self.image, change, self._next_id)

    def set_times(self, group: str = "g", **times: int) -> None:
        """Session, heartbeat, assignment_interval of a group, in milliseconds."""
        self.times[group] = ConsumerTimes(**{"assignment_interval": 0, **times})

    # --- heartbeats

    def heartbeat(
        self,
        member: str,
        epoch: int,
        topics: Sequence[str] | None = None,
        *,
        owns: Shares | None = None,
        expression: str | None = None,
        group: str = "g",
        instance: str | None = None,
        rack: str | None = None,
        rebalance: int | None = None,
        assignor: str | None = None,
        version: int = 1,
        client: str = "client",
        host: str = "/10.0.0.1",
    ) -> ConsumerGroupHeartbeatResponse:
        """ConsumerGroupHeartbeat; a member that joins says what it has to."""
        if epoch == 0:
            owns = {} if owns is None else owns
            rebalance = REBALANCE if rebalance is None else rebalance
        request = ConsumerGroupHeartbeatRequest(
            group_id=group,
            member_id=member,
            member_epoch=epoch,
            instance_id=instance,
            rack_id=rack,
            rebalance_timeout_ms=-1 if rebalance is None else rebalance,
            subscribed_topic_names=None if topics is None else list(topics),
            subscribed_topic_regex=expression,
            server_assignor=assignor,
            topic_partitions=None if owns is None else [self._claimed(name, shares) for name, shares in owns.items()],
        )
        waiting: Waiting[ConsumerGroupHeartbeatResponse] = Waiting()
        caller = Caller(client, host, version)
        upgrade = self.machine.upgrade_by(request, caller)
        if upgrade is not None:
            trio.run(upgrade.prepare)
        self.meanwhile()
        decision = self.machine.decide_consumer_heartbeat(request, caller, self.clock.now(), waiting.promise, upgrade)
        self._send(waiting, decision)
        self.left += self.machine.take_work()
        if self.left and self.computes:
            self.compute()
        return waiting.reply

    def subscribe(self, member: str = "m1", *topics: str, **more: Any) -> ConsumerGroupHeartbeatResponse:
        """Join, which succeeds."""
        answer = self.heartbeat(member, 0, topics, **more)
        assert answer.error_code == ErrorCode.NONE, answer
        return answer

    def settle(self, *members: str, group: str = "g", rounds: int = 4) -> None:
        """Members beat, and give up at once what they have to, until all are there."""
        for _ in range(rounds):
            for member in members:
                known = self.consumer_group(group).members[member]
                owned = {
                    topic.name: list(shares)
                    for topic_id, shares in known.assigned.items()
                    if (topic := self.topics.by_id(topic_id)) is not None
                }
                answer = self.heartbeat(member, known.epoch, owns=owned, group=group)
                assert answer.error_code == ErrorCode.NONE, answer
        assert self.state(group) == "Stable"

    def compute(self) -> None:
        """What decisions have left is computed, and decided on."""
        left, self.left = self.left, []
        for work in left:
            done: Waiting[Any] = Waiting()
            now = self.clock.now()
            if isinstance(work, Resolving):
                found = resolve(work.expressions, work.names)
                self._send(done, self.machine.decide_resolved(work, found, now, done.promise))
            else:
                changed = work.changed(work.run())
                self._send(done, self.machine.decide_target(work, changed, now, done.promise, last=True))

    def _claimed(self, name: str, shares: Sequence[int]) -> TopicPartitions:
        topic = self.topics.get(name)
        return TopicPartitions(
            topic_id=bytes(15) + b"\xff" if topic is None else topic.topic_id, partitions=list(shares)
        )

    # --- what is there

    def shares(self, answer: ConsumerGroupHeartbeatResponse) -> dict[str, list[int]] | None:
        """The assignment of an answer; None if it has none."""
        if answer.assignment is None:
            return None
        return self.named(answer.assignment.topic_partitions)

    def named(self, partitions: Sequence[Any]) -> dict[str, list[int]]:
        """With names instead of ids, in order."""
        found = {}
        for each in partitions:
            topic = self.topics.by_id(each.topic_id)
            found["?" if topic is None else topic.name] = sorted(each.partitions)
        return found

    def consumer_group(self, group: str = "g") -> ConsumerGroup:
        """The group, which exists."""
        found = self.machine._groups[group]
        assert isinstance(found, ConsumerGroup)
        return found

    def describe(self, group: str = "g") -> DescribedGroup:
        """As ConsumerGroupDescribe shows it."""
        found = self.machine.described_consumer_group(group)
        assert found is not None
        found.group.members = [
            described_member(each, found.targets.get(each.member_id, NO_SHARES), self.topics) for each in found.members
        ]
        return found.group

    def member(self, member: str, group: str = "g") -> Member:
        """A member, as ConsumerGroupDescribe shows it."""
        [found] = [each for each in self.describe(group).members if each.member_id == member]
        return found

    def owned(self, member: str, group: str = "g") -> dict[str, list[int]]:
        """What a member owns, with what it has to give up."""
        return self.named(self.member(member, group).assignment.topic_partitions)

    def state(self, group: str = "g") -> str:
        """Of the group."""
        return self.describe(group).group_state


def code(answer: ConsumerGroupHeartbeatResponse) -> ErrorCode:
    """Of an answer."""
    return ErrorCode(answer.error_code)
