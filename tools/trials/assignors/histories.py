"""Random groups that live: who joins, leaves, comes back and changes its mind, and which topics come, grow and go.

A `Life` is a group with its topics, as our assignors see it. Each step changes something and then has a member ask for
a new target; the same step is said in words to Kafka's classes (`KafkaAssignors.java`).
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from broker.coordinators.groups.assignors import (
    ASSIGNORS,
    Assignment,
    CannotAssign,
    GroupSpec,
    MemberSpec,
    TopicSpec,
    subscribed,
)
from kproto.ids import Uuid, format_uuid

NONE: Final = "-"
PATTERNS: Final = ("orders.*", ".*", "a.*")


@dataclass(frozen=True, slots=True)
class Subscriber:
    """A member, as the group's records say."""

    instance_id: str | None
    pattern: str | None
    names: tuple[str, ...]


@dataclass
class Life:
    """One group."""

    chance: random.Random
    topics: dict[str, tuple[Uuid, int]] = field(default_factory=dict)
    matches: dict[str, tuple[str, ...]] = field(default_factory=dict)
    members: dict[str, Subscriber] = field(default_factory=dict)
    targets: dict[str, Assignment] = field(default_factory=dict)
    peak: int = 0
    type: str = "HOMOGENEOUS"

    def steps(self) -> Iterator[tuple[list[str], str]]:
        """What to say to Kafka's classes, and what they should answer: a number of times."""
        chance = self.chance
        kind = chance.choice(["alike", "alike", "different", "mixed"])
        assignor = chance.choice(["uniform", "uniform", "range"])
        said = ["group"]
        for number in range(chance.choice([1, 2, 3, 5, 12, 13, 20])):
            said += self._make_topic(f"{chance.choice(['orders', 'a', 'topic'])}-{number}")
        common = self._names(chance.randint(1, len(self.topics)))
        for number in range(chance.choice([3, 6, 12, 40])):
            if number:
                said += self._happen()
            if kind == "alike" and chance.random() < 0.1:
                common = self._names(chance.randint(1, 4))
            names, pattern = common, None
            if kind != "alike":
                names = self._names(chance.randint(0, 5))
            if kind == "mixed" and chance.random() < 0.5:
                pattern = chance.choice(PATTERNS)
                said += self._match(pattern)
                names = names if chance.random() < 0.3 else ()
            member_id, instance_id = self._asker()
            joined = [pattern or NONE, ",".join(names) or NONE]
            ours = self._assign(assignor, member_id, Subscriber(instance_id, pattern, names))
            yield [*said, " ".join(["assign", assignor, self.type, member_id, instance_id or NONE, *joined])], ours
            said = []
            if kind == "alike":
                # The others follow their common subscription, one after the other, as after a roll-out.
                for other, member in list(self.members.items()):
                    if member.names != common and chance.random() < 0.7:
                        ours = self._assign(assignor, other, Subscriber(member.instance_id, None, common))
                        words = ["assign", assignor, self.type, other, member.instance_id or NONE, *joined]
                        yield [" ".join(words)], ours

    def _make_topic(self, name: str) -> list[str]:
        uuid = self.chance.randbytes(16)
        self.topics[name] = uuid, self.chance.choice([1, 2, 3, 4, 7, 16, 30, 100])
        return self._describe(name)

    def _describe(self, name: str) -> list[str]:
        uuid, partitions = self.topics[name]
        return [f"topic {name} {format_uuid(uuid)} {partitions}"]

    def _names(self, count: int) -> tuple[str, ...]:
        known = list(self.topics)
        names = self.chance.sample(known, min(count, len(known)))
        if self.chance.random() < 0.1:
            names.append("unknown")
        return tuple(names)

    def _happen(self) -> list[str]:
        """Something of a group's life before the next request."""
        chance = self.chance
        roll = chance.random()
        if roll < 0.2 and len(self.members) > 1:
            gone = chance.sample(list(self.members), chance.randint(1, max(1, len(self.members) // 3)))
            for member_id in gone:
                del self.members[member_id]
                self.targets.pop(member_id, None)
            return [f"leave {member_id}" for member_id in gone]
        if roll < 0.3:
            name = chance.choice(list(self.topics))
            uuid, partitions = self.topics[name]
            self.topics[name] = uuid, partitions + chance.choice([1, 2, 20])
            return self._describe(name)
        if roll < 0.35 and len(self.topics) > 1:
            name = chance.choice(list(self.topics))
            del self.topics[name]
            return [f"forget {name}"]
        if roll < 0.4:
            return self._make_topic(f"orders-{chance.randint(100, 999)}")
        return []

    def _match(self, pattern: str) -> list[str]:
        prefix = pattern.removesuffix(".*")
        self.matches[pattern] = tuple(sorted(name for name in self.topics if name.startswith(prefix)))
        return [f"matches {pattern} {','.join(self.matches[pattern]) or NONE}"]

    def _asker(self) -> tuple[str, str | None]:
        """A new member, a known one, or a static one that comes back under another id."""
        chance = self.chance
        roll = chance.random()
        if self.members and roll < 0.25:
            member_id = chance.choice(list(self.members))
            return member_id, self.members[member_id].instance_id
        new = format_uuid(chance.randbytes(16)) if chance.random() < 0.8 else f"m{chance.randint(0, 99999)}"
        static = [member.instance_id for member in self.members.values() if member.instance_id is not None]
        if static and roll < 0.4:
            return new, chance.choice(static)
        return new, f"instance-{chance.randint(0, 10**6)}" if roll > 0.8 else None

    def _assign(self, assignor: str, member_id: str, subscriber: Subscriber) -> str:
        joining = None if member_id in self.members else member_id
        members = dict(self.members)
        targets = dict(self.targets)
        replaced = None
        if subscriber.instance_id is not None:
            for other, member in self.members.items():
                if other != member_id and member.instance_id == subscriber.instance_id:
                    replaced = other
        if replaced is not None:
            del members[replaced]
            if replaced in targets:
                targets[member_id] = targets.pop(replaced)
        members[member_id] = subscriber
        spec = self._spec(members, targets, joining)
        self.type = "HOMOGENEOUS" if spec.homogeneous else "HETEROGENEOUS"
        self.members, self.targets = members, targets
        self.peak = max(self.peak, len(members))
        try:
            self.targets = ASSIGNORS[assignor].assign(spec)
        except CannotAssign as error:
            return f"error {error}"
        return shown(self.targets)

    def _spec(
        self,
        members: Mapping[str, Subscriber],
        targets: Mapping[str, Assignment],
        joining: str | None,
    ) -> GroupSpec:
        ids = {name: uuid for name, (uuid, _) in self.topics.items()}
        specs = {}
        topics: dict[Uuid, TopicSpec] = {}
        for member_id, member in members.items():
            matched = self.matches.get(member.pattern, ()) if member.pattern is not None else ()
            read = subscribed(member.names, matched, ids)
            names = len({*member.names, *matched})
            specs[member_id] = MemberSpec(read, None, member.instance_id, targets.get(member_id, {}), names)
            topics.update((uuid, TopicSpec(partitions)) for uuid, partitions in self.topics.values() if uuid in read)
        return GroupSpec(specs, topics, self._homogeneous(members), joining, self.peak)

    def _homogeneous(self, members: Mapping[str, Subscriber]) -> bool:
        """Kafka's ConsumerGroup.subscriptionType: all name the same, or all have the same expression and no names."""
        patterns = {member.pattern for member in members.values()}
        if patterns == {None}:
            return len({frozenset(member.names) for member in members.values()}) == 1
        if len(patterns) > 1:
            return False
        return not any(member.names for member in members.values())


def shown(targets: Mapping[str, Assignment]) -> str:
    """Targets in words, sorted, as `KafkaAssignors.java` shows them."""
    members = []
    for member_id in sorted(targets):
        assigned = sorted(targets[member_id].items(), key=lambda entry: _signed(entry[0]))
        each = [f"{format_uuid(uuid)}:{','.join(map(str, sorted(partitions)))}" for uuid, partitions in assigned]
        members.append(f"{member_id}={';'.join(each)}")
    return " ".join(members)


def _signed(uuid: Uuid) -> tuple[int, int]:
    return int.from_bytes(uuid[:8], "big", signed=True), int.from_bytes(uuid[8:], "big", signed=True)
