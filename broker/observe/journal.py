"""What the log says for the person who runs the broker: which topics and groups come and go, what a client was refused.

| event | fields | when |
| --- | --- | --- |
| `topic created`, `topic deleted` | topic, partitions | it is durable, and shows |
| `partitions added`, `topic altered` | topic, partitions; configs | likewise |
| `configs altered` | resource, name | of a broker, a group, client metrics |
| `group rebalanced` | group, generation, members, protocol, assignor | a classic group has an assignment |
| `group is empty` | group, generation | it has no members: before the first, or after the last |
| `group changed` | group, epoch | a consumer group has other members or subscriptions |
| `group deleted` | group | by a client, or by age |
| `topic not created`, `partitions not added` | topic, error, reason, and who asked | with the answer |
| `member refused` | group, error, reason, and who asked | by a classic group: it is full, the protocol is another |
| `request refused` | api, error, reason, and who asked | a request as a whole, but not where clients ask again |

Events are constant words, so that a program can count them. **What is routine is no event**: a client that is told to
join, to ask again, or to look for a coordinator does so by itself. And **a thousand of a kind are ten lines a second**
(`RateLimitedLogger`): a peer may create a thousand topics, or be refused as many.

What is said of groups is in `group_journal.py`, which is loaded with them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import trio

from kproto.errors import ErrorCode, KafkaError
from storage.seams.logging import RateLimitedLogger, get_logger

if TYPE_CHECKING:
    from broker.coordinators.cluster import ClusterChange

ROUTINE: Final = frozenset(
    {
        ErrorCode.FENCED_MEMBER_EPOCH,
        ErrorCode.GROUP_ID_NOT_FOUND,
        ErrorCode.ILLEGAL_GENERATION,
        ErrorCode.MEMBER_ID_REQUIRED,
        ErrorCode.OFFSET_OUT_OF_RANGE,
        ErrorCode.REBALANCE_IN_PROGRESS,
        ErrorCode.STALE_MEMBER_EPOCH,
        ErrorCode.UNKNOWN_MEMBER_ID,
        ErrorCode.UNSUPPORTED_VERSION,
    }
)
"""Codes that clients react to by themselves, beside those after which they ask again."""


BURST: Final = 10
"""Lines of a kind that are written in a second: what a person does is seen, what a program does a thousand times is
counted."""


class Journal:
    """Lines about topics, groups and refusals. The owner calls `log.flush` now and then while `log.holds`."""

    def __init__(self) -> None:
        self.log = RateLimitedLogger(get_logger("broker.journal"), trio.current_time, burst=BURST)

    def topics(self, change: ClusterChange) -> None:
        """The cluster's image has changed."""
        log = self.log
        for topic in change.created:
            log.info("topic created", topic=topic.name, partitions=topic.partition_count, configs=dict(topic.configs))
        for topic in change.deleted:
            log.info("topic deleted", topic=topic.name, partitions=topic.partition_count)
        for topic in change.grown:
            log.info("partitions added", topic=topic.name, partitions=topic.partition_count)
        for topic in change.altered:
            log.info("topic altered", topic=topic.name, configs=dict(topic.configs))
        for resource, name in sorted(change.configs_changed):
            log.info("configs altered", resource=resource, name=name)

    def refused(self, event: str, error: KafkaError, **fields: object) -> None:
        """A client was refused what it asked for, unless that is routine. `fields` say what, and who asked."""
        code = error.code
        if not code.retriable and code not in ROUTINE:
            kind = f"{event} {fields.get('api', '')} {code.name}"
            self.log.info(event, kind=kind, error=code.name, reason=error.message, **fields)
