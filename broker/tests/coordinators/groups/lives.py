"""Groups that live in virtual time, with members of either protocol and of both, and everything going wrong.

    .venv/bin/python -m broker.tests.coordinators.groups.lives --runs 20000     # --seed, --protocols

A run is one group, a topic or two, and up to five clients. They behave as honest clients do: they beat, join again when
they are told to, give up partitions before they say so, go on from the committed offset and commit what they have read.
Around them requests and answers are lost, clients crash, pause for longer than they may, leave and come back, and the
coordinator restarts from its log. Then the disturbance ends, and some time later

* the group is stable, with exactly the clients that are left;
* every partition is owned by exactly one of them, by its own account;

and at all times

* no partition is read by two clients that are in touch with the coordinator;
* no committed offset goes back, also when a client that was away too long tries.

The state is checked against its log after every decision (`shards.py`). A failure names its seed; `--seed N --runs 1`
repeats it.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Final

from broker.tests.coordinators.groups.consumer.members import ConsumerShard
from broker.tests.coordinators.groups.shards import Waiting
from kproto.errors import ErrorCode
from kproto.formats.consumer_protocol import (
    AssignedTopicPartition,
    ConsumerProtocolAssignment,
    ConsumerProtocolSubscription,
    decode_assignment,
    decode_subscription,
    encode_assignment,
    encode_subscription,
)
from kproto.messages.consumer_group_heartbeat import ConsumerGroupHeartbeatResponse
from kproto.messages.join_group import JoinGroupResponse
from kproto.messages.sync_group import SyncGroupResponse

SESSION_MS: Final = 6_000
REBALANCE_MS: Final = 9_000
TURN_MS: Final = 500
PROTOCOLS: Final = ("classic", "consumer", "both")

Place = tuple[str, int]


class World:
    """One group and what is known about it."""

    def __init__(self, seed: int, protocols: str) -> None:
        self.chance = random.Random(seed)
        self.shard = ConsumerShard({"t": self.chance.randint(1, 6)}, seed=seed, min_session_timeout=1)
        self.topics = ["t"]
        if self.chance.random() < 0.4:
            self.shard.create("u", self.chance.randint(1, 3))
            self.topics.append("u")
        self.shard.set_times(session=SESSION_MS, assignment_interval=self.chance.choice([0, 0, 1_000]))
        self.protocols = protocols
        self.clients: list[Client] = []
        self.made = 0
        self.lossy = True
        self.committed: dict[Place, int] = {}

    @property
    def now(self) -> int:
        return self.shard.clock.monotonic_millis()

    def lost(self) -> bool:
        """Whether a request, or an answer, gets lost."""
        return self.lossy and self.chance.random() < 0.08

    def come(self) -> None:
        """One more client."""
        kind = self.protocols if self.protocols != "both" else self.chance.choice(["classic", "consumer"])
        self.made += 1
        client = ClassicClient(self, self.made) if kind == "classic" else ConsumerClient(self, self.made)
        self.clients.append(client)

    def disturb(self) -> None:
        """Something that happens to a group."""
        roll = self.chance.random()
        client = self.chance.choice(self.clients) if self.clients else None
        if roll < 0.12 and len(self.clients) < 5:
            self.come()
        elif roll < 0.17 and client is not None:
            client.leave()
            self.clients.remove(client)
        elif roll < 0.22 and client is not None:
            self.clients.remove(client)  # a crash: no word of it
        elif roll < 0.30 and client is not None:
            client.away_until = self.now + self.chance.choice([1_000, SESSION_MS + 1_000, REBALANCE_MS + 3_000])
        elif roll < 0.34:
            self.shard.left.clear()
            self.shard.restart()
            for each in self.clients:
                each.connection_lost()
        elif roll < 0.37:
            name = self.chance.choice(self.topics)
            topic = self.shard.topics.get(name)
            if topic is not None and topic.partition_count < 8:
                self.shard.grow(name, topic.partition_count + 1)

    def turn(self) -> None:
        """Half a second: every client that is there does what it has to."""
        self.chance.shuffle(self.clients)
        for client in self.clients:
            client.notice()
            if client.away_until <= self.now:
                client.act()
                self.check()
        self.shard.advance(TURN_MS)
        self.check()

    def check(self) -> None:
        """What holds at all times."""
        readers: dict[Place, Client] = {}
        for client in self.clients:
            if client.in_touch:
                for place in client.owns:
                    assert place not in readers, f"{place} is read by {readers[place].name} and {client.name}"
                    readers[place] = client
        for place, offset in self.shard.committed().items():
            assert offset >= self.committed.get(place, 0), f"{place} went back to {offset}"
            self.committed[place] = offset

    def partitions(self) -> set[Place]:
        """All that there is to be read."""
        return {
            (name, partition)
            for name in self.topics
            if (topic := self.shard.topics.get(name)) is not None
            for partition in range(topic.partition_count)
        }


class Client(ABC):
    """A consumer, and what it believes of itself."""

    def __init__(self, world: World, number: int) -> None:
        self.world = world
        self.name = f"client-{number}"
        self.owns: dict[Place, int] = {}
        """The partitions it reads, and the next offset of each."""
        self.away_until = 0
        self.heard = world.now

    @property
    def in_touch(self) -> bool:
        """Whether it has heard from the coordinator so lately that no one else may have its partitions."""
        unseen = 2 * TURN_MS  # how much earlier than it is noticed an answer may have been given
        return self.world.now - self.heard < SESSION_MS - unseen and self.away_until <= self.world.now

    @abstractmethod
    def act(self) -> None:
        """What the member does next."""

    @abstractmethod
    def leave(self) -> None:
        """Say that the member goes."""

    @abstractmethod
    def notice(self) -> None:
        """Whatever has come for it since it looked last came now, also if it is away."""

    @abstractmethod
    def connection_lost(self) -> None:
        """The coordinator has restarted: what it was asked is not answered."""

    def keeps(self, places: set[Place]) -> None:
        """Give up what is not among these."""
        self.owns = {place: offset for place, offset in self.owns.items() if place in places}

    def gets(self, places: set[Place]) -> None:
        """Read these too, from what is committed."""
        found = self.world.shard.committed()
        for place in sorted(places - self.owns.keys()):
            self.owns[place] = found.get(place, 0)

    def read_and_commit(self, member_id: str, epoch: int) -> None:
        """Read on in some of what it owns, and commit that."""
        for place in list(self.owns):
            if self.world.chance.random() < 0.5 and not self.world.lost():
                self.owns[place] += 1
                self.world.shard.commit({place: self.owns[place]}, member=member_id, generation=epoch)


class ConsumerClient(Client):
    """A member of the consumer protocol."""

    def __init__(self, world: World, number: int) -> None:
        super().__init__(world, number)
        self.epoch = 0
        self.unsure = False
        """Whether an answer is missing, so that the next heartbeat has to say everything, and is told everything."""

    def act(self) -> None:
        if self.world.now - self.heard >= SESSION_MS and self.owns and self.world.chance.random() < 0.5:
            self.read_and_commit(self.name, self.epoch)  # one that was away and does not know yet that it is out
        if self.world.lost():
            self.unsure = True
            return
        owned: dict[str, list[int]] = {}
        for topic, partition in self.owns:
            owned.setdefault(topic, []).append(partition)
        if self.epoch == 0:
            self.owns = {}
            self._take(self.world.shard.heartbeat(self.name, 0, self.world.topics, rebalance=REBALANCE_MS))
        elif self.unsure:
            topics = self.world.topics
            self._take(self.world.shard.heartbeat(self.name, self.epoch, topics, owns=owned, rebalance=REBALANCE_MS))
        else:
            self._take(self.world.shard.heartbeat(self.name, self.epoch, owns=owned))
        if self.epoch > 0 and self.owns:
            self.read_and_commit(self.name, self.epoch)

    def _take(self, answer: ConsumerGroupHeartbeatResponse) -> None:
        self.unsure = self.world.lost()
        if self.unsure:
            return
        self.heard = self.world.now
        code = ErrorCode(answer.error_code)
        if code in (ErrorCode.UNKNOWN_MEMBER_ID, ErrorCode.FENCED_MEMBER_EPOCH, ErrorCode.GROUP_ID_NOT_FOUND):
            self.epoch, self.owns = 0, {}
            return
        assert code is ErrorCode.NONE, answer
        self.epoch = answer.member_epoch
        shares = self.world.shard.shares(answer)
        if shares is not None:
            assigned = {(topic, partition) for topic, partitions in shares.items() for partition in partitions}
            self.keeps(assigned)
            self.gets(assigned)

    def leave(self) -> None:
        self.owns = {}
        if self.epoch > 0 and not self.world.lost():
            self.world.shard.heartbeat(self.name, -1)

    def notice(self) -> None:
        """Nothing comes late: each heartbeat is answered at once."""

    def connection_lost(self) -> None:
        """Nothing waits for an answer."""


class ClassicClient(Client):
    """A member of the classic protocol that gives everything up before it joins again, and computes if it leads."""

    def __init__(self, world: World, number: int) -> None:
        super().__init__(world, number)
        self.member_id = ""
        self.generation = -1
        self.joining: Waiting[JoinGroupResponse] | None = None
        self.syncing: Waiting[SyncGroupResponse] | None = None
        self.answered = 0
        self.computed: set[Place] | None = None
        """What it has given to the members, if it leads."""

    @property
    def in_touch(self) -> bool:
        return super().in_touch and self.generation >= 0

    def act(self) -> None:
        if self.joining is not None:
            if self.joining.answered:
                self._joined(self.joining.reply)
        elif self.syncing is not None:
            if self.syncing.answered:
                self._synced(self.syncing.reply)
        elif self.generation < 0:
            self._join()
        else:
            if self.world.now - self.heard >= SESSION_MS and self.owns:
                self.read_and_commit(self.member_id, self.generation)
            self._beat()

    def _join(self) -> None:
        self.owns, self.generation, self.syncing = {}, -1, None
        if self.world.lost():
            return
        wishes = encode_subscription(ConsumerProtocolSubscription(topics=list(self.world.topics)), 1)
        self.joining = self.world.shard.join(
            self.member_id, protocols={"range": wishes}, session=SESSION_MS, rebalance=REBALANCE_MS, client=self.name
        )
        if self.world.lost():
            self.joining = None  # it is answered to a connection that is gone

    def notice(self) -> None:
        waiting = self.joining or self.syncing
        if waiting is None or not waiting.answered:
            self.answered = 0
        elif not self.answered:
            self.answered = self.world.now

    def _joined(self, reply: JoinGroupResponse) -> None:
        self.joining = None
        self.heard, self.answered = self.answered, 0
        code = ErrorCode(reply.error_code)
        if code is ErrorCode.MEMBER_ID_REQUIRED:
            self.member_id = reply.member_id
        elif code in (ErrorCode.UNKNOWN_MEMBER_ID, ErrorCode.FENCED_INSTANCE_ID):
            self.member_id = ""
        elif code is ErrorCode.NONE:
            self.member_id = reply.member_id
            self.generation = reply.generation_id
            self.computed = self.world.partitions() if reply.leader == reply.member_id else None
            shares = self._computed(reply) if self.computed is not None else {}
            self.syncing = self.world.shard.sync(self.member_id, self.generation, shares)
            if self.world.lost():
                self.syncing, self.generation = None, -1
        else:
            assert code is ErrorCode.REBALANCE_IN_PROGRESS, reply

    def _computed(self, reply: JoinGroupResponse) -> dict[str, bytes]:
        members = sorted(each.member_id for each in reply.members)
        for each in reply.members:
            assert decode_subscription(each.metadata).topics
        shares: dict[str, dict[str, list[int]]] = {each: {} for each in members}
        for place, (topic, partition) in enumerate(sorted(self.world.partitions())):
            shares[members[place % len(members)]].setdefault(topic, []).append(partition)
        return {
            each: encode_assignment(
                ConsumerProtocolAssignment(
                    assigned_partitions=[
                        AssignedTopicPartition(topic=topic, partitions=partitions)
                        for topic, partitions in share.items()
                    ]
                ),
                1,
            )
            for each, share in shares.items()
        }

    def _synced(self, reply: SyncGroupResponse) -> None:
        self.syncing = None
        self.heard, self.answered = self.answered, 0
        if reply.error_code:
            self._out(ErrorCode(reply.error_code))
            return
        assigned: set[Place] = set()
        if reply.assignment:
            for each in decode_assignment(reply.assignment).assigned_partitions:
                assigned |= {(each.topic, partition) for partition in each.partitions}
        self.gets(assigned)

    def _beat(self) -> None:
        if self.world.lost():
            return
        code = self.world.shard.beat(self.member_id, self.generation)
        if self.world.lost():
            return
        self.heard = self.world.now
        if code is not ErrorCode.NONE:
            self._out(code)
        elif len(self.owns) and self.generation >= 0:
            self.read_and_commit(self.member_id, self.generation)
        if code is ErrorCode.NONE and self._outgrown():
            self._join()

    def _outgrown(self) -> bool:
        """Whether there are partitions that it has not given to any member, as the leader."""
        return self.computed is not None and self.computed != self.world.partitions()

    def _out(self, code: ErrorCode) -> None:
        self.owns, self.generation, self.syncing = {}, -1, None
        if code in (ErrorCode.UNKNOWN_MEMBER_ID, ErrorCode.FENCED_INSTANCE_ID, ErrorCode.GROUP_ID_NOT_FOUND):
            self.member_id = ""
        else:
            assert code in (ErrorCode.REBALANCE_IN_PROGRESS, ErrorCode.ILLEGAL_GENERATION), code

    def leave(self) -> None:
        self.owns = {}
        if self.member_id and not self.world.lost():
            self.world.shard.leave(self.member_id)

    def connection_lost(self) -> None:
        if self.joining is not None or self.syncing is not None:
            self.joining, self.syncing, self.generation, self.owns = None, None, -1, {}


def live(seed: int, protocols: str) -> None:
    """One run. Raises AssertionError if a promise is broken."""
    world = World(seed, protocols)
    world.come()
    for _ in range(world.chance.randint(10, 60)):
        world.disturb()
        world.turn()
    world.lossy = False
    if not world.clients:
        world.come()
    for client in world.clients:
        client.away_until = 0
    # Those that crashed are found out, and each rebalance that follows takes its time.
    quiet = 0
    for _ in range(2 * (SESSION_MS + 4 * REBALANCE_MS) // TURN_MS):
        world.turn()
        owned = [place for client in world.clients for place in client.owns]
        done = len(owned) == len(set(owned)) and set(owned) == world.partitions() and is_stable(world.shard)
        quiet = quiet + 1 if done else 0
        if quiet == 4:
            return
    raise AssertionError(f"not settled: {[(each.name, sorted(each.owns)) for each in world.clients]}")


def is_stable(shard: ConsumerShard) -> bool:
    """Whether the group is, whatever its kind."""
    [listed] = [group.listed() for group in shard.machine._groups.values() if group.group_id == "g"]
    return listed.group_state == "Stable"


def main(argv: Sequence[str] | None = None) -> int:
    """Live as often as asked, and say how it went."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--runs", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=1, help="of the first run; the next one has the next number")
    parser.add_argument("--protocols", choices=PROTOCOLS, help="of the members; by default all three in turns")
    arguments = parser.parse_args(argv)
    began = time.perf_counter()
    broken = 0
    for seed in range(arguments.seed, arguments.seed + arguments.runs):
        protocols = arguments.protocols or PROTOCOLS[seed % 3]
        try:
            live(seed, protocols)
        except AssertionError as error:
            broken += 1
            print(f"seed {seed}, {protocols}: {str(error)[:300]}", flush=True)
    seconds = time.perf_counter() - began
    print(f"{arguments.runs:,} runs from seed {arguments.seed}: {broken:,} broke a promise ({seconds:.0f} s)")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
