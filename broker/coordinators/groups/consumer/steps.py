"""What a change of a member does to its group: another epoch, another target, and the member's next step.

Whatever protocol a member speaks, what it has said leads to the same records, in this order:

    ConsumerGroupMemberMetadata             if it says something new of itself
    ConsumerGroupRegularExpression          a tombstone, for an expression that no member has any more
    ConsumerGroupMetadata                   if subscriptions, the assignor, or the topics have changed
    ConsumerGroupTargetAssignment...        if the group is ahead of its assignment
    ConsumerGroupCurrentMemberAssignment    if the member takes a step

`change` drafts the first three, `settle` the others, and `remove` what follows when members are gone. Nothing is
changed here but what the group keeps for itself (`group.py`), so a decision may be refused at any point.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import NamedTuple

from broker.coordinators.deadlines import Deadlines
from broker.coordinators.groups.assignors import Assignment, CannotAssign
from broker.coordinators.groups.consumer import resolving
from broker.coordinators.groups.consumer.assigning import Assigning
from broker.coordinators.groups.consumer.configs import TimesOf
from broker.coordinators.groups.consumer.group import (
    FIRST_EPOCH,
    NO_ASSIGNMENT_EPOCH,
    NO_SHARES,
    ConsumerGroup,
    shares_bytes,
)
from broker.coordinators.groups.consumer.member import ConsumerMember
from broker.coordinators.groups.consumer.migration import downgraded
from broker.coordinators.groups.consumer.reconciliation import Target, reconcile
from broker.coordinators.groups.consumer.records import (
    assignment_record,
    epoch_record,
    member_tombstones,
    metadata_record,
    target_epoch_record,
    target_record,
)
from broker.coordinators.groups.consumer.resolving import Resolving
from broker.coordinators.groups.consumer.topics import Topics
from broker.coordinators.groups.decision import Draft, TimerName
from broker.coordinators.groups.expressions import InvalidExpression, check_expression
from broker.coordinators.groups.memory import Budget
from broker.coordinators.groups.records import ConsumerRecord
from broker.coordinators.groups.settings import GroupSettings
from kproto.errors import ErrorCode, KafkaError
from kproto.formats.consumer_offsets import ConsumerGroupPartitionMetadataKey, ConsumerGroupRegularExpressionKey
from kproto.messages.consumer_group_heartbeat import TopicPartitions
from storage.seams.clock import Instant

LEAST_PAUSE_AFTER_FAILURE = 1_000
"""Milliseconds until an assignment is tried again that could not be computed, or had no room."""


class Change(NamedTuple):
    """What `change` found."""

    epoch: int
    """The group's, with this change."""
    subscription: bool
    """The member subscribes to something else than before."""


