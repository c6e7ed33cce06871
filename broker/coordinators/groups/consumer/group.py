"""A consumer group: the fold of its records, and what can be asked of it.

    ConsumerGroupMetadata                   the group's epoch, and the hash of the topics that it subscribes to
    ConsumerGroupMemberMetadata             a member (`member.py`)
    ConsumerGroupRegularExpression          the topics that an expression of members matches
    ConsumerGroupTargetAssignmentMember     what a member shall own
    ConsumerGroupTargetAssignmentMetadata   for which epoch of the group that is, and since when
    ConsumerGroupCurrentMemberAssignment    what a member owns

Three epochs follow each other. The **group's** is one more whenever members, their subscriptions, or the topics behind
these have changed: someone should own something else. The **assignment's** is that of the group for which the target
was computed. A **member's** is that of the target to which it has come. The state of a group is which of them lags:

    Empty         no members
    Assigning     the assignment is behind the group
    Reconciling   a member is behind the assignment, or waits for a partition
    Stable        all are there

`replay` is the only mutator; beside it a group keeps notes that mean nothing to a successor (`checked` and the fields
after it). What is counted here (who subscribes to what, who owns what) is kept up to date with each record, since
heartbeats ask for it and a group may have ten thousand members. Members with the same subscription share one set of
names.

Source: Kafka's ConsumerGroup and ModernGroup, and the `replay` methods of GroupMetadataManager.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final, NamedTuple, TypeAlias

from broker.coordinators.groups.consumer.member import ConsumerMember, MemberState, count, names_size
from broker.coordinators.groups.consumer.topics import Topics
from broker.coordinators.groups.group import OffsetAge
from broker.coordinators.groups.memory import (
    ASSIGNED_PARTITION_BYTES,
    ASSIGNED_TOPIC_BYTES,
    GROUP_BYTES,
    MEMBER_BYTES,
    SUBSCRIBED_NAME_BYTES,
    Held,
)
from broker.coordinators.groups.records import ConsumerGroupKey, ConsumerRecord, GroupRecord, text_size
from broker.coordinators.routing import java_hash
from kproto.formats.consumer_offsets import (
    ConsumerGroupCurrentMemberAssignmentKey,
    ConsumerGroupCurrentMemberAssignmentValue,
    ConsumerGroupMemberMetadataKey,
    ConsumerGroupMemberMetadataValue,
    ConsumerGroupMetadataKey,
    ConsumerGroupMetadataValue,
    ConsumerGroupPartitionMetadataKey,
    ConsumerGroupRegularExpressionKey,
    ConsumerGroupRegularExpressionValue,
    ConsumerGroupTargetAssignmentMemberKey,
    ConsumerGroupTargetAssignmentMemberValue,
    ConsumerGroupTargetAssignmentMetadataKey,
    ConsumerGroupTargetAssignmentMetadataValue,
)
from kproto.ids import Uuid
from kproto.messages.consumer_group_describe import Assignment, DescribedGroup, Member, TopicPartitions
from kproto.messages.list_groups import ListedGroup

CONSUMER: Final = "consumer"
"""The kind of these groups, as ListGroups shows it and filters by it; and their protocol type."""

FIRST_EPOCH: Final = 1
"""Of a group that has no record yet: its first one says 2. (Kafka from 4.4 on.)"""

NO_ASSIGNMENT_EPOCH: Final = -1

CLASSIC_MEMBER_TYPE: Final = 0
CONSUMER_MEMBER_TYPE: Final = 1


class Resolved(NamedTuple):
    """What a regular expression matches."""

    topics: frozenset[str]
    version: int
    """Offset of the cluster log at which this was so."""
    timestamp: int
    """When that was, in wall milliseconds."""


NOT_RESOLVED: Final = Resolved(frozenset(), -1, -1)

Shares: TypeAlias = Mapping[Uuid, tuple[int, ...]]
"""What one member shall own, in the order of its record."""

NO_SHARES: Final[Shares] = {}


class Described(NamedTuple):
    """A group, and its members as they were then (`described_member`)."""

    group: DescribedGroup
    members: Sequence[ConsumerMember]
    targets: Mapping[str, Shares]


class ConsumerGroup:
    """One group. See the module's page."""

    __slots__ = (
        "_account",
        "_reconciled",
        "_sets",
        "assignment_epoch",
        "assignment_timestamp",
        "assignors",
        "checked",
        "classic_members",
        "classic_protocols",
        "epoch",
        "expressions",
        "group_id",
        "has_partition_metadata",
        "held",
        "members",
        "metadata_hash",
        "names",
        "not_before",
        "owners",
        "peak",
        "resolved",
        "resolved_at",
        "static",
        "targets",
    )

    def __init__(self, group_id: str, account: Held) -> None:
        self.group_id = group_id
        self._account = account
        self.held = 0  # bytes of memory, counted in the machine's account
        self._hold(GROUP_BYTES + text_size(group_id))
        self.epoch = FIRST_EPOCH
        self.metadata_hash = 0
        self.assignment_epoch = NO_ASSIGNMENT_EPOCH
        self.assignment_timestamp = 0  # wall milliseconds; 0: the next assignment need not wait
        self.members: dict[str, ConsumerMember] = {}
        self.peak = 0  # the most members that there were: assignors go through a hash map that does not shrink
        self.targets: dict[str, Shares] = {}
        self.static: dict[str, str] = {}  # instance id -> member id
        self._sets: dict[frozenset[str], tuple[frozenset[str], int]] = {}  # subscription -> itself, and its members
        self.names: Counter[str] = Counter()  # name of a topic -> subscriptions that have it
        self.expressions: Counter[str] = Counter()  # regular expression -> members
        self.resolved: dict[str, Resolved] = {}
        self.assignors: Counter[str] = Counter()  # assignor -> members that would like it
        self.owners: dict[Uuid, dict[int, str]] = {}  # topic id -> partition -> id of the member that owns it
        self.classic_members = 0
        self.classic_protocols: Counter[str] = Counter()  # protocol -> classic members that offer it
        self.has_partition_metadata = False  # a record of Kafka before 4.1, to be removed
        self._reconciled: Counter[int] = Counter()  # epoch -> members that own all that its target says
        # Volatile.
        self.checked = -1  # version of Topics at which the hash was found true
        self.resolved_at = -1  # version of Topics at which the expressions were resolved
        self.not_before = 0  # wall milliseconds: an assignment has failed, and is tried again from then on

    # --- questions that are asked of any group

    @property
    def kind(self) -> str:
        """What ListGroups calls groups of this kind."""
        return CONSUMER

    @property
    def is_empty(self) -> bool:
        """True when it has no members."""
        return not self.members

    @property
    def is_forgettable(self) -> bool:
        """True when it has no members: without offsets it may go."""
        return not self.members

    @property
    def uses_consumer_protocol(self) -> bool:
        """Its members are consumers."""
        return True

    @property
    def offset_age(self) -> OffsetAge:
        """The age of each offset counts from its commit."""
        return OffsetAge(True)

    def subscribed_among(self, topics: Iterable[str]) -> set[str]:
        """Those of `topics` that members read, by name or by expression."""
        return {name for name in topics if self.subscribes_to(name)}

    def listed(self) -> ListedGroup:
        """The group as ListGroups shows it."""
        return ListedGroup(group_id=self.group_id, protocol_type=CONSUMER, group_state=self.state, group_type=CONSUMER)

    def release(self) -> None:
        """The group is gone: give back what it has in the machine's account."""
        self._hold(-self.held)

    def move_to(self, account: Held) -> None:
        """The group, which was prepared with an account of its own, is one of the machine's."""
        self._account = account
        account.bytes += self.held

    def tombstones(self, renamed: Mapping[str, str] | None = None) -> Sequence[GroupRecord]:
        """The records after which the group is gone. Members that are `renamed`, old id to new, have been in records
        of the same decision."""
        group_id = self.group_id
        members = [(renamed or {}).get(each, each) for each in self.members]
        keys: list[ConsumerGroupKey] = [
            *(ConsumerGroupCurrentMemberAssignmentKey(group_id=group_id, member_id=each) for each in members),
            *(ConsumerGroupTargetAssignmentMemberKey(group_id=group_id, member_id=each) for each in members),
            ConsumerGroupTargetAssignmentMetadataKey(group_id=group_id),
            *(ConsumerGroupMemberMetadataKey(group_id=group_id, member_id=each) for each in members),
            *(ConsumerGroupRegularExpressionKey(group_id=group_id, regular_expression=each) for each in self.resolved),
            ConsumerGroupPartitionMetadataKey(group_id=group_id),
            ConsumerGroupMetadataKey(group_id=group_id),
        ]
        return [ConsumerRecord(key, None) for key in keys]

    # --- questions

    @property
    def state(self) -> str:
        """Which of the epochs lags."""
        if not self.members:
            return "Empty"
        if self.epoch > self.assignment_epoch:
            return "Assigning"
        if self._reconciled[self.assignment_epoch] < len(self.members):
            return "Reconciling"
        return "Stable"

    def subscribes_to(self, name: str) -> bool:
        """Whether a member reads this topic."""
        return name in self.names or any(name in resolved.topics for resolved in self.resolved.values())

    def subscribed_names(self) -> set[str]:
        """All names that members subscribe to, whether there are such topics or not."""
        return set(self.names).union(*(resolved.topics for resolved in self.resolved.values()))

    def has_subscription(self, topics: frozenset[str]) -> bool:
        """Whether a member subscribes to just these."""
        return topics in self._sets

    def names_after(self, old: ConsumerMember | None, new: ConsumerMember) -> set[str] | None:
        """All names that members will subscribe to once `new` is in the place of `old`; None if those are the same."""
        gone = old is not None and old.topics != new.topics and self._sets[old.topics][1] == 1
        forgotten = old is not None and old.expression != new.expression and self.expressions[old.expression] == 1
        if new.topics in self._sets and not gone and not forgotten:
            return None
        names = set(new.topics)
        for topics in self._sets:
            if not gone or old is None or topics != old.topics:
                names |= topics
        for expression, resolved in self.resolved.items():
            if not forgotten or old is None or expression != old.expression:
                names |= resolved.topics
        return names

    def names_without(self, members: Iterable[ConsumerMember]) -> set[str]:
        """All names that members will subscribe to when these are gone."""
        sets, expressions = Counter(each.topics for each in members), Counter(each.expression for each in members)
        kept = [topics for topics, (_, members_of_it) in self._sets.items() if members_of_it > sets[topics]]
        resolved = [each.topics for text, each in self.resolved.items() if self.expressions[text] > expressions[text]]
        return set().union(*kept, *resolved)

    def subscription_of(self, member: ConsumerMember) -> frozenset[str]:
        """The names of the topics that a member reads: those that it gave, and those that its expression matches."""
        resolved = self.resolved.get(member.expression) if member.expression else None
        return member.topics if resolved is None else member.topics | resolved.topics

    def static_member(self, instance_id: str) -> ConsumerMember | None:
        """The member that has this instance id."""
        member_id = self.static.get(instance_id)
        return None if member_id is None else self.members[member_id]

    def target_of(self, member: ConsumerMember) -> Shares:
        """What this member shall own. A static member that comes back has what its former self had."""
        member_id = member.member_id
        if member.instance_id is not None:
            member_id = self.static.get(member.instance_id, "")
        return self.targets.get(member_id, NO_SHARES)

    def is_taken(self, topic_id: Uuid, partition: int) -> bool:
        """Whether a member owns this partition, or has not given it up yet."""
        return partition in self.owners.get(topic_id, ())

    def preferred_assignor(
        self, default: str, old: ConsumerMember | None = None, new: ConsumerMember | None = None
    ) -> str:
        """What most members that have a wish would like, once `new` has taken the place of `old`."""
        votes = self.assignors.copy()
        if old is not None and old.assignor is not None:
            votes[old.assignor] -= 1
        if new is not None and new.assignor is not None:
            votes[new.assignor] += 1
        votes = +votes
        return max(sorted(votes, key=_place_in_hash_map), key=votes.__getitem__, default=default)

    def described(self, default_assignor: str) -> Described:
        """The group as ConsumerGroupDescribe shows it, but for its members, which may be many."""
        group = DescribedGroup(
            group_id=self.group_id,
            group_state=self.state,
            group_epoch=self.epoch,
            assignment_epoch=self.assignment_epoch,
            assignor_name=self.preferred_assignor(default_assignor),
            members=[],
        )
        return Described(group, list(self.members.values()), dict(self.targets))

    # --- replay

    def replay(self, record: ConsumerRecord) -> None:
        """Take over what a record says. The one after which the group is gone is the machine's to handle."""
        key, value = record
        match key:
            case ConsumerGroupMetadataKey():
                assert isinstance(value, ConsumerGroupMetadataValue)
                self.epoch, self.metadata_hash = value.epoch, value.metadata_hash
            case ConsumerGroupMemberMetadataKey():
                member = self.members.get(key.member_id)
                if isinstance(value, ConsumerGroupMemberMetadataValue):
                    self._put(member, (member or ConsumerMember(key.member_id)).with_metadata(value))
                elif member is not None:
                    self._put(member, None)
            case ConsumerGroupCurrentMemberAssignmentKey():
                member = self.members.get(key.member_id)
                if isinstance(value, ConsumerGroupCurrentMemberAssignmentValue):
                    self._put(member, (member or ConsumerMember(key.member_id)).with_assignment(value))
                elif member is not None:
                    self._put(member, member.without_assignment())
            case ConsumerGroupTargetAssignmentMemberKey():
                shares: Shares | None = None
                if isinstance(value, ConsumerGroupTargetAssignmentMemberValue):
                    shares = {each.topic_id: tuple(each.partitions) for each in value.topic_partitions}
                self._set_target(key.member_id, shares)
            case ConsumerGroupTargetAssignmentMetadataKey():
                if isinstance(value, ConsumerGroupTargetAssignmentMetadataValue):
                    self.assignment_epoch = value.assignment_epoch
                    self.assignment_timestamp = value.assignment_timestamp
                else:
                    self.assignment_epoch, self.assignment_timestamp = NO_ASSIGNMENT_EPOCH, 0
            case ConsumerGroupRegularExpressionKey():
                resolved: Resolved | None = None
                if isinstance(value, ConsumerGroupRegularExpressionValue):
                    resolved = Resolved(frozenset(value.topics), value.version, value.timestamp)
                self._set_resolved(key.regular_expression, resolved)
            case ConsumerGroupPartitionMetadataKey():
                self.has_partition_metadata = value is not None
            case _:
                raise AssertionError(f"{type(key).__name__} is no record of a consumer group")

    def _hold(self, size: int) -> None:
        self.held += size
        self._account.bytes += size

    def _put(self, old: ConsumerMember | None, new: ConsumerMember | None) -> None:
        """A member has changed, has come, or has gone."""
        if new is not None:
            if old is None or old.topics != new.topics:
                new = new._replace(topics=self._share(new.topics))
            else:
                new = new._replace(topics=old.topics)
                self._share(new.topics)
            self.members[new.member_id] = new
            self.peak = max(self.peak, len(self.members))
        elif old is not None:
            del self.members[old.member_id]
        for member, sign in ((old, -1), (new, 1)):
            if member is not None:
                self._count(member, sign)
        if old is not None:
            self._unshare(old.topics)
            if old.instance_id is not None and self.static.get(old.instance_id) == old.member_id:
                del self.static[old.instance_id]
            self._disown(old)
        if new is not None:
            if new.instance_id is not None:
                self.static[new.instance_id] = new.member_id
            for topic_id, partition in _partitions(new):
                self.owners.setdefault(topic_id, {})[partition] = new.member_id

    def _count(self, member: ConsumerMember, sign: int) -> None:
        self._hold(sign * (MEMBER_BYTES + member.metadata_size))
        if member.expression:
            _add(self.expressions, member.expression, sign)
        if member.assignor is not None:
            _add(self.assignors, member.assignor, sign)
        if member.state is MemberState.STABLE:
            _add(self._reconciled, member.epoch, sign)
        if member.classic is not None:
            self.classic_members += sign
            for protocol in member.classic.supported_protocols:
                _add(self.classic_protocols, protocol.name, sign)

    def _share(self, topics: frozenset[str]) -> frozenset[str]:
        """The one set of these names, with one more member."""
        shared, members = self._sets.get(topics, (topics, 0))
        self._sets[shared] = shared, members + 1
        if not members:
            self._hold(subscription_bytes(shared))
            for name in shared:
                self.names[name] += 1
        return shared

    def _unshare(self, topics: frozenset[str]) -> None:
        shared, members = self._sets[topics]
        if members > 1:
            self._sets[shared] = shared, members - 1
            return
        del self._sets[shared]
        self._hold(-subscription_bytes(shared))
        for name in shared:
            _add(self.names, name, -1)

    def _disown(self, member: ConsumerMember) -> None:
        for topic_id, partition in _partitions(member):
            owners = self.owners.get(topic_id)
            if owners is not None and owners.get(partition) == member.member_id:
                del owners[partition]
                if not owners:
                    del self.owners[topic_id]

    def _set_target(self, member_id: str, shares: Shares | None) -> None:
        old = self.targets.pop(member_id, None)
        if old is not None:
            self._hold(-shares_bytes(old))
        if shares is not None:
            self.targets[member_id] = shares
            self._hold(shares_bytes(shares))

    def _set_resolved(self, expression: str, resolved: Resolved | None) -> None:
        old = self.resolved.pop(expression, None)
        if old is not None:
            self._hold(-resolved_bytes(expression, old.topics))
        if resolved is not None:
            self.resolved[expression] = resolved
            self._hold(resolved_bytes(expression, resolved.topics))

    # --- what is promised

    def check(self) -> None:
        """What is counted is what is there, and no partition has two owners."""
        owners: dict[Uuid, dict[int, str]] = {}
        for member in self.members.values():
            for topic_id, partition in _partitions(member):
                other = owners.setdefault(topic_id, {}).setdefault(partition, member.member_id)
                assert other == member.member_id, f"{member.member_id} and {other} both own {partition}"
            assert self._sets[member.topics][0] is member.topics, "one subscription, one set"
            if member.instance_id is not None:
                assert self.static[member.instance_id] == member.member_id
        assert owners == self.owners
        assert len(self.static) == sum(each.instance_id is not None for each in self.members.values())
        assert self.expressions == Counter(each.expression for each in self.members.values() if each.expression)
        assert self.assignors == Counter(each.assignor for each in self.members.values() if each.assignor is not None)
        assert self.names == Counter(name for topics in self._sets for name in topics)
        assert sum(members for _, members in self._sets.values()) == len(self.members)
        assert self.classic_members == sum(each.classic is not None for each in self.members.values())
        stable = Counter(each.epoch for each in self.members.values() if each.state is MemberState.STABLE)
        assert self._reconciled == stable
        assert self.targets.keys() <= self.members.keys(), "a target of a member that is gone"
        assert self.resolved.keys() <= self.expressions.keys(), "an expression that no member has"
        assert self.held == (
            GROUP_BYTES
            + text_size(self.group_id)
            + sum(MEMBER_BYTES + member.metadata_size for member in self.members.values())
            + sum(map(subscription_bytes, self._sets))
            + sum(map(shares_bytes, self.targets.values()))
            + sum(resolved_bytes(expression, each.topics) for expression, each in self.resolved.items())
        )


