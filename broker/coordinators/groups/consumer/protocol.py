"""The consumer protocol: one request with which a member joins, stays, says what it owns, and leaves.

A **heartbeat** says only what has changed since the last one. What it leads to, in this order:

1. The member is found, or made (epoch 0), and must be at the epoch that the group knows it at. A member that is behind
   by one epoch has lost an answer, and may repeat itself if it owns nothing but what it was assigned.
2. What it says of itself is written down, if that is new. Another subscription makes another epoch of the group; so
   does another assignor, if most members would like it now, and so do topics that have changed.
3. A group that is ahead of its assignment is assigned, unless that was less than the assignment interval ago.
4. The member takes a step towards its target, and is answered its epoch, and what it owns if that has changed or if it
   asks for everything.

All four are one decision (`steps.py`), so that the first member of a group has its assignment with its first answer.

**Silence.** A member that is not heard of within the session timeout is removed; so is one that does not give up what
it has to within its own rebalance timeout. No member waits for another: all keep reading what they own. Deadlines
follow the members: one that appears gets a session with the record that makes it, and has no deadline when it is gone.

**Static members** (KIP-345) leave with epoch -2, keep what they own for the time of a session, and come back under any
member id, with their target. An instance id that has not been released is refused to others (UNRELEASED_INSTANCE_ID),
and a former owner is fenced (FENCED_INSTANCE_ID).

Refusals are raised; nothing that would be missed has changed then. Source: Kafka's GroupMetadataManager
(consumerGroupHeartbeat and what follows), KIP-848.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from broker.coordinators.deadlines import Deadlines
from broker.coordinators.groups.consumer.configs import TimesOf
from broker.coordinators.groups.consumer.group import ConsumerGroup, subscription_bytes
from broker.coordinators.groups.consumer.member import (
    JOINING_EPOCH,
    LEAVING_EPOCH,
    LEAVING_FOR_A_WHILE_EPOCH,
    NOTHING,
    ConsumerMember,
    MemberState,
    Owned,
    names_size,
)
from broker.coordinators.groups.consumer.records import assignment_record
from broker.coordinators.groups.consumer.steps import Steps
from broker.coordinators.groups.decision import Caller, CommittingMember, Draft, Timer, TimerName
from broker.coordinators.groups.memory import GROUP_BYTES, MEMBER_BYTES, Budget
from broker.coordinators.groups.offsets import OffsetToCommit
from broker.coordinators.groups.records import ConsumerRecord, text_size
from broker.coordinators.groups.settings import GroupSettings
from kproto.errors import ErrorCode, KafkaError
from kproto.formats.consumer_offsets import ConsumerGroupCurrentMemberAssignmentKey, ConsumerGroupMemberMetadataKey
from kproto.ids import format_uuid
from kproto.messages.consumer_group_heartbeat import (
    Assignment,
    ConsumerGroupHeartbeatRequest,
    ConsumerGroupHeartbeatResponse,
    TopicPartitions,
)
from storage.seams.clock import Instant
from storage.seams.entropy import Entropy

FIRST_COMMIT_WITH_EPOCHS: Final = 9
"""The version of OffsetCommit from which on members of this protocol commit."""

NOT_SAID: Final = -1
"""A rebalance timeout that a heartbeat leaves as it is."""


class ConsumerProtocol:
    """The decisions about one shard's consumer groups. It owns their deadlines except the offsets' one."""

    def __init__(
        self,
        settings: GroupSettings,
        entropy: Entropy,
        deadlines: Deadlines[TimerName],
        budget: Budget,
        steps: Steps,
        times_of: TimesOf,
    ) -> None:
        self._settings = settings
        self._entropy = entropy
        self._deadlines = deadlines
        self._budget = budget
        self._steps = steps
        self._times_of = times_of

    # --- what a request may say at all

    def check_request(self, request: ConsumerGroupHeartbeatRequest, version: int) -> None:
        """Refuse what no group could take. Raises KafkaError: INVALID_REQUEST, UNSUPPORTED_ASSIGNOR."""
        epoch = request.member_epoch
        if (version >= 1 or epoch > JOINING_EPOCH or epoch == LEAVING_EPOCH) and not request.member_id.strip():
            raise _invalid("a member needs an id")
        for name, text in (("group", request.group_id), ("instance", request.instance_id), ("rack", request.rack_id)):
            if text is not None and not text.strip():
                raise _invalid(f"the id of the {name} is empty")
        if epoch == JOINING_EPOCH:
            if request.rebalance_timeout_ms == NOT_SAID:
                raise _invalid("a member that joins must name its rebalance timeout")
            if request.topic_partitions is None or request.topic_partitions:
                raise _invalid("a member that joins must say that it owns nothing")
            if request.subscribed_topic_names is None and request.subscribed_topic_regex is None:
                raise _invalid("a member that joins must say what it subscribes to")
        elif epoch == LEAVING_FOR_A_WHILE_EPOCH and request.instance_id is None:
            raise _invalid("only a static member can leave for a while")
        elif epoch < LEAVING_FOR_A_WHILE_EPOCH:
            raise _invalid(f"{epoch} is no epoch of a member")
        assignors = self._steps.assignors
        if request.server_assignor is not None and request.server_assignor not in assignors:
            text = f"{request.server_assignor!r} is no assignor here; there are {', '.join(assignors)}"
            raise KafkaError(ErrorCode.UNSUPPORTED_ASSIGNOR, text)

    # --- joining and staying

    def beat(
        self, group: ConsumerGroup, request: ConsumerGroupHeartbeatRequest, caller: Caller, now: Instant
    ) -> ConsumerGroupHeartbeatResponse | None:
        """The answer to a heartbeat that leads to nothing, as nearly all do: the member has a session. None for any
        other heartbeat."""
        member = group.members.get(request.member_id)
        if member is None or not _says_nothing(request, member, caller) or not self._is_settled(group, member):
            return None
        self.renew(group, member, now)
        return self._answer(group, member)

    def heartbeat(
        self,
        group: ConsumerGroup,
        request: ConsumerGroupHeartbeatRequest,
        caller: Caller,
        draft: Draft,
        *,
        is_new: bool,
    ) -> ConsumerGroupHeartbeatResponse:
        """Decide on a heartbeat of a member that does not leave. `is_new`: the group comes into being with it.

        Raises KafkaError: UNKNOWN_MEMBER_ID, FENCED_MEMBER_EPOCH, FENCED_INSTANCE_ID, UNRELEASED_INSTANCE_ID,
        GROUP_MAX_SIZE_REACHED, INVALID_REGULAR_EXPRESSION, UNKNOWN_SERVER_ERROR.
        """
        self.check_room(group, request.member_id, request.instance_id)
        member_id = request.member_id or format_uuid(self._entropy.uuid())
        if request.instance_id is None:
            old = self._dynamic(group, member_id, request)
            before = old or ConsumerMember(member_id)
        else:
            old = self._static(group, member_id, request.instance_id, request)
            if old is not None and request.member_epoch == JOINING_EPOCH and old.instance_id == request.instance_id:
                before = self._steps.replace(group, old, member_id, draft)
            else:
                before = old or ConsumerMember(member_id)
        updated = _updated(before, request, caller)
        self.check_size(group, old, updated, is_new=is_new)
        change = self._steps.change(group, old, before, updated, draft)
        settled = self._steps.settle(group, old, updated, change, request.topic_partitions, draft)
        self._watch_revocation(group, updated, settled, draft.now)
        if old is not None and old.member_id == member_id:
            self.renew(group, old, draft.now)
        answer = self._answer(group, settled)
        if request.member_epoch == JOINING_EPOCH or _says_everything(request) or settled.assigned != before.assigned:
            answer.assignment = Assignment(topic_partitions=_answered(settled.assigned))
        return answer

    def _answer(self, group: ConsumerGroup, member: ConsumerMember) -> ConsumerGroupHeartbeatResponse:
        return ConsumerGroupHeartbeatResponse(
            member_id=member.member_id,
            member_epoch=member.epoch,
            heartbeat_interval_ms=self._times_of(group.group_id).heartbeat,
        )

    def _is_settled(self, group: ConsumerGroup, member: ConsumerMember) -> bool:
        """Whether a heartbeat that says nothing leads to nothing."""
        return (
            group.epoch == group.assignment_epoch
            and member.is_reconciled_to(group.assignment_epoch)
            and self._steps.knows_topics(group)
        )

    def check_room(self, group: ConsumerGroup, member_id: str, instance_id: str | None) -> None:
        """Refuse one member more than there may be. Raises KafkaError(GROUP_MAX_SIZE_REACHED)."""
        limit = self._settings.consumer_max_size
        if len(group.members) >= limit and member_id not in group.members and instance_id not in group.static:
            raise KafkaError(ErrorCode.GROUP_MAX_SIZE_REACHED, f"the group has {limit} members, as many as it may have")

    def check_size(
        self, group: ConsumerGroup, old: ConsumerMember | None, new: ConsumerMember, *, is_new: bool
    ) -> None:
        """Refuse a member that there is no room for. Raises KafkaError: GROUP_MAX_SIZE_REACHED,
        UNKNOWN_SERVER_ERROR."""
        size = new.metadata_size
        if size + names_size(new.topics) > self._settings.max_member_metadata:
            raise KafkaError(ErrorCode.UNKNOWN_SERVER_ERROR, "what the member says of itself is too long")
        growth = size - old.metadata_size if old is not None else size + MEMBER_BYTES
        if not group.has_subscription(new.topics):
            growth += subscription_bytes(new.topics)
        if is_new:
            growth += GROUP_BYTES + text_size(group.group_id)
        if not self._budget.allows(growth):
            raise KafkaError(ErrorCode.GROUP_MAX_SIZE_REACHED, "there is no room for another member")

    def _dynamic(
        self, group: ConsumerGroup, member_id: str, request: ConsumerGroupHeartbeatRequest
    ) -> ConsumerMember | None:
        """The member of this id; None if it has yet to be made."""
        member = group.members.get(member_id)
        if member is not None:
            _check_epoch(member, request)
        elif request.member_epoch != JOINING_EPOCH:
            raise unknown_member(group, member_id)
        return member

    def _static(
        self, group: ConsumerGroup, member_id: str, instance_id: str, request: ConsumerGroupHeartbeatRequest
    ) -> ConsumerMember | None:
        """The member that has this instance id; None if it has yet to be made."""
        member = group.static_member(instance_id)
        if request.member_epoch == JOINING_EPOCH:
            if member is None:
                return group.members.get(member_id)
            if member.classic is None and member.epoch != LEAVING_FOR_A_WHILE_EPOCH:
                text = f"instance {instance_id!r} is member {member.member_id}, which has not left"
                raise KafkaError(ErrorCode.UNRELEASED_INSTANCE_ID, text)
            return member
        member = self.static_member(group, member_id, instance_id)
        _check_epoch(member, request)
        return member

    def static_member(self, group: ConsumerGroup, member_id: str, instance_id: str) -> ConsumerMember:
        """The static member with both ids. Raises KafkaError: UNKNOWN_MEMBER_ID, FENCED_INSTANCE_ID."""
        member = group.static_member(instance_id)
        if member is None:
            text = f"there is no instance {instance_id!r} in group {group.group_id!r}"
            raise KafkaError(ErrorCode.UNKNOWN_MEMBER_ID, text)
        if member.member_id != member_id:
            text = f"instance {instance_id!r} is member {member.member_id} now"
            raise KafkaError(ErrorCode.FENCED_INSTANCE_ID, text)
        return member

    # --- leaving

    def leave(
        self, group: ConsumerGroup, request: ConsumerGroupHeartbeatRequest, draft: Draft
    ) -> ConsumerGroupHeartbeatResponse:
        """A member leaves, for good or for a while. Raises KafkaError: UNKNOWN_MEMBER_ID, FENCED_INSTANCE_ID."""
        member = group.members.get(request.member_id)
        if request.instance_id is not None:
            member = self.static_member(group, request.member_id, request.instance_id)
        if member is None:
            raise unknown_member(group, request.member_id)
        if request.member_epoch == LEAVING_FOR_A_WHILE_EPOCH:
            kept = {topic_id: dict.fromkeys(partitions, 0) for topic_id, partitions in member.assigned.items()}
            left = member._replace(epoch=LEAVING_FOR_A_WHILE_EPOCH, assigned=kept, revoking=NOTHING)
            draft.write(assignment_record(group.group_id, left))
            self._deadlines.cancel(TimerName(Timer.REBALANCE, group.group_id, member.member_id))
        else:
            self._steps.remove(group, [member], draft)
        return ConsumerGroupHeartbeatResponse(member_id=request.member_id, member_epoch=request.member_epoch)

    # --- time

    def renew(self, group: ConsumerGroup, member: ConsumerMember, now: Instant) -> None:
        """This member has been heard of."""
        name = TimerName(Timer.SESSION, group.group_id, member.member_id)
        self._deadlines.set(name, now.monotonic + max(1, self._session_of(group, member)))

    def _session_of(self, group: ConsumerGroup, member: ConsumerMember) -> int:
        if member.classic is not None:
            return member.classic.session_timeout_ms
        return self._times_of(group.group_id).session

    def _watch_revocation(
        self, group: ConsumerGroup, before: ConsumerMember, member: ConsumerMember, now: Instant
    ) -> None:
        """A member that has to give up partitions has to do so in time."""
        if member is before:
            return
        name = TimerName(Timer.REBALANCE, group.group_id, member.member_id)
        if _gives_up(member):
            self._deadlines.set(name, now.monotonic + max(1, member.rebalance_timeout))
        else:
            self._deadlines.cancel(name)

    def replayed(self, group: ConsumerGroup, record: ConsumerRecord, now: Instant | None) -> None:
        """Take over what a record says. A member that appears gets a session; `now` is None while a log is loaded, and
        `resume` follows."""
        group.replay(record)
        if now is None or not isinstance(
            record.key, ConsumerGroupMemberMetadataKey | ConsumerGroupCurrentMemberAssignmentKey
        ):
            return
        member = group.members.get(record.key.member_id)
        if member is None:
            self._cancel(group, record.key.member_id)
        elif TimerName(Timer.SESSION, group.group_id, member.member_id) not in self._deadlines:
            self.renew(group, member, now)

    def resume(self, group: ConsumerGroup, now: Instant) -> Iterator[None]:
        """After a load: every member gets a fresh session, and fresh time to give up what it has to."""
        for member in group.members.values():
            self.renew(group, member, now)
            if _gives_up(member):
                name = TimerName(Timer.REBALANCE, group.group_id, member.member_id)
                self._deadlines.set(name, now.monotonic + max(1, member.rebalance_timeout))
            yield

    def expired(self, name: TimerName, group: ConsumerGroup, draft: Draft) -> None:
        """A deadline has passed."""
        member = group.members.get(name.member_id)
        if member is None:
            return  # its record was refused, the disk being full
        match name.kind:
            case Timer.SESSION | Timer.JOIN | Timer.SYNC:
                self._steps.remove(group, [member], draft)
            case Timer.REBALANCE:
                if _gives_up(member):
                    self._steps.remove(group, [member], draft)
            case _:
                raise AssertionError(f"{name.kind} is no deadline of a consumer group")

    def cancel_all(self, group: ConsumerGroup) -> None:
        """The group goes: none of its deadlines may come, and nothing that is being computed for it."""
        self._steps.forget(group)
        for member_id in group.members:
            self._cancel(group, member_id)

    def _cancel(self, group: ConsumerGroup, member_id: str) -> None:
        for kind in (Timer.SESSION, Timer.REBALANCE, Timer.JOIN, Timer.SYNC):
            self._deadlines.cancel(TimerName(kind, group.group_id, member_id))

    # --- offsets

    def commit_error(
        self, group: ConsumerGroup, committing: CommittingMember, commits: Sequence[OffsetToCommit]
    ) -> ErrorCode:
        """Members may commit at their epoch; and, if they have not learned of it yet, at one that is not older than
        that at which they got the partition (KIP-1251). Any client without an epoch may while there are no members."""
        epoch = committing.generation
        if epoch < 0 and not group.members:
            return ErrorCode.NONE
        transactional = committing.transactional
        if transactional and epoch < 0 and not committing.member_id and committing.instance_id is None:
            return ErrorCode.NONE
        member = group.members.get(committing.member_id)
        if member is None:
            return ErrorCode.UNKNOWN_MEMBER_ID
        if member.classic is None and committing.api_version < FIRST_COMMIT_WITH_EPOCHS and not transactional:
            return ErrorCode.UNSUPPORTED_VERSION
        if epoch == member.epoch:
            return ErrorCode.NONE
        if epoch < member.epoch and all(_got_by(member, commit, epoch) for commit in commits):
            return ErrorCode.NONE
        return _stale(member)

    def fetch_error(self, group: ConsumerGroup, member_id: str | None, epoch: int) -> ErrorCode:
        """NONE if a client that says so of itself may learn what was committed: a member at its epoch, or any client
        that does not claim to be one."""
        if member_id is None and epoch < 0:
            return ErrorCode.NONE
        member = group.members.get(member_id or "")
        if member is None:
            return ErrorCode.UNKNOWN_MEMBER_ID
        return ErrorCode.NONE if epoch == member.epoch else _stale(member)

    def heard_of(self, group: ConsumerGroup, member_id: str, now: Instant) -> None:
        """A commit is no sign of life in this protocol."""

    # --- invariants

    def check(self, group: ConsumerGroup) -> None:
        """The group is sound, and every member that may fall silent has a deadline."""
        group.check()
        for member in group.members.values():
            assert TimerName(Timer.SESSION, group.group_id, member.member_id) in self._deadlines
            if _gives_up(member):
                timer = TimerName(Timer.REBALANCE, group.group_id, member.member_id)
                assert timer in self._deadlines, f"{member.member_id} could keep others waiting forever"


def _invalid(reason: str) -> KafkaError:
    return KafkaError(ErrorCode.INVALID_REQUEST, reason)


def unknown_member(group: ConsumerGroup, member_id: str) -> KafkaError:
    """There is no such member."""
    return KafkaError(ErrorCode.UNKNOWN_MEMBER_ID, f"there is no member {member_id!r} in group {group.group_id!r}")


def _gives_up(member: ConsumerMember) -> bool:
    """Whether the member has partitions to give up, and its own time to do so. Classic members join for that."""
    return member.state is MemberState.UNREVOKED_PARTITIONS and member.epoch > JOINING_EPOCH and member.classic is None


def _says_nothing(request: ConsumerGroupHeartbeatRequest, member: ConsumerMember, caller: Caller) -> bool:
    """Whether a heartbeat has nothing to say but that the member is alive."""
    return (
        request.member_epoch == member.epoch
        and request.member_epoch > JOINING_EPOCH
        and request.subscribed_topic_names is None
        and request.subscribed_topic_regex is None
        and request.rack_id is None
        and request.rebalance_timeout_ms == NOT_SAID
        and request.server_assignor is None
        and (request.instance_id is None or request.instance_id == member.instance_id)
        and caller.client_id == member.client_id
        and caller.client_host == member.client_host
        and member.classic is None
    )


def _says_everything(request: ConsumerGroupHeartbeatRequest) -> bool:
    """Whether the client has lost track, and repeats all that it has to say: it is answered all that it has to know."""
    return (
        request.rebalance_timeout_ms != NOT_SAID
        and (request.subscribed_topic_names is not None or request.subscribed_topic_regex is not None)
        and request.topic_partitions is not None
    )


def _check_epoch(member: ConsumerMember, request: ConsumerGroupHeartbeatRequest) -> None:
    """Fence a member that is at another epoch, and has not merely lost an answer. Raises
    KafkaError(FENCED_MEMBER_EPOCH)."""
    epoch = request.member_epoch
    if epoch in (JOINING_EPOCH, member.epoch):
        return
    if epoch < member.epoch and epoch == member.previous_epoch and _owns(member, request.topic_partitions):
        return
    text = f"the member is at epoch {member.epoch}, and claims to be at {epoch}: it has to give up all and join again"
    raise KafkaError(ErrorCode.FENCED_MEMBER_EPOCH, text)


def _owns(member: ConsumerMember, claimed: Sequence[TopicPartitions] | None) -> bool:
    """Whether the member owns all that it says it does."""
    return claimed is not None and all(
        each.topic_id in member.assigned and member.assigned[each.topic_id].keys() >= set(each.partitions)
        for each in claimed
    )


def _updated(member: ConsumerMember, request: ConsumerGroupHeartbeatRequest, caller: Caller) -> ConsumerMember:
    """The member with what it says of itself."""
    said: dict[str, object] = {
        "instance_id": request.instance_id,
        "rack_id": request.rack_id,
        "assignor": request.server_assignor,
        "expression": request.subscribed_topic_regex,
        "topics": None if request.subscribed_topic_names is None else frozenset(request.subscribed_topic_names),
        "rebalance_timeout": None if request.rebalance_timeout_ms == NOT_SAID else request.rebalance_timeout_ms,
    }
    changes: Mapping[str, object] = {name: value for name, value in said.items() if value is not None}
    return member._replace(
        client_id=caller.client_id,
        client_host=caller.client_host,
        classic=None,
        **changes,  # type: ignore[arg-type]  # each is of its field's type
    )


def _answered(owned: Owned) -> list[TopicPartitions]:
    return [TopicPartitions(topic_id=topic_id, partitions=list(partitions)) for topic_id, partitions in owned.items()]


def _got_by(member: ConsumerMember, commit: OffsetToCommit, epoch: int) -> bool:
    got = member.assignment_epoch(commit.topic_id, commit.partition)
    return got is not None and epoch >= got


def _stale(member: ConsumerMember) -> ErrorCode:
    return ErrorCode.STALE_MEMBER_EPOCH if member.classic is None else ErrorCode.ILLEGAL_GENERATION