class Steps:
    """The steps of one shard's consumer groups."""

    def __init__(
        self,
        settings: GroupSettings,
        deadlines: Deadlines[TimerName],
        budget: Budget,
        topics: Topics,
        times_of: TimesOf,
    ) -> None:
        self._settings = settings
        self._deadlines = deadlines
        self._budget = budget
        self._topics = topics
        self._times_of = times_of
        self.assignors = [_short(name) for name in settings.consumer_assignors]
        """The names of the assignors that members may ask for, the default first."""
        self.work: list[Assigning | Resolving] = []
        """What decisions have asked for that is to be computed beside the event loop; the coordinator takes it away."""
        self.assigning: dict[str, Assigning] = {}
        """Of each group, the assignment that is being computed."""
        self.resolving: dict[str, Resolving] = {}
        """Of each group, the resolution of its expressions that is under way."""

    def knows_topics(self, group: ConsumerGroup) -> bool:
        """Whether the topics are those that the group was last looked at with, and there is no expression to
        resolve."""
        return group.checked == self._topics.version and not group.expressions

    # --- a member has said something

    def change(
        self,
        group: ConsumerGroup,
        old: ConsumerMember | None,
        before: ConsumerMember,
        updated: ConsumerMember,
        draft: Draft,
    ) -> Change:
        """The member `before` has become `updated`. `old` is what the group has in its place, None if it is new.

        Raises KafkaError: INVALID_REGULAR_EXPRESSION, GROUP_MAX_SIZE_REACHED.
        """
        if updated != before:
            draft.write(metadata_record(group.group_id, updated))
        names_changed = updated.topics != before.topics
        expression_changed = updated.expression != before.expression
        moves = expression_changed and self._change_expression(group, before.expression, updated.expression, draft)
        self._resolve(group, old, updated, draft)
        default = self.assignors[0]
        assignor_changed = updated.assignor != before.assignor and (
            group.preferred_assignor(default) != group.preferred_assignor(default, old, updated)
        )
        epoch = group.epoch
        bump = names_changed or moves or assignor_changed or (expression_changed and updated.classic is not None)
        if bump or group.checked != self._topics.version:
            epoch = self._look_at_topics(group, group.names_after(old, updated), draft, bump=bump)
        return Change(epoch, names_changed or expression_changed)

    def _change_expression(self, group: ConsumerGroup, old: str, new: str, draft: Draft) -> bool:
        """The member subscribes by another expression, or by none any more. True if what that matches is known."""
        if old and group.expressions[old] == 1:
            key = ConsumerGroupRegularExpressionKey(group_id=group.group_id, regular_expression=old)
            draft.write(ConsumerRecord(key, None))
        if not new:
            return True
        if new in group.expressions:
            return new in group.resolved
        if len(group.expressions) >= self._settings.max_expressions:
            raise KafkaError(
                ErrorCode.GROUP_MAX_SIZE_REACHED, "the group has as many regular expressions as it may have"
            )
        try:
            check_expression(new)
        except InvalidExpression as error:
            text = f"{new!r} is no regular expression that can be subscribed by: {error}"
            raise KafkaError(ErrorCode.INVALID_REGULAR_EXPRESSION, text) from error
        return False

    def _resolve(self, group: ConsumerGroup, old: ConsumerMember | None, updated: ConsumerMember, draft: Draft) -> None:
        """Have the group's expressions matched against the topics, if that is due."""
        if not (updated.expression or group.expressions) or group.group_id in self.resolving:
            return
        if draft.now.wall < group.not_before:
            return
        expressions = resolving.expressions_after(group, old, updated)
        is_new = bool(updated.expression) and updated.expression not in group.expressions
        refresh = self._settings.regex_refresh_interval
        work = resolving.due(group, expressions, self._topics, draft.now.wall, refresh, is_new=is_new)
        if work is not None:
            self.resolving[group.group_id] = work
            self.work.append(work)

    def _look_at_topics(self, group: ConsumerGroup, names: Collection[str] | None, draft: Draft, *, bump: bool) -> int:
        """Write another epoch of the group down if `bump`, or if its topics are others than it knows. `names` are those
        that it subscribes to, None if they are the same as before. Returns the epoch."""
        hashed = group.metadata_hash
        if names is not None or group.checked != self._topics.version:
            hashed = self._topics.hash_of(group.subscribed_names() if names is None else names)
        epoch = group.epoch
        if bump or hashed != group.metadata_hash:
            epoch += 1
            draft.write(epoch_record(group.group_id, epoch, hashed))
        else:
            group.checked = self._topics.version
        if group.has_partition_metadata:
            draft.write(ConsumerRecord(ConsumerGroupPartitionMetadataKey(group_id=group.group_id), None))
        return epoch

    # --- and gets to where it shall be

    def settle(
        self,
        group: ConsumerGroup,
        old: ConsumerMember | None,
        updated: ConsumerMember,
        change: Change,
        claimed: Sequence[TopicPartitions] | None,
        draft: Draft,
    ) -> ConsumerMember:
        """Assign the group if it is ahead, and let the member take its next step. `claimed` is what the member says it
        owns. Returns the member as it will be.

        Raises KafkaError: UNKNOWN_SERVER_ERROR if there is no assignment, FENCED_MEMBER_EPOCH.
        """
        target = self._target(group, old, updated, change.epoch, draft)
        return self.step(group, updated, target, claimed, draft, subscription_changed=change.subscription)

    def step(
        self,
        group: ConsumerGroup,
        member: ConsumerMember,
        target: Target,
        claimed: Sequence[TopicPartitions] | None,
        draft: Draft,
        *,
        subscription_changed: bool,
    ) -> ConsumerMember:
        """Let the member take its next step; the same object if there is none."""
        if not subscription_changed and member.is_reconciled_to(target.epoch):
            return member
        subscribed = frozenset(self._topics.ids(group.subscription_of(member)))
        stepped = reconcile(
            member, target, subscribed, group.is_taken, claimed, subscription_changed=subscription_changed
        )
        if stepped == member:
            return member
        draft.write(assignment_record(group.group_id, stepped))
        return stepped

    def present_target(self, group: ConsumerGroup, member: ConsumerMember) -> Target:
        """The target that is written down."""
        return Target(group.assignment_epoch, group.target_of(member))

    def _target(
        self, group: ConsumerGroup, old: ConsumerMember | None, updated: ConsumerMember, epoch: int, draft: Draft
    ) -> Target:
        now = draft.now.wall
        if group.assignment_epoch >= epoch or group.group_id in self.assigning or now < group.not_before:
            return self.present_target(group, updated)
        if group.assignment_timestamp:
            interval = self._times_of(group.group_id).assignment_interval
            if now < group.assignment_timestamp + interval:
                return self.present_target(group, updated)
        assignor = group.preferred_assignor(self.assignors[0], old, updated)
        work = Assigning(group, epoch, assignor, self._topics, updated)
        if not work.is_small:
            return self._assign_later(group, work, updated, draft)
        result = self._assigned(work)
        for member_id, shares in work.changed(result):
            draft.write(target_record(group.group_id, member_id, shares))
        # An assignment of nothing, since the first expression has yet to be resolved, need not be followed by a pause.
        waits = group.assignment_epoch == NO_ASSIGNMENT_EPOCH and group.group_id in self.resolving
        draft.write(target_epoch_record(group.group_id, epoch, 0 if waits else now))
        return Target(epoch, result.get(updated.member_id, NO_SHARES))

    def _assigned(self, work: Assigning) -> Mapping[str, Assignment]:
        try:
            result = work.run()
        except CannotAssign as error:
            raise KafkaError(ErrorCode.UNKNOWN_SERVER_ERROR, f"partitions cannot be assigned: {error}") from error
        if not self._budget.allows(growth(work, result)):
            raise KafkaError(ErrorCode.UNKNOWN_SERVER_ERROR, "there is no room for the group's assignment")
        return result

    def _assign_later(self, group: ConsumerGroup, work: Assigning, updated: ConsumerMember, draft: Draft) -> Target:
        """Members go on with the target that they have. A group without one has an empty one for an epoch before."""
        self.assigning[group.group_id] = work
        self.work.append(work)
        if group.assignment_epoch != NO_ASSIGNMENT_EPOCH:
            return self.present_target(group, updated)
        epoch = max(work.epoch - 1, FIRST_EPOCH)
        draft.write(target_epoch_record(group.group_id, epoch, 0))
        return Target(epoch, NO_SHARES)

    # --- what was computed beside the event loop

    def forget(self, group: ConsumerGroup) -> None:
        """The group is gone: what is being computed for it is of no use."""
        self.assigning.pop(group.group_id, None)
        self.resolving.pop(group.group_id, None)

    def write_target(
        self, group: ConsumerGroup, work: Assigning, part: Iterable[tuple[str, Assignment]], draft: Draft
    ) -> None:
        """Write a part of an assignment down. It counts with the record of its epoch."""
        for member_id, shares in part:
            instance_id = work.members[member_id].instance_id
            present: str | None = member_id
            if member_id not in group.members:
                present = None if instance_id is None else group.static.get(instance_id)
            if present is not None:
                draft.write(target_record(group.group_id, present, shares))

    def put_off(self, group: ConsumerGroup, now: Instant) -> None:
        """An assignment could not be computed, or there is no room for it: it is tried again a moment later."""
        group.not_before = now.wall + LEAST_PAUSE_AFTER_FAILURE

    def write_resolved(
        self, group: ConsumerGroup, work: Resolving, found: Mapping[str, frozenset[str]], draft: Draft
    ) -> None:
        """Write down what the expressions match."""
        group.resolved_at = work.version
        drafted = resolving.records(group, work, found, self._topics, draft.now.wall)
        if self._budget.allows(resolving.growth(group, found)):
            draft.records += drafted
        else:
            group.not_before = draft.now.wall + resolving.LEAST_PAUSE

    # --- members are gone

    def remove(self, group: ConsumerGroup, members: Collection[ConsumerMember], draft: Draft) -> None:
        """These members are gone, and the group is another one; a classic one, if only classic members are left."""
        if self.downgrade(group, members, None, draft, rejoin=True):
            return
        for member in members:
            draft.records += member_tombstones(group.group_id, member.member_id)
        for expression, count in Counter(each.expression for each in members if each.expression).items():
            if group.expressions[expression] == count:
                key = ConsumerGroupRegularExpressionKey(group_id=group.group_id, regular_expression=expression)
                draft.write(ConsumerRecord(key, None))
        epoch = group.epoch + 1
        draft.write(epoch_record(group.group_id, epoch, self._topics.hash_of(group.names_without(members))))
        if len(members) == len(group.members):
            draft.write(target_epoch_record(group.group_id, epoch, 0))

    def downgrade(
        self,
        group: ConsumerGroup,
        leaving: Collection[ConsumerMember],
        joining: ConsumerMember | None,
        draft: Draft,
        *,
        rejoin: bool,
    ) -> bool:
        """Make a classic group of it, if there is no member of this protocol any more; see `migration.py`. With
        `rejoin` its members have to join again. False if it stays a consumer group."""
        if len(group.members) - group.classic_members > len(leaving) + (joining is not None):
            return False
        now_wall = draft.now.wall
        drafted = downgraded(group, leaving, joining, self._settings, self._topics, now_wall, rejoin=rejoin)
        if drafted is None:
            return False
        draft.records += drafted
        return True

    def replace(self, group: ConsumerGroup, old: ConsumerMember, member_id: str, draft: Draft) -> ConsumerMember:
        """A static member comes back under this id: it takes over all that its former self had."""
        new = old._replace(member_id=member_id, epoch=0, previous_epoch=0)
        draft.records += member_tombstones(group.group_id, old.member_id)
        draft.write(metadata_record(group.group_id, new))
        draft.write(target_record(group.group_id, member_id, group.targets.get(old.member_id, NO_SHARES)))
        draft.write(assignment_record(group.group_id, new))
        return new


def growth(work: Assigning, result: Mapping[str, Assignment]) -> int:
    """Bytes of memory that an assignment takes more than the one before."""
    changed = work.changed(result)
    return sum(shares_bytes(shares) - shares_bytes(work.former(member_id)) for member_id, shares in changed)


def _short(name: str) -> str:
    """The name that members use, of an assignor that the configuration may name by its class in Kafka."""
    return name.rsplit(".", 1)[-1].removesuffix("Assignor").lower()
