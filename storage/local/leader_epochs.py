"""Leader epochs of a log (`leader-epoch-checkpoint`): at which offset each epoch began.

A text file: a line with the version, 0; a line with the number of entries; then per line an epoch and the first offset
written in it. Both columns grow. From it a consumer that knows an epoch learns where that epoch ended, and so
whether what it has read is still what the log says (KIP-101, KIP-320).

The epoch is stamped on every batch too, so this file is a summary: lost or damaged, it is rebuilt from the batches.

Source: org.apache.kafka.storage.internals.epoch.LeaderEpochFileCache, LeaderEpochCheckpointFile.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from itertools import pairwise
from typing import Final, NamedTuple

from kproto.ids import NO_EPOCH
from storage.engine import EpochEnd

NAME: Final = "leader-epoch-checkpoint"
MAX_EPOCH: Final = 2**31 - 1


class EpochStart(NamedTuple):
    """An epoch and the first offset written in it."""

    epoch: int
    start_offset: int


class LeaderEpochs:
    """The epochs of one log, oldest first."""

    __slots__ = ("entries",)

    def __init__(self, entries: Iterable[EpochStart] = ()) -> None:
        self.entries = list(entries)

    @property
    def latest(self) -> int | None:
        """The newest epoch; None before the first append."""
        return self.entries[-1].epoch if self.entries else None

    def assign(self, epoch: int, start_offset: int) -> bool:
        """A batch of `epoch` lies at `start_offset`. True when that was news."""
        if self.entries and self.entries[-1].epoch >= epoch:
            return False
        self.entries.append(EpochStart(epoch, start_offset))
        return True

    def truncate_end(self, end_offset: int) -> bool:
        """The log ends at `end_offset` now: forget epochs that begin there or later. True when there were some."""
        before = len(self.entries)
        while self.entries and self.entries[-1].start_offset >= end_offset:
            self.entries.pop()
        return len(self.entries) != before

    def truncate_start(self, start_offset: int) -> bool:
        """The log starts at `start_offset` now: the epoch that holds it begins there, older ones are forgotten."""
        index = bisect_right(self.entries, start_offset, key=lambda entry: entry.start_offset) - 1
        if index < 0 or (index == 0 and self.entries[0].start_offset == start_offset):
            return False
        self.entries[: index + 1] = [EpochStart(self.entries[index].epoch, start_offset)]
        return True

    def end_of(self, epoch: int, log_end_offset: int) -> EpochEnd | None:
        """The newest epoch not above `epoch` and the offset after its last record.

        The newest epoch of all ends where the log ends; an epoch newer than it is one without records, and
        None. An epoch older than all known ended before the oldest of them began, since its records are deleted: so
        says Kafka, and a consumer that comes from there goes on instead of resetting its position.
        """
        if not self.entries or epoch == NO_EPOCH or epoch > self.entries[-1].epoch:
            return None
        index = bisect_right(self.entries, epoch, key=lambda entry: entry.epoch) - 1
        if index < 0:
            return EpochEnd(epoch, self.entries[0].start_offset)
        following = index + 1
        end = self.entries[following].start_offset if following < len(self.entries) else log_end_offset
        return EpochEnd(self.entries[index].epoch, end)

    def encode(self) -> bytes:
        """The text of the file."""
        lines = ["0", str(len(self.entries)), *[f"{entry.epoch} {entry.start_offset}" for entry in self.entries]]
        return ("\n".join(lines) + "\n").encode("ascii")


def decode(data: bytes) -> LeaderEpochs | None:
    """Read the text; None when it is not a whole file of this kind, in order."""
    try:
        version, count, *lines = data.decode("ascii").splitlines()
        entries = [EpochStart(*map(int, line.split(" "))) for line in lines]
        if int(version) != 0 or int(count) != len(entries):
            return None
    except (ValueError, TypeError):
        return None
    if entries:
        first, last = entries[0], entries[-1]
        if first.epoch < 0 or last.epoch > MAX_EPOCH or last.start_offset >= 1 << 63:
            return None
    for earlier, later in pairwise(entries):
        if later.epoch <= earlier.epoch or later.start_offset < earlier.start_offset:
            return None
    return LeaderEpochs(entries)
