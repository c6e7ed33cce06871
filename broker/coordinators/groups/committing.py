"""What may be committed: each offset of a commit is judged by itself, before anything is written.

An offset is refused if its metadata is too long (OFFSET_METADATA_TOO_LARGE), or if it would take memory that groups do
not have (INVALID_COMMIT_OFFSET_SIZE). The others of the same commit are not held back by that. Of a partition that is
there more than once the last commit counts, and each is answered.

An offset that counts at once takes what it is longer than the one before. One that waits for the end of its transaction
takes memory beside the one before, and a transaction has only so many of them in a shard.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from broker.coordinators.budget import Budget
from broker.coordinators.groups.offsets import OffsetToCommit
from broker.coordinators.groups.pending_offsets import PendingOffsets, pending_growth
from kproto.errors import ErrorCode
from kproto.ids import TopicPartition


def judge_commits(
    commits: Sequence[OffsetToCommit],
    grows: Callable[[OffsetToCommit], int | None],
    *,
    taken: int,
    budget: Budget,
    metadata_max: int,
) -> tuple[list[ErrorCode], list[OffsetToCommit]]:
    """A code for each commit, and those to write down.

    `grows` gives the bytes of memory that one takes more than before (`GroupOffsets.growth`), None if it may not be at
    all; `taken` are bytes that the group itself takes. `metadata_max` counts characters as Java does.
    """
    codes = []
    last: dict[tuple[str, int], OffsetToCommit] = {}
    for commit in commits:
        if commit.metadata and is_too_long(commit.metadata, metadata_max):
            codes.append(ErrorCode.OFFSET_METADATA_TOO_LARGE)
            continue
        more = grows(commit)
        if more is None or (more > 0 and not budget.allows(taken + more)):
            codes.append(ErrorCode.INVALID_COMMIT_OFFSET_SIZE)
        else:
            taken += more
            codes.append(ErrorCode.NONE)
            last[commit.topic, commit.partition] = commit
    return codes, list(last.values())


def growth_of_pending(
    pending: PendingOffsets, producer_id: int, group_id: str, most: int
) -> Callable[[OffsetToCommit], int | None]:
    """The same inside the transaction of a producer, which may have so many offsets pending in the shard at most."""
    room = most - pending.count_of(producer_id)

    def grows(commit: OffsetToCommit) -> int | None:
        nonlocal room
        known = pending.known(producer_id, group_id, TopicPartition(commit.topic, commit.partition))
        if known is None:
            room -= 1
            if room < 0:
                return None
        return pending_growth(known, commit.metadata)

    return grows


def is_too_long(metadata: str, most: int) -> bool:
    """Whether this is more than so many characters, as Java counts them."""
    if len(metadata) <= most and metadata.isascii():
        return False
    return len(metadata.encode("utf-16-le", "surrogatepass")) // 2 > most
