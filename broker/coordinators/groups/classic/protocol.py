"""The classic protocol: join, sync, beat, leave, and what follows when a member does not.

A **rebalance** has two phases. In the first, every client that wants to be in the next generation sends JoinGroup and
waits; it ends when all known members have come, or, without the absent ones, when the longest of the members' rebalance
timeouts has passed. In the second, the leader, which alone has got the others' subscriptions, computes the assignment
and sends it with its SyncGroup; the other members' SyncGroups wait for that. With the leader's assignment the
generation is written to the log, and all members are answered.

Members are kept alive by heartbeats. Who waits in a parked JoinGroup or SyncGroup need not beat. What ends patience is
always a deadline named in `Timer`:

- SESSION: a member that neither beats nor waits, or an id that was given out and not used;
- JOIN: the first phase (or, of an empty group, the initial delay, prolonged while further members come: KIP-134);
- SYNC: the second phase (KIP-62's rebalance timeout again): a member that has not synced by then is removed.

**Static members** (`group.instance.id`, KIP-345) come back under a new member id without a rebalance, as long as the
group would choose the same protocol; a client that still uses the old id is fenced. KIP-814: such a leader is asked to
skip the assignment.

Every promise is answered exactly once. A request that repeats a parked one takes its place, and the older is answered
REBALANCE_IN_PROGRESS; Kafka leaves it unanswered forever.

Decisions here change only what is volatile (`group.py`) and draft records; the group is EMPTY or STABLE when the
record has been replayed. Source: Kafka's GroupMetadataManager (classicGroupJoin and what follows).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final
from uuid import UUID

from broker.coordinators.deadlines import Deadlines
from broker.coordinators.groups.classic.group import ClassicGroup, ClassicMember, InitialDelay, Protocol
from broker.coordinators.groups.classic.states import GroupEvent, GroupState
from broker.coordinators.groups.decision import UNKNOWN_MEMBER_ID, Caller, CommittingMember, Draft, Timer, TimerName
from broker.coordinators.groups.memory import GROUP_BYTES, MEMBER_BYTES, Budget
from broker.coordinators.groups.offsets import OffsetToCommit
from broker.coordinators.groups.records import (
    GroupMetadataRecord,
    group_metadata_size,
    member_size,
    text_size,
)
from broker.coordinators.groups.settings import GroupSettings
from kproto.errors import ErrorCode
from kproto.messages.heartbeat import HeartbeatRequest
from kproto.messages.join_group import JoinGroupRequest, JoinGroupResponse
from kproto.messages.leave_group import MemberIdentity, MemberResponse
from kproto.messages.sync_group import SyncGroupRequest, SyncGroupResponse
from storage.seams.clock import Instant
from storage.seams.entropy import Entropy

LEAST_WAIT_FOR_STATIC: Final = 1_000
"""Milliseconds between two looks at a group of static members none of which has come back, whatever their rebalance
timeout: until one comes, or a session ends, there is nothing to do."""

MAX_ID_BYTES: Final = 0x7FFF
"""A member's id is a string in every answer and record that names it, and a string has no more bytes than that."""

ID_SUFFIX_BYTES: Final = 1 + 36
"""What makes an id unique: a hyphen and a UUID, behind the client's id or the member's instance id."""


