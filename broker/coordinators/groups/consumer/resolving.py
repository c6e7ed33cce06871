"""When the regular expressions of a group are matched against the topics.

An expression is matched on the server, in RE2's syntax (`broker/coordinators/groups/expressions.py`), and what it
matches is written down: the subscription of a member is what the record says, until another record says otherwise. All
expressions of a group are matched together, beside the event loop, when a heartbeat finds that

- one of them has no record, since a member has come with it,
- there are topics that were made after the last time, or
- the last time is `group.consumer.regex.refresh.interval.ms` ago,

and never twice within `LEAST_PAUSE`. Deleted topics wait for that, too: their names match, and lead to nothing. Another
result is another epoch of the group. An expression that the last member has given up is forgotten with it.

Source: Kafka's GroupMetadataManager (maybeUpdateRegularExpressions) and TopicRegexResolver.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final

from broker.coordinators.groups.consumer.group import NOT_RESOLVED, ConsumerGroup, resolved_bytes
from broker.coordinators.groups.consumer.member import ConsumerMember
from broker.coordinators.groups.consumer.records import epoch_record
from broker.coordinators.groups.consumer.topics import Topics
from broker.coordinators.groups.records import ConsumerRecord, GroupRecord
from kproto.formats.consumer_offsets import ConsumerGroupRegularExpressionKey, ConsumerGroupRegularExpressionValue

LEAST_PAUSE: Final = 10_000
"""Milliseconds from one resolution of a group's expressions to the next."""


@dataclass(eq=False, slots=True)
class Resolving:
    """A resolution that runs beside the event loop, and is written when it is known."""

    group_id: str
    expressions: Collection[str]
    names: Collection[str]
    version: int
    """Of the topics (`Topics.version`)."""
    offset: int
    """Of the cluster log."""
    is_first: bool = False
    """The group has not been assigned anything yet."""


def expressions_after(group: ConsumerGroup, old: ConsumerMember | None, new: ConsumerMember) -> set[str]:
    """The expressions of a group's members once `new` is in the place of `old`."""
    found = set(group.expressions)
    if old is not None and old.expression != new.expression and group.expressions[old.expression] == 1:
        found.discard(old.expression)
    if new.expression:
        found.add(new.expression)
    return found


def due(
    group: ConsumerGroup,
    expressions: Collection[str],
    topics: Topics,
    now_wall: int,
    refresh_interval: int,
    *,
    is_new: bool,
) -> Resolving | None:
    """What is to be resolved now, if anything is. `is_new`: one of the expressions has just come into the group."""
    if not expressions:
        return None
    last = next((each.timestamp for each in group.resolved.values()), None)
    if last is not None and now_wall <= last + LEAST_PAUSE:
        return None
    if not (
        is_new
        or len(expressions) != len(group.resolved)
        or group.resolved_at < topics.newest
        or (last is not None and now_wall > last + refresh_interval)
    ):
        return None
    is_first = not group.assignment_timestamp
    return Resolving(group.group_id, expressions, topics.names(), topics.version, topics.offset, is_first)


def records(
    group: ConsumerGroup, work: Resolving, found: Mapping[str, frozenset[str]], topics: Topics, now_wall: int
) -> list[GroupRecord]:
    """What is to be written down of a resolution; those expressions are left out that no member has any more."""
    drafted: list[GroupRecord] = []
    moved = False
    names = set(group.names)
    for expression, resolved in group.resolved.items():
        if expression not in found:
            names |= resolved.topics
    for expression, matched in found.items():
        if expression not in group.expressions:
            continue
        names |= matched
        moved = moved or group.resolved.get(expression, NOT_RESOLVED).topics != matched
        value = ConsumerGroupRegularExpressionValue(topics=sorted(matched), version=work.offset, timestamp=now_wall)
        key = ConsumerGroupRegularExpressionKey(group_id=group.group_id, regular_expression=expression)
        drafted.append(ConsumerRecord(key, value))
    hashed = topics.hash_of(names)
    if moved or hashed != group.metadata_hash:
        drafted.append(epoch_record(group.group_id, group.epoch + 1, hashed))
    return drafted


def growth(group: ConsumerGroup, found: Mapping[str, frozenset[str]]) -> int:
    """Bytes of memory that these results take more than those before."""
    return sum(
        resolved_bytes(expression, matched)
        - (resolved_bytes(expression, group.resolved[expression].topics) if expression in group.resolved else 0)
        for expression, matched in found.items()
        if expression in group.expressions
    )
