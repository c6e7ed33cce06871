"""File descriptors are a budget: how many this process may have, and who may have how many of them.

Every connection takes one, every segment that is written or read lately, every slice of a segment in a reply that is on
its way. Ordinary machines give a process 1,024, and what is taken by one is missing for all: a broker that can accept
no connection, sync no directory or write no checkpoint is at its peers' mercy. So the limit is raised as far as the
system lets it be, once, before anything is opened, and then divided:

| share | descriptors | when it is used up |
| --- | --- | --- |
| reserve | 64 | it is not: for accepting and refusing, syncs, checkpoints, the cluster's log, threads, the cleaner |
| segments | a sixth of the rest, at most 1,000 | what was not used is closed; appends wait for syncs |
| replies | as many | records are sent from memory in place of a slice of a file |
| connections | what is left | a further one is accepted and closed |

With 256 these are 64, 32, 32 and 128; with 1,024 they are 64, 160, 160 and 640. With fewer than `LEAST` the broker does
not start.
"""

from __future__ import annotations

import contextlib
from typing import Final, NamedTuple

LEAST: Final = 128
RESERVE: Final = 64
MOST_SEGMENTS: Final = 1000
"""More open segments are no faster: the next use of one that is closed costs ten microseconds."""

UNLIMITED: Final = 1 << 20


class Shares(NamedTuple):
    """How many descriptors each may have."""

    connections: int
    segments: int
    replies: int


def share_out(limit: int) -> Shares:
    """Divide `limit` descriptors, LEAST or more."""
    rest = limit - RESERVE
    segments = min(MOST_SEGMENTS, rest // 6)
    return Shares(rest - 2 * segments, segments, segments)


def descriptor_limit() -> int:
    """How many files and sockets this process may have open; raised first as far as that is allowed."""
    try:
        import resource
    except ImportError:  # Windows has no such limit
        return UNLIMITED
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < hard or soft == resource.RLIM_INFINITY:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
            soft = hard
    return UNLIMITED if soft == resource.RLIM_INFINITY else soft