class ClassicProtocol:
    """The decisions about one shard's classic groups. It owns their deadlines except the offsets' one."""

    def __init__(
        self, settings: GroupSettings, entropy: Entropy, deadlines: Deadlines[TimerName], budget: Budget
    ) -> None:
        self._budget = budget
        self._settings = settings
        self._entropy = entropy
        self._deadlines = deadlines

    # --- join

    def join(
        self,
        group: ClassicGroup,
        request: JoinGroupRequest,
        caller: Caller,
        draft: Draft,
    ) -> None:
        """Decide on a JoinGroup whose group exists and whose numbers are in bounds."""
        if not self._has_room(group, request, caller):
            draft.reply(_join_refusal(ErrorCode.GROUP_MAX_SIZE_REACHED, UNKNOWN_MEMBER_ID))
            if group.state is GroupState.PREPARING_REBALANCE or request.member_id in group.pending_join:
                self._forget_member(group, request.member_id, draft)
                self._maybe_complete_join(group, draft)
        elif not group.supports(request.protocol_type, [protocol.name for protocol in request.protocols]):
            draft.reply(_join_refusal(ErrorCode.INCONSISTENT_GROUP_PROTOCOL, request.member_id))
        elif request.member_id == UNKNOWN_MEMBER_ID:
            self._join_new(group, request, caller, draft)
        elif request.member_id in group.pending_join and request.group_instance_id is None:
            self._add_member(group, request.member_id, request, caller, draft)
        elif (error := group.validate(request.member_id, request.group_instance_id)) is not ErrorCode.NONE:
            draft.reply(_join_refusal(error, request.member_id))
        else:
            self._rejoin(group, group.members[request.member_id], request, caller, draft)

    def _has_room(self, group: ClassicGroup, request: JoinGroupRequest, caller: Caller) -> bool:
        """Kafka's rule for group.max.size, and our caps on memory.

        While members gather, those are counted that have come: a group above its size (the key was lowered) is cut to
        size by who comes first.
        """
        limit = self._settings.max_size
        member = group.members.get(request.member_id)
        match group.state:
            case GroupState.PREPARING_REBALANCE:
                waits = member is not None and member.joining is not None
                room = waits or len(group.members) < limit or group.awaiting_join < limit
            case GroupState.COMPLETING_REBALANCE | GroupState.STABLE:
                room = member is not None or len(group.members) < limit
            case _:
                room = True
        size = _size_offered(request, caller)
        growth = size - (member.size if member is not None else 0)
        room = room and group.members_size + growth <= self._settings.max_group_metadata
        return room and self._budget.allows(growth if member is not None else growth + MEMBER_BYTES)

    def _join_new(
        self,
        group: ClassicGroup,
        request: JoinGroupRequest,
        caller: Caller,
        draft: Draft,
    ) -> None:
        instance_id = request.group_instance_id
        member_id = self._new_member_id(caller.client_id if instance_id is None else instance_id)
        if instance_id is not None:
            if instance_id in group.static:
                self._replace_static(group, member_id, request, caller, draft)
            else:
                self._add_member(group, member_id, request, caller, draft)
        elif caller.api_version < 4:
            self._add_member(group, member_id, request, caller, draft)
        elif len(group.pending_join) >= self._settings.max_pending_members:
            draft.reply(_join_refusal(ErrorCode.GROUP_MAX_SIZE_REACHED, UNKNOWN_MEMBER_ID))
        else:
            group.give_out(member_id)
            self._set(Timer.SESSION, group, draft.now, request.session_timeout_ms, member_id)
            draft.reply(_join_refusal(ErrorCode.MEMBER_ID_REQUIRED, member_id))

    def has_room_for_group(self, request: JoinGroupRequest, caller: Caller) -> bool:
        """Whether the budget has room for a group with this member."""
        size = GROUP_BYTES + text_size(request.group_id) + MEMBER_BYTES + _size_offered(request, caller)
        return self._budget.allows(size)

    def has_room_for_id(self, request: JoinGroupRequest, caller: Caller) -> bool:
        """False if the id that this member would be given did not fit into an answer. Asked before a group is made for
        it: Kafka finds out when it writes the answer, and keeps a member that no client knows of."""
        prefix = caller.client_id if request.group_instance_id is None else request.group_instance_id
        return text_size(prefix) + ID_SUFFIX_BYTES <= MAX_ID_BYTES

    def _new_member_id(self, prefix: str) -> str:
        return f"{prefix}-{UUID(bytes=self._entropy.uuid())}"

    def _add_member(
        self,
        group: ClassicGroup,
        member_id: str,
        request: JoinGroupRequest,
        caller: Caller,
        draft: Draft,
    ) -> None:
        if group.initial is not None:
            group.initial.member_added = True
        group.add(
            ClassicMember(
                member_id=member_id,
                instance_id=request.group_instance_id,
                client_id=caller.client_id,
                client_host=caller.client_host,
                rebalance_timeout=_rebalance_timeout(request, caller),
                session_timeout=request.session_timeout_ms,
                protocol_type=request.protocol_type,
                protocols=_protocols(request),
                joining=draft.promise,
                is_new=True,
            )
        )
        self._set(Timer.SESSION, group, draft.now, self._settings.new_member_join_timeout, member_id)
        self._rebalance_or_complete(group, draft)

    def _rejoin(
        self,
        group: ClassicGroup,
        member: ClassicMember,
        request: JoinGroupRequest,
        caller: Caller,
        draft: Draft,
    ) -> None:
        """A known member joins again.

        A leader of a stable group may do so to force a rebalance (something that its subscription does not show has
        changed); any other member with the same subscription gets the present generation again.
        """
        unchanged = _protocols(request) == tuple(member.protocols)
        leads_stable = group.state is GroupState.STABLE and group.leader == member.member_id
        if group.state is GroupState.PREPARING_REBALANCE or leads_stable or not unchanged:
            self._update_member(group, member, request, caller, draft)
            self._rebalance_or_complete(group, draft)
        else:
            draft.reply(group.join_answer(member))

    def _update_member(
        self,
        group: ClassicGroup,
        member: ClassicMember,
        request: JoinGroupRequest,
        caller: Caller,
        draft: Draft,
    ) -> None:
        if member.joining is not None:
            draft.answer(member.joining, _join_refusal(ErrorCode.REBALANCE_IN_PROGRESS, member.member_id))
        member.joining = draft.promise
        group.change_protocols(member, _protocols(request))
        member.rebalance_timeout = _rebalance_timeout(request, caller)
        member.session_timeout = request.session_timeout_ms

    def _replace_static(
        self,
        group: ClassicGroup,
        new_id: str,
        request: JoinGroupRequest,
        caller: Caller,
        draft: Draft,
    ) -> None:
        """A static member has restarted: it takes its own place under a new id, and its former self is fenced."""
        assert request.group_instance_id is not None
        old_id = group.static[request.group_instance_id]
        old_leader = group.leader
        member = group.members[old_id]
        if self._grows_too_large(group, member, new_id, request):
            draft.reply(_join_refusal(ErrorCode.UNKNOWN_SERVER_ERROR, UNKNOWN_MEMBER_ID))
            return
        if member.joining is not None:
            draft.answer(member.joining, _join_refusal(ErrorCode.FENCED_INSTANCE_ID, old_id))
            member.joining = None
        if member.syncing is not None:
            draft.answer(member.syncing, SyncGroupResponse(error_code=ErrorCode.FENCED_INSTANCE_ID))
            member.syncing = None
            group.pending_sync[old_id] = None
        self._deadlines.cancel(TimerName(Timer.SESSION, group.group_id, old_id))
        group.rename(member, new_id)
        member.is_new = False
        self._update_member(group, member, request, caller, draft)
        self._set(Timer.SESSION, group, draft.now, member.session_timeout, new_id)

        if group.state is GroupState.STABLE and group.elect_protocol() == group.protocol_name:
            member.joining = None
            answer = group.join_answer(member)
            if caller.api_version >= 9:
                answer.skip_assignment = group.leader == new_id
            else:
                # An old leader would compute an assignment that is not used: its answer names another leader.
                answer.leader = old_leader or ""
                answer.members = []
            assignments = {each.member_id: each.assignment for each in group.members.values()}
            draft.write(GroupMetadataRecord(group.group_id, group.metadata_value(assignments, led=group.led)))
            draft.reply(answer)
        else:
            # While the leader computes, it knows the member by its old id: nothing would be assigned to the new one.
            self._rebalance_or_complete(group, draft)

    def _grows_too_large(
        self, group: ClassicGroup, member: ClassicMember, new_id: str, request: JoinGroupRequest
    ) -> bool:
        """Whether the record of a stable group would be, once this member has its new id and wishes."""
        if group.state is not GroupState.STABLE:
            return False  # nothing is written down for it
        value = group.metadata_value({each.member_id: each.assignment for each in group.members.values()})
        wishes = next((each.metadata for each in request.protocols if each.name == group.protocol_name), b"")
        size = group_metadata_size(group.group_id, value)
        size += len(wishes) - len(member.metadata(group.protocol_name) or b"")
        size += (text_size(new_id) - text_size(member.member_id)) * (1 + (group.leader == member.member_id))
        return size > self._settings.max_record

    def turn_away(self, group: ClassicGroup, draft: Draft) -> None:
        """The group becomes one of another kind: clients that wait are asked to join that."""
        for member in group.members.values():
            if member.joining is not None:
                draft.answer(member.joining, _join_refusal(ErrorCode.REBALANCE_IN_PROGRESS, member.member_id))
            if member.syncing is not None:
                draft.answer(member.syncing, SyncGroupResponse(error_code=ErrorCode.REBALANCE_IN_PROGRESS))

    # --- the first phase

    def prepare_rebalance(self, group: ClassicGroup, draft: Draft) -> None:
        """Begin to gather members. Those that wait for an assignment that will not come are asked to join again."""
        if group.state is GroupState.COMPLETING_REBALANCE:
            for member in group.members.values():
                group.drop_assignment(member)
                if member.syncing is not None:
                    draft.answer(member.syncing, SyncGroupResponse(error_code=ErrorCode.REBALANCE_IN_PROGRESS))
                    member.syncing = None
                    self._set(Timer.SESSION, group, draft.now, member.session_timeout, member.member_id)
        group.pending_sync.clear()
        self._deadlines.cancel(TimerName(Timer.SYNC, group.group_id))
        if group.state is GroupState.EMPTY:
            group.transition(GroupEvent.MEMBER_JOINED, draft.now.wall)
            delay = self._settings.initial_rebalance_delay
            if delay > 0:
                group.initial = InitialDelay(delay, max(group.rebalance_timeout - delay, 0))
                self._set(Timer.JOIN, group, draft.now, delay)
            else:
                self._complete_join(group, draft)
        else:
            group.transition(GroupEvent.MEMBERSHIP_CHANGED, draft.now.wall)
            if group.all_joined:
                self._complete_join(group, draft)
            else:
                self._set(Timer.JOIN, group, draft.now, group.rebalance_timeout)

    def _rebalance_or_complete(self, group: ClassicGroup, draft: Draft) -> None:
        if group.state is GroupState.PREPARING_REBALANCE:
            self._maybe_complete_join(group, draft)
        else:
            self.prepare_rebalance(group, draft)

    def _maybe_complete_join(self, group: ClassicGroup, draft: Draft) -> None:
        """The first phase is over when no member is missing; an initial delay is waited for in any case."""
        if group.state is GroupState.PREPARING_REBALANCE and group.initial is None and group.all_joined:
            self._complete_join(group, draft)

    def _complete_join(self, group: ClassicGroup, draft: Draft) -> None:
        """Go on with those who have come. A static member that has not keeps its place until its session ends."""
        self._deadlines.cancel(TimerName(Timer.JOIN, group.group_id))
        group.initial = None
        absent = [m.member_id for m in group.members.values() if m.joining is None and m.instance_id is None]
        for member_id in absent:
            self._forget_member(group, member_id, draft)
        if not group.members:
            draft.write(GroupMetadataRecord(group.group_id, group.emptied_value(draft.now.wall)))
        elif not group.elect_joined_leader():
            self._set(Timer.JOIN, group, draft.now, max(group.rebalance_timeout, LEAST_WAIT_FOR_STATIC))
        else:
            self._cut_to_size(group, draft)
            group.begin_generation(draft.now.wall)
            for member in group.members.values():
                if member.joining is not None:
                    draft.answer(member.joining, group.join_answer(member))
                    member.joining = None
                member.is_new = False
                self._set(Timer.SESSION, group, draft.now, member.session_timeout, member.member_id)
            self._set(Timer.SYNC, group, draft.now, group.rebalance_timeout)

    def _cut_to_size(self, group: ClassicGroup, draft: Draft) -> None:
        """Static members that have not come lose their places, the newest first, to those that have.

        `_has_room` counts those that come, so that a group above its size is cut by who comes first. With the places of
        those that do not it could be settled above its size, and a broker that loads it would break it up at once.
        Kafka lets that happen.
        """
        excess = len(group.members) - self._settings.max_size
        if excess > 0:
            absent = [member.member_id for member in group.members.values() if member.joining is None]
            for member_id in absent[-excess:]:
                self._forget_member(group, member_id, draft)

    def _prolong_initial_delay(self, group: ClassicGroup, draft: Draft) -> None:
        initial = group.initial
        assert initial is not None
        if initial.member_added and initial.remaining:
            delay = min(self._settings.initial_rebalance_delay, initial.remaining)
            group.initial = InitialDelay(delay, max(initial.remaining - initial.delay, 0))
            self._set(Timer.JOIN, group, draft.now, delay)
        else:
            self._complete_join(group, draft)

    # --- the second phase

    def sync(
        self,
        group: ClassicGroup,
        request: SyncGroupRequest,
        draft: Draft,
    ) -> None:
        """Decide on a SyncGroup."""
        error = group.validate(request.member_id, request.group_instance_id)
        if error is ErrorCode.NONE and request.generation_id != group.generation:
            error = ErrorCode.ILLEGAL_GENERATION
        if error is ErrorCode.NONE and (
            _differs(request.protocol_type, group.protocol_type) or _differs(request.protocol_name, group.protocol_name)
        ):
            error = ErrorCode.INCONSISTENT_GROUP_PROTOCOL
        if error is ErrorCode.NONE and (
            group.state is GroupState.PREPARING_REBALANCE
            # It has just been a consumer group: what it was to have, another member may still read.
            or TimerName(Timer.REJOIN, group.group_id) in self._deadlines
        ):
            error = ErrorCode.REBALANCE_IN_PROGRESS
        if error is not ErrorCode.NONE:
            draft.reply(SyncGroupResponse(error_code=error))
            return
        member = group.members[request.member_id]
        group.pending_sync.pop(member.member_id, None)
        if not group.pending_sync:
            self._deadlines.cancel(TimerName(Timer.SYNC, group.group_id))
        if group.state is GroupState.STABLE:
            draft.reply(group.sync_answer(member.assignment))
            return
        assert group.state is GroupState.COMPLETING_REBALANCE
        if member.syncing is not None:
            draft.answer(member.syncing, SyncGroupResponse(error_code=ErrorCode.REBALANCE_IN_PROGRESS))
        member.syncing = draft.promise
        if group.leader == member.member_id:
            self._settle(group, {each.member_id: each.assignment for each in request.assignments}, draft)

    def _settle(self, group: ClassicGroup, assignments: dict[str, bytes], draft: Draft) -> None:
        """Write the generation down and give each waiting member its share; nothing if the leader forgot it."""
        assignments = {member_id: assignments.get(member_id, b"") for member_id in group.members}
        value = group.metadata_value(assignments)
        growth = sum(map(len, assignments.values())) - sum(len(each.assignment) for each in group.members.values())
        too_large = group_metadata_size(group.group_id, value) > self._settings.max_record
        too_large = too_large or not self._budget.allows(growth)
        for member in group.members.values():
            if member.syncing is None:
                continue
            if too_large:
                draft.answer(member.syncing, SyncGroupResponse(error_code=ErrorCode.UNKNOWN_SERVER_ERROR))
            else:
                draft.answer(member.syncing, group.sync_answer(assignments[member.member_id]))
            member.syncing = None
            self._set(Timer.SESSION, group, draft.now, member.session_timeout, member.member_id)
        if too_large:
            self.prepare_rebalance(group, draft)
        else:
            draft.write(GroupMetadataRecord(group.group_id, value))

    # --- staying

    def heartbeat(self, group: ClassicGroup, request: HeartbeatRequest, now: Instant) -> ErrorCode:
        """Decide on a heartbeat. One that says 'join again' keeps the session alive as well."""
        error = group.validate(request.member_id, request.group_instance_id)
        if error is ErrorCode.NONE and request.generation_id != group.generation:
            error = ErrorCode.ILLEGAL_GENERATION
        if error is not ErrorCode.NONE:
            return error
        self.keep_session(group, request.member_id, now)
        if group.state is GroupState.PREPARING_REBALANCE:
            return ErrorCode.REBALANCE_IN_PROGRESS
        return ErrorCode.NONE

    def keep_session(self, group: ClassicGroup, member_id: str, now: Instant) -> None:
        """This member has been heard of."""
        self._set(Timer.SESSION, group, now, group.members[member_id].session_timeout, member_id)

    # --- offsets

    def commit_error(
        self, group: ClassicGroup, committing: CommittingMember, commits: Sequence[OffsetToCommit]
    ) -> ErrorCode:
        """Members of this generation may commit; and any client without a generation, while there are no members."""
        member_id, instance_id, generation, _, transactional = committing
        if group.state is GroupState.EMPTY and generation < 0:
            return ErrorCode.NONE
        if generation < 0 and not member_id and instance_id is None:
            return ErrorCode.NONE if transactional else ErrorCode.UNKNOWN_MEMBER_ID
        error = group.validate(member_id, instance_id)
        if error is ErrorCode.NONE and generation != group.generation:
            error = ErrorCode.ILLEGAL_GENERATION
        if error is ErrorCode.NONE and group.state is GroupState.COMPLETING_REBALANCE and not transactional:
            error = ErrorCode.REBALANCE_IN_PROGRESS
        return error

    def fetch_error(self, group: ClassicGroup, member_id: str | None, epoch: int) -> ErrorCode:
        """Any client may learn what was committed."""
        return ErrorCode.NONE

    def heard_of(self, group: ClassicGroup, member_id: str, now: Instant) -> None:
        """A commit keeps a member's session alive; from an empty group it comes from no member."""
        if group.members:
            self.keep_session(group, member_id, now)

    # --- leaving

    def leave(self, group: ClassicGroup, leavers: Sequence[MemberIdentity], draft: Draft) -> list[MemberResponse]:
        """Let these members go. An administrator removes static members by their instance id alone."""
        answers = [
            MemberResponse(
                member_id=leaver.member_id,
                group_instance_id=leaver.group_instance_id,
                error_code=self._leave_one(group, leaver, draft),
            )
            for leaver in leavers
        ]
        if any(answer.error_code == ErrorCode.NONE for answer in answers) and group.state is not GroupState.EMPTY:
            self._rebalance_or_complete(group, draft)
        return answers

    def _leave_one(self, group: ClassicGroup, leaver: MemberIdentity, draft: Draft) -> ErrorCode:
        member_id = leaver.member_id
        if member_id == UNKNOWN_MEMBER_ID:
            static = None if leaver.group_instance_id is None else group.static.get(leaver.group_instance_id)
            if static is None:
                return ErrorCode.UNKNOWN_MEMBER_ID
            member_id = static
        elif member_id not in group.pending_join:
            error = group.validate(member_id, leaver.group_instance_id)
            if error is not ErrorCode.NONE:
                return error
        self._forget_member(group, member_id, draft)
        return ErrorCode.NONE

    def _forget_member(self, group: ClassicGroup, member_id: str, draft: Draft) -> None:
        """Remove the member of this id. Parked requests are answered, so that a client still alive joins again."""
        self._deadlines.cancel(TimerName(Timer.SESSION, group.group_id, member_id))
        member = group.remove(member_id)
        if member is None:
            return
        if member.joining is not None:
            draft.answer(member.joining, _join_refusal(ErrorCode.UNKNOWN_MEMBER_ID, UNKNOWN_MEMBER_ID))
        if member.syncing is not None:
            draft.answer(member.syncing, SyncGroupResponse(error_code=ErrorCode.UNKNOWN_MEMBER_ID))

    # --- time

    def resume(self, group: ClassicGroup, now: Instant) -> Iterator[None]:
        """After a load, or a change of kind: every member gets a fresh session, a group that has grown too large has to
        choose, and the members of one that was a consumer group are asked to join, if they have not been yet."""
        for member in group.members.values():
            self._set(Timer.SESSION, group, now, member.session_timeout, member.member_id)
            yield
        if len(group.members) > self._settings.max_size:
            group.transition(GroupEvent.MEMBERSHIP_CHANGED, now.wall)
            self._set(Timer.JOIN, group, now, group.rebalance_timeout)
        elif not group.led:
            self._deadlines.set(TimerName(Timer.REJOIN, group.group_id), now.monotonic)

    def expired(self, name: TimerName, group: ClassicGroup, draft: Draft) -> None:
        """A deadline has passed."""
        match name.kind:
            case Timer.SESSION:
                self._session_expired(group, name.member_id, draft)
            case Timer.JOIN:
                self._join_expired(group, draft)
            case Timer.SYNC:
                self._sync_expired(group, draft)
            case Timer.REJOIN:
                if group.state is GroupState.STABLE:
                    self.prepare_rebalance(group, draft)
            case _:
                raise AssertionError(f"{name.kind} is no deadline of a classic group")

    def _session_expired(self, group: ClassicGroup, member_id: str, draft: Draft) -> None:
        member = group.members.get(member_id)
        if member is not None and member.awaits_answer:
            return  # it gets a fresh session with its answer
        self._forget_member(group, member_id, draft)
        if group.state is GroupState.PREPARING_REBALANCE:
            if group.all_joined:
                self._complete_join(group, draft)
        elif member is not None:
            self.prepare_rebalance(group, draft)

    def _join_expired(self, group: ClassicGroup, draft: Draft) -> None:
        assert group.state is GroupState.PREPARING_REBALANCE
        if group.initial is not None:
            self._prolong_initial_delay(group, draft)
        else:
            self._complete_join(group, draft)

    def _sync_expired(self, group: ClassicGroup, draft: Draft) -> None:
        """Members that have not asked for their assignment in time are gone."""
        for member_id in list(group.pending_sync):
            self._forget_member(group, member_id, draft)
        self.prepare_rebalance(group, draft)

    def cancel_all(self, group: ClassicGroup) -> None:
        """The group goes: none of its deadlines may come."""
        for member_id in [*group.members, *group.pending_join]:
            self._deadlines.cancel(TimerName(Timer.SESSION, group.group_id, member_id))
        for kind in (Timer.JOIN, Timer.SYNC, Timer.REJOIN):
            self._deadlines.cancel(TimerName(kind, group.group_id))

    def _set(self, kind: Timer, group: ClassicGroup, now: Instant, delay: int, member_id: str = "") -> None:
        """Let a deadline come after `delay` milliseconds. It lies in the future in any case, as those of a timeout of 0
        would not: what follows from one deadline is never due together with it, and again, and again."""
        self._deadlines.set(TimerName(kind, group.group_id, member_id), now.monotonic + max(delay, 1))

    # --- invariants

    def check(self, group: ClassicGroup) -> None:
        """The group is sound, and every client that could be waited for in vain has a deadline."""
        group.check()
        for member in group.members.values():
            timer = TimerName(Timer.SESSION, group.group_id, member.member_id)
            assert member.awaits_answer or timer in self._deadlines, f"{member.member_id} could be silent forever"
        for member_id in group.pending_join:
            assert TimerName(Timer.SESSION, group.group_id, member_id) in self._deadlines
        if group.state in (GroupState.COMPLETING_REBALANCE, GroupState.STABLE):
            assert len(group.members) <= self._settings.max_size, "a load would break the group up"
        joining = TimerName(Timer.JOIN, group.group_id) in self._deadlines
        syncing = TimerName(Timer.SYNC, group.group_id) in self._deadlines
        assert joining == (group.state is GroupState.PREPARING_REBALANCE)
        assert syncing == bool(group.pending_sync)


