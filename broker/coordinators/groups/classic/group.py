"""A classic group and its members: what they are, what they promise each other, what is written down of them.

A group lives in two places. In the log stands one GroupMetadata record per change of a *settled* group: generation,
chosen protocol, leader, and each member with its subscription and assignment. In memory the same group may be ahead of
the log: members are joining, a generation has been formed whose leader is still computing the assignment. That part is
volatile by design (see `states.py`): losing it in a crash costs one more rebalance and nothing else.

Hence two kinds of mutators here. `replay` takes over what a record says and is the only way into EMPTY and STABLE;
the others keep account of who is taking part in the rebalance now, and are called by the decisions in `protocol.py`.

Sources: Kafka's ClassicGroup and ClassicGroupMember; KIP-62 (rebalance timeout), KIP-345 (static members), KIP-394
(member id required).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from broker.coordinators.groups.classic.states import GroupEvent, GroupState, next_state
from broker.coordinators.groups.group import OffsetAge
from broker.coordinators.groups.memory import GROUP_BYTES, MEMBER_BYTES, PENDING_BYTES, Held
from broker.coordinators.groups.records import GroupMetadataRecord, GroupRecord, member_size, text_size
from broker.coordinators.machine import Promise
from kproto.errors import ErrorCode, ProtocolError, Truncated
from kproto.formats.consumer_offsets import GroupMetadataValue, MemberMetadata
from kproto.formats.consumer_protocol import ConsumerProtocolSubscription
from kproto.messages.describe_groups import DescribedGroup, DescribedGroupMember
from kproto.messages.join_group import JoinGroupResponse, JoinGroupResponseMember
from kproto.messages.list_groups import ListedGroup
from kproto.messages.sync_group import SyncGroupResponse
from kproto.schema.compile import decoder

CLASSIC: Final = "classic"
"""The kind of these groups, as ListGroups shows it and filters by it."""

CONSUMER_PROTOCOL_TYPE: Final = "consumer"
VERSION_BYTES: Final = 2
"""In front of a subscription."""
NAMES_LOOKED_AT: Final = 30_000
"""Of topics, in the subscriptions of a group's members at one time: some ten milliseconds."""
MEMBER_WEIGHS: Final = 5
"""As many names as a subscription takes time by itself."""
SUBSCRIPTIONS_KNOWN: Final = 8
"""Different ones that each member's is compared with before it is read."""
REBALANCING: Final = frozenset({GroupState.PREPARING_REBALANCE, GroupState.COMPLETING_REBALANCE})


class Protocol(NamedTuple):
    """One assignment strategy that a member offers, and what it wants assigned under it (opaque to us)."""

    name: str
    metadata: bytes


@dataclass(slots=True, kw_only=True)
class ClassicMember:
    """One member. `joining` and `syncing` are the promises of its parked requests, volatile like `is_new`."""

    member_id: str
    instance_id: str | None
    client_id: str
    client_host: str
    rebalance_timeout: int
    session_timeout: int
    protocol_type: str
    protocols: Sequence[Protocol]
    assignment: bytes = b""
    joining: Promise[JoinGroupResponse] | None = None
    syncing: Promise[SyncGroupResponse] | None = None
    is_new: bool = False

    @property
    def awaits_answer(self) -> bool:
        """Its request is parked here, so that it cannot beat and its session does not run out.

        A new member is the exception: it does not know its id yet, so no other request could ever remove it.
        """
        return not self.is_new and (self.joining is not None or self.syncing is not None)

    @property
    def size(self) -> int:
        """Bytes that it takes in its group's record, were all its protocols chosen, without its assignment."""
        size = member_size(self.member_id, self.instance_id, self.client_id, self.client_host)
        return size + sum(text_size(name) + len(metadata) for name, metadata in self.protocols)

    def metadata(self, protocol_name: str | None) -> bytes | None:
        """What it said under that protocol; None if it does not offer it."""
        for name, metadata in self.protocols:
            if name == protocol_name:
                return metadata
        return None

    def written(self, protocol_name: str | None, assignment: bytes) -> MemberMetadata | None:
        """Its entry in the group's record; None if it does not offer that protocol."""
        subscription = self.metadata(protocol_name)
        if subscription is None:
            return None
        return MemberMetadata(
            member_id=self.member_id,
            group_instance_id=self.instance_id,
            client_id=self.client_id,
            client_host=self.client_host,
            rebalance_timeout=self.rebalance_timeout,
            session_timeout=self.session_timeout,
            subscription=subscription,
            assignment=assignment,
        )

    def vote(self, candidates: Iterable[str]) -> str:
        """The first of its own protocols that every member can use."""
        for name, _ in self.protocols:
            if name in candidates:
                return name
        raise AssertionError(f"{self.member_id} supports none of {sorted(candidates)}")


