"""How much of everything the distributed engine takes, and how long it waits: one frozen value, given when it is made.

The two latencies of an append are chosen here. A **window** gathers appends until it is worth an object: objects are
paid by the piece and each costs a round trip, so a busy broker makes few large ones, and an idle one makes one soon.
`idle_ms` is what an append waits at least, so that those that come together go together, and `window_ms` what it waits
at most behind uploads that are under way.

The plan's figures: 8 MiB or 250 ms is what others in the field have settled on; 25 ms is below what an upload takes.
"""

from __future__ import annotations

from typing import NamedTuple


class Limits(NamedTuple):
    """Sizes in bytes, times in milliseconds."""

    window_bytes: int = 8 << 20
    """A window with so much is closed at once."""
    window_ms: int = 250
    """No append waits longer in a window for others, unless all uploads are taken."""
    idle_ms: int = 25
    """A window of this age is closed if nothing is being uploaded."""
    uploads: int = 8
    """Objects uploaded at the same time."""
    buffered_bytes: int = 128 << 20
    """Appends that are not committed yet: from here on clients wait before they append (`LogStore.make_ready`)."""
    give_up_ms: int = 20_000
    """An upload that has not come about by then has failed: less than what producers wait for an answer."""
    first_retry_ms: int = 50
    """After a failure; doubled with each further one, up to `longest_retry_ms`."""
    longest_retry_ms: int = 2000
    inline_bytes: int = 4 << 10
    """Appends of internal logs, and markers, up to this size go into the database without an object."""
    inline_runs: int = 500
    """Of one commit."""
    cache_bytes: int = 256 << 20
    """Runs in memory, those that this broker has written and those that it has read."""
    read_bytes: int = 16 << 20
    """What one question reads from the bucket for one log, at most (a run is read as a whole even if it is larger)."""
    block_bytes: int = 1 << 20
    """Of a long segment, so much is read at a time, about."""
    poll_ms: int = 50
    """How often the ends of watched logs are asked for, at most."""
    upkeep_ms: int = 30_000
    """Between two rounds of deletion, merging and compaction."""
    upkeep_share: float = 0.5
    """Of the time, at most, for merging and compaction together."""
    orphan_age_ms: int = 2 * 3600 * 1000
    """Objects that no commit has brought are looked for when they are as old as that."""
    merge_from: int = 32
    """Runs that a log has as they were committed, before they are merged."""
    merge_bytes: int = 32 << 20
    """Of one log, merged at a time."""