def subscription_bytes(names: frozenset[str]) -> int:
    """Of memory, for a set of names."""
    return names_size(names) + SUBSCRIBED_NAME_BYTES * len(names)


def resolved_bytes(expression: str, topics: frozenset[str]) -> int:
    """Of memory, for an expression and what it matches."""
    return text_size(expression) + subscription_bytes(topics)


def shares_bytes(shares: Shares) -> int:
    """Of memory, for what a member shall own, with what it takes when the member owns it."""
    return ASSIGNED_TOPIC_BYTES * len(shares) + ASSIGNED_PARTITION_BYTES * count(shares)


def _partitions(member: ConsumerMember) -> Iterator[tuple[Uuid, int]]:
    for owned in (member.assigned, member.revoking):
        for topic_id, partitions in owned.items():
            for partition in partitions:
                yield topic_id, partition


def _add(counter: Counter[str] | Counter[int], key: str | int, sign: int) -> None:
    """Count, and forget what is counted to nothing."""
    counts: Counter[str | int] = counter  # type: ignore[assignment]  # a key is of the counter's kind
    counts[key] += sign
    if not counts[key]:
        del counts[key]


def _place_in_hash_map(name: str) -> int:
    """Where a small HashMap of Java's has this key: of equal votes the first counts."""
    hashed = java_hash(name) & 0xFFFFFFFF
    return (hashed ^ hashed >> 16) & 15


def described_member(member: ConsumerMember, target: Shares, topics: Topics) -> Member:
    """A member as ConsumerGroupDescribe shows it: what it owns, with what it has to give up, and what it shall own."""
    owned: dict[Uuid, list[int]] = {}
    for topic_id, partition in _partitions(member):
        owned.setdefault(topic_id, []).append(partition)
    return Member(
        member_id=member.member_id,
        instance_id=member.instance_id,
        rack_id=member.rack_id,
        member_epoch=member.epoch,
        client_id=member.client_id,
        client_host=member.client_host,
        subscribed_topic_names=list(member.topics),
        subscribed_topic_regex=member.expression,
        assignment=_named(owned, topics),
        target_assignment=_named(target, topics),
        member_type=CONSUMER_MEMBER_TYPE if member.classic is None else CLASSIC_MEMBER_TYPE,
    )


def _named(shares: Mapping[Uuid, Sequence[int]], topics: Topics) -> Assignment:
    """With the names of topics; those that are gone are left out."""
    return Assignment(
        topic_partitions=[
            TopicPartitions(topic_id=topic_id, topic_name=topic.name, partitions=list(partitions))
            for topic_id, partitions in shares.items()
            if (topic := topics.by_id(topic_id)) is not None
        ]
    )