@dataclass(slots=True)
class InitialDelay:
    """How long the first members of an empty group still wait for company (KIP-134)."""

    delay: int
    remaining: int
    member_added: bool = False


class ClassicGroup:
    """One group. See the module's page for what is of the log and what is of the living."""

    __slots__ = (
        "_account",
        "generation",
        "group_id",
        "held",
        "initial",
        "leader",
        "led",
        "members",
        "members_held",
        "members_size",
        "offers",
        "pending_join",
        "pending_sync",
        "protocol_name",
        "protocol_type",
        "state",
        "state_timestamp",
        "static",
    )

    def __init__(self, group_id: str, state_timestamp: int, account: Held) -> None:
        self.group_id = group_id
        self._account = account
        self.held = 0  # bytes of memory, counted in the machine's account
        self.members_held = 0  # those of them that members take
        self._hold(GROUP_BYTES + text_size(group_id))
        self.state = GroupState.EMPTY
        self.state_timestamp = state_timestamp  # wall milliseconds; -1 if the log does not say
        self.generation = 0
        self.protocol_type: str | None = None  # None: it has never had members, it only stores offsets
        self.protocol_name: str | None = None
        self.leader: str | None = None
        self.led = True  # False: no leader has assigned this generation, which was a consumer group's (migration.py)
        self.members: dict[str, ClassicMember] = {}
        self.members_size = 0  # bytes that the members take, see ClassicMember.size
        self.offers: Counter[str] = Counter()  # protocol -> members that offer it
        self.static: dict[str, str] = {}  # instance id -> member id
        self.pending_join: dict[str, None] = {}  # ids given out (KIP-394) and not used yet, in order
        self.pending_sync: dict[str, None] = {}  # members that have not asked for their assignment yet
        self.initial: InitialDelay | None = None

    # --- questions that are asked of any group

    @property
    def kind(self) -> str:
        """What ListGroups calls groups of this kind."""
        return CLASSIC

    @property
    def is_empty(self) -> bool:
        """True when the group is settled and has no members."""
        return self.state is GroupState.EMPTY

    @property
    def is_forgettable(self) -> bool:
        """True when no client is a member, and none has been given an id to join with."""
        return self.is_empty and not self.pending_join

    @property
    def uses_consumer_protocol(self) -> bool:
        """Its members are consumers, and what they subscribe to can be read."""
        return self.protocol_type == CONSUMER_PROTOCOL_TYPE

    @property
    def offset_age(self) -> OffsetAge:
        """From when the group became empty, if it has had members (KIP-211); else from each commit."""
        if self.protocol_type is None:
            return OffsetAge(True)
        if self.state is GroupState.EMPTY:
            # A record of Kafka before 2.1 does not say since when: then each offset counts from its commit.
            return OffsetAge(True, self.state_timestamp if self.state_timestamp != -1 else None)
        return OffsetAge(self.state is GroupState.STABLE and self.uses_consumer_protocol)

    def listed(self) -> ListedGroup:
        """The group as ListGroups shows it."""
        return ListedGroup(
            group_id=self.group_id,
            protocol_type=self.protocol_type or "",
            group_state=self.state.value,
            group_type=CLASSIC,
        )

    def tombstones(self) -> Sequence[GroupRecord]:
        """The record after which the group is gone."""
        return (GroupMetadataRecord(self.group_id, None),)

    # --- questions

    @property
    def rebalance_timeout(self) -> int:
        """The most patient member decides."""
        return max((member.rebalance_timeout for member in self.members.values()), default=0)

    @property
    def awaiting_join(self) -> int:
        """Members whose JoinGroup is parked."""
        return sum(member.joining is not None for member in self.members.values())

    @property
    def all_joined(self) -> bool:
        """No member is expected any more."""
        return not self.pending_join and all(member.joining is not None for member in self.members.values())

    def validate(self, member_id: str, instance_id: str | None) -> ErrorCode:
        """NONE if this is a member; what Kafka answers if it is not, or not any more (KIP-345)."""
        if instance_id is not None:
            known = self.static.get(instance_id)
            if known is None:
                return ErrorCode.UNKNOWN_MEMBER_ID
            if known != member_id:
                return ErrorCode.FENCED_INSTANCE_ID
        return ErrorCode.NONE if member_id in self.members else ErrorCode.UNKNOWN_MEMBER_ID

    def supports(self, protocol_type: str, names: Iterable[str]) -> bool:
        """Whether a member like this can take part: same kind, and one protocol that every member offers."""
        names = set(names)
        if not self.members:
            return bool(protocol_type) and bool(names)
        return protocol_type == self.protocol_type and not names.isdisjoint(self._candidates())

    def _candidates(self) -> set[str]:
        """Protocols that every member offers."""
        return {name for name, count in self.offers.items() if count == len(self.members)}

    def elect_protocol(self) -> str:
        """Each member votes for the first it likes of those that all can use; the most votes win, the earliest of
        equals."""
        candidates = self._candidates()
        votes = Counter(member.vote(candidates) for member in self.members.values())
        return votes.most_common(1)[0][0]

    def subscribed_among(self, topics: Iterable[str]) -> set[str]:
        """Those of `topics` that the members read, as far as their subscriptions can be parsed.

        Members of a consumer group whose subscription means nothing to us may read anything, so all are returned; and
        so they are where members have more different subscriptions than one turn of the event loop can look at
        (`NAMES_LOOKED_AT`). Groups of another kind have no topics.
        """
        if not self.uses_consumer_protocol:
            return set()
        wanted, subscribed = set(topics), set[str]()
        left = NAMES_LOOKED_AT
        known: list[bytes] = []  # most members say the same, and add to it what they have and that is different
        for member in self.members.values():
            if len(subscribed) == len(wanted):
                break
            metadata = member.metadata(self.protocol_name)
            if metadata is None:
                return wanted
            if any(metadata.startswith(section, VERSION_BYTES) for section in known):
                continue
            try:
                names, end = _subscribed_topics(metadata, left)
            except ProtocolError:
                return wanted
            left -= len(names) + MEMBER_WEIGHS
            if left <= 0:
                return wanted
            subscribed |= wanted.intersection(names)
            if len(known) < SUBSCRIPTIONS_KNOWN:
                known.append(metadata[VERSION_BYTES:end])
        return subscribed

    def described(self) -> DescribedGroup:
        """The group as DescribeGroups shows it. Subscriptions show only while the group is stable."""
        stable = self.state is GroupState.STABLE
        return DescribedGroup(
            group_id=self.group_id,
            group_state=self.state.value,
            protocol_type=self.protocol_type or "",
            protocol_data=(self.protocol_name or "") if stable else "",
            members=[
                DescribedGroupMember(
                    member_id=member.member_id,
                    group_instance_id=member.instance_id,
                    client_id=member.client_id,
                    client_host=member.client_host,
                    member_metadata=(member.metadata(self.protocol_name) or b"") if stable else b"",
                    member_assignment=member.assignment,
                )
                for member in self.members.values()
            ],
        )

    def join_answer(self, member: ClassicMember) -> JoinGroupResponse:
        """The present generation, as `member` may see it: the leader alone sees all members."""
        leads = member.member_id == self.leader
        return JoinGroupResponse(
            generation_id=self.generation,
            protocol_type=self.protocol_type,
            protocol_name=self.protocol_name,
            leader=self.leader or "",
            member_id=member.member_id,
            members=[
                JoinGroupResponseMember(
                    member_id=each.member_id,
                    group_instance_id=each.instance_id,
                    metadata=each.metadata(self.protocol_name) or b"",
                )
                for each in self.members.values()
            ]
            if leads
            else [],
        )

    def sync_answer(self, assignment: bytes) -> SyncGroupResponse:
        """A member's share of the present generation."""
        return SyncGroupResponse(
            protocol_type=self.protocol_type, protocol_name=self.protocol_name, assignment=assignment
        )

    # --- what is written down

    def metadata_value(self, assignments: Mapping[str, bytes], *, led: bool = True) -> GroupMetadataValue:
        """The record's value for the present generation with these assignments. It names no leader if none has `led`
        it, by which a coordinator that loads it knows that the members are still to be asked to join."""
        assert self.protocol_type is not None
        return GroupMetadataValue(
            protocol_type=self.protocol_type,
            generation=self.generation,
            protocol=self.protocol_name,
            leader=self.leader if led else None,
            current_state_timestamp=self.state_timestamp,
            members=[
                _written(member, self.protocol_name, assignments.get(member.member_id, b""))
                for member in self.members.values()
            ],
        )

    def emptied_value(self, now_wall: int) -> GroupMetadataValue:
        """The record's value for the generation after the last member has left."""
        return GroupMetadataValue(
            protocol_type=self.protocol_type or "",
            generation=self.generation + 1,
            protocol=None,
            leader=None,
            current_state_timestamp=now_wall,
            members=[],
        )

    def created_value(self) -> GroupMetadataValue:
        """The record's value for a group that did not exist when its first member wants to join."""
        return GroupMetadataValue(
            protocol_type="",
            generation=0,
            protocol=None,
            leader=None,
            current_state_timestamp=self.state_timestamp,
            members=[],
        )

    def replay(self, value: GroupMetadataValue) -> None:
        """Be as the record says. Members that are known keep what only memory has: promises, further protocols."""
        settled = GroupState.STABLE if value.members else GroupState.EMPTY
        if self.state in REBALANCING:
            if settled is GroupState.EMPTY and value.generation <= self.generation:
                return  # the record of the group's creation, written for the member that is joining already
            event = GroupEvent.LEADER_SYNCED if value.members else GroupEvent.LAST_MEMBER_LEFT
            assert next_state(self.state, event) is settled
        self.state = settled
        self.state_timestamp = value.current_state_timestamp
        self.generation = value.generation
        self.protocol_type = value.protocol_type or None
        self.protocol_name = value.protocol
        self.leader = value.leader or next((entry.member_id for entry in value.members), None)
        self.led = value.leader is not None or not value.members
        self._hold_for_members(-self.members_held)
        known = self.members
        self.members = {entry.member_id: _remember(known.get(entry.member_id), entry, value) for entry in value.members}
        self.offers.clear()
        self.members_size = 0
        for member in self.members.values():
            self._count(member, 1)
        self.static = {m.instance_id: m.member_id for m in self.members.values() if m.instance_id is not None}
        self.pending_sync = {member_id: None for member_id in self.pending_sync if member_id in self.members}
        self.initial = None

    # --- who takes part now

    def add(self, member: ClassicMember) -> None:
        """A member joins. The first one decides what kind of group this is."""
        assert member.member_id not in self.members
        if not self.members:
            self.protocol_type = member.protocol_type
        if member.instance_id is not None:
            assert member.instance_id not in self.static
            self.static[member.instance_id] = member.member_id
        if self.leader is None:
            self.leader = member.member_id
        self.members[member.member_id] = member
        self._count(member, 1)
        self._take_back(member.member_id)

    def remove(self, member_id: str) -> ClassicMember | None:
        """A client leaves, member or not yet. A leader is succeeded by the longest-serving member."""
        member = self.members.pop(member_id, None)
        if member is not None:
            self._count(member, -1)
            if member.instance_id is not None:
                del self.static[member.instance_id]
        if self.leader == member_id:
            self.leader = next(iter(self.members), None)
        self._take_back(member_id)
        self.pending_sync.pop(member_id, None)
        return member

    def change_protocols(self, member: ClassicMember, protocols: Sequence[Protocol]) -> None:
        """A member comes back with other wishes."""
        self._count(member, -1)
        member.protocols = protocols
        self._count(member, 1)

    def _count(self, member: ClassicMember, sign: int) -> None:
        """Keep account of who offers what, so that a join need not look at every member."""
        size = member.size
        self.members_size += sign * size
        self._hold_for_members(sign * (MEMBER_BYTES + size + len(member.assignment)))
        for name, _ in member.protocols:
            self.offers[name] += sign
            if not self.offers[name]:
                del self.offers[name]

    def _hold_for_members(self, growth: int) -> None:
        self.members_held += growth
        self._hold(growth)

    def _hold(self, growth: int) -> None:
        self.held += growth
        self._account.bytes += growth

    def give_out(self, member_id: str) -> None:
        """A client will come back with this id (KIP-394)."""
        self.pending_join[member_id] = None
        self._hold(PENDING_BYTES + text_size(member_id))

    def _take_back(self, member_id: str) -> None:
        if member_id in self.pending_join:
            del self.pending_join[member_id]
            self._hold(-PENDING_BYTES - text_size(member_id))

    def drop_assignment(self, member: ClassicMember) -> None:
        """Another one will come with the next generation."""
        self._hold_for_members(-len(member.assignment))
        member.assignment = b""

    def release(self) -> None:
        """The group is gone, and takes no memory."""
        self._hold(-self.held)

    def rename(self, member: ClassicMember, new_id: str) -> None:
        """The same static member comes back under a new id: everything but its name stays (KIP-345)."""
        old_id = member.member_id
        self.members = {new_id if key == old_id else key: value for key, value in self.members.items()}
        self._count(member, -1)
        member.member_id = new_id
        self._count(member, 1)
        assert member.instance_id is not None
        self.static[member.instance_id] = new_id
        if self.leader == old_id:
            self.leader = new_id
        if old_id in self.pending_sync:
            del self.pending_sync[old_id]
            self.pending_sync[new_id] = None

    def elect_joined_leader(self) -> bool:
        """Make sure that the leader is one who has joined; False if none has."""
        if self.leader is not None and self.members[self.leader].joining is not None:
            return True
        joined = next((m.member_id for m in self.members.values() if m.joining is not None), None)
        if joined is None:
            return False
        self.leader = joined
        return True

    def transition(self, event: GroupEvent, now_wall: int) -> None:
        """Move to a state of the living."""
        self.state = next_state(self.state, event)
        assert self.state in REBALANCING, "only the log makes a group Empty or Stable"
        self.state_timestamp = now_wall

    def begin_generation(self, now_wall: int) -> None:
        """All who take part are here: a new generation, with a protocol that all can use."""
        self.generation += 1
        self.protocol_name = self.elect_protocol()
        self.transition(GroupEvent.ALL_JOINED, now_wall)
        self.pending_sync = dict.fromkeys(self.members)

    # --- invariants

    def check(self) -> None:
        """What each state promises."""
        assert self.generation >= 0
        for member_id, member in self.members.items():
            assert member.member_id == member_id
            assert member.protocol_type == self.protocol_type
            assert member.joining is None or member.syncing is None, f"{member_id} waits for two answers"
            if member.instance_id is not None:
                assert self.static.get(member.instance_id) == member_id
        assert len(self.static) == sum(m.instance_id is not None for m in self.members.values())
        assert (self.leader in self.members) if self.members else self.leader is None, (
            "the leader is one of the members"
        )
        assert self.pending_join.keys().isdisjoint(self.members)
        assert self.pending_sync.keys() <= self.members.keys()
        offers = Counter(name for member in self.members.values() for name, _ in member.protocols)
        assert offers == self.offers and sum(m.size for m in self.members.values()) == self.members_size
        members = sum(MEMBER_BYTES + m.size + len(m.assignment) for m in self.members.values())
        pending = sum(PENDING_BYTES + text_size(member_id) for member_id in self.pending_join)
        assert self.members_held == members, "what members take is counted"
        assert self.held == GROUP_BYTES + text_size(self.group_id) + members + pending, "and so is all else"
        assert self._candidates() or not self.members, "members have a protocol in common"
        joining = [m.member_id for m in self.members.values() if m.joining is not None]
        syncing = [m.member_id for m in self.members.values() if m.syncing is not None]
        match self.state:
            case GroupState.EMPTY:
                assert not self.members and self.protocol_name is None
            case GroupState.PREPARING_REBALANCE:
                assert not syncing and not self.pending_sync
                assert self.initial is not None or not self.all_joined, (
                    "no member is missing, the generation must begin"
                )
            case GroupState.COMPLETING_REBALANCE:
                assert self.members and not joining
                assert set(syncing) == set(self.members) - set(self.pending_sync)
                assert self.leader in self.pending_sync, "the leader has synced: the group is stable"
                assert self.protocol_name is not None
            case GroupState.STABLE:
                assert self.members and not joining and not syncing
                assert self.protocol_name is not None
            case GroupState.DEAD:
                raise AssertionError("a dead group is not kept")
        assert self.initial is None or self.state is GroupState.PREPARING_REBALANCE