def _join_refusal(error: ErrorCode, member_id: str) -> JoinGroupResponse:
    return JoinGroupResponse(error_code=error, member_id=member_id)


def _protocols(request: JoinGroupRequest) -> tuple[Protocol, ...]:
    """In the member's order of preference; of two with the same name the first counts."""
    first: dict[str, bytes] = {}
    for protocol in request.protocols:
        first.setdefault(protocol.name, protocol.metadata)
    return tuple(Protocol(name, metadata) for name, metadata in first.items())


def _size_offered(request: JoinGroupRequest, caller: Caller) -> int:
    """Bytes that the member would take, as `ClassicMember.size` counts them; at most, when its id is not known yet."""
    member_id, instance_id = request.member_id, request.group_instance_id
    size = member_size(member_id, instance_id, caller.client_id, caller.client_host)
    if not member_id:
        size += ID_SUFFIX_BYTES + text_size(caller.client_id if instance_id is None else instance_id)
    return size + sum(text_size(protocol.name) + len(protocol.metadata) for protocol in request.protocols)


def _rebalance_timeout(request: JoinGroupRequest, caller: Caller) -> int:
    """Version 0 knows one timeout for both (KIP-62)."""
    return request.session_timeout_ms if caller.api_version == 0 else max(request.rebalance_timeout_ms, 0)


def _differs(claimed: str | None, actual: str | None) -> bool:
    return claimed is not None and actual is not None and claimed != actual