def _subscribed_topics(metadata: bytes, most: int) -> tuple[Sequence[str], int]:
    """The topics of a subscription, and where their list ends, read as version 0: every version begins like it, also
    those not invented yet. Raises ProtocolError, also for more than `most` of them."""
    if len(metadata) < VERSION_BYTES:
        raise Truncated("a subscription starts with its version")
    subscription, end = decoder(ConsumerProtocolSubscription, 0)(memoryview(metadata), VERSION_BYTES, most)
    return subscription.topics, end - 4 - len(subscription.user_data or b"")


def _written(member: ClassicMember, protocol_name: str | None, assignment: bytes) -> MemberMetadata:
    entry = member.written(protocol_name, assignment)
    assert entry is not None, "a generation has a protocol that every member offers"
    return entry


def _remember(known: ClassicMember | None, entry: MemberMetadata, value: GroupMetadataValue) -> ClassicMember:
    """The member of a record: the very object that memory has, if it is what the record says."""
    if known is not None and known.written(value.protocol, entry.assignment) == entry:
        known.assignment = entry.assignment
        return known
    assert known is None or not (known.joining or known.syncing), "no client that waits here is forgotten"
    return ClassicMember(
        member_id=entry.member_id,
        instance_id=entry.group_instance_id,
        client_id=entry.client_id,
        client_host=entry.client_host,
        rebalance_timeout=entry.session_timeout if entry.rebalance_timeout == -1 else entry.rebalance_timeout,
        session_timeout=entry.session_timeout,
        protocol_type=value.protocol_type,
        protocols=(Protocol(value.protocol or "", entry.subscription),),
        assignment=entry.assignment,
    )
