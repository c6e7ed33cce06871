"""An older release of Kafka, played: which APIs and versions clients are shown, and what else they can tell.

`ottla.emulate=3.7` makes a broker answer as one of that release, so that the author of a client or a tool can try it
against old brokers without running them. What a release said is data (`kproto/release/history.py`). What follows from
it here:

- **APIs and versions** are those that the release and Ottla have both. A request outside of them ends as it did there:
  ApiVersions is answered in v0 with UNSUPPORTED_VERSION, everything else closes the connection. Versions below Ottla's
  own lowest cannot be had; [docs/emulation.md](../docs/emulation.md) lists them.
- **Features** that came later are not there, so clients do not take the paths that these announce. A new cluster is
  made at the levels of the release, and then the machines do as the log says: no group.version, no groups of the
  consumer protocol (their requests are listed from 3.7 on, and refused as they were then). Levels of an existing log
  stay, and clients see none that the release did not know (`broker/coordinators/cluster/features.py`).
- **Defaults** that clients can tell are the release's, where the configuration says nothing else (`DEFAULTS`).

What an API answers in a version that both have is the same, since that is what a version is.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from kproto.release.history import FIRST_OF_KRAFT, api_ranges, is_before

Ranges = Mapping[int, tuple[int, int]]


class FormerDefault(NamedTuple):
    """A setting that acted otherwise before a release, and can be told by what a client is answered."""

    key: str
    value: str
    before: str
    """The first release without it."""


DEFAULTS: Final = (
    FormerDefault("transaction.partition.verification.enable", "false", "3.6"),
    FormerDefault("log.message.timestamp.after.max.ms", "9223372036854775807", "4.0"),
)
"""The coordinator is asked about batches of a transaction since KIP-890; timestamps of the future are refused since
KIP-1030."""


def defaults_of(release: str) -> dict[str, str]:
    """The settings that are in force in a release unless the configuration says otherwise, as far as they differ."""
    return {each.key: each.value for each in DEFAULTS if is_before(release, each.before)}


class Emulation:
    """A release that is played."""

    __slots__ = ("advertised", "of_zookeeper", "release", "served")

    def __init__(self, release: str, served: Ranges, advertised: Ranges) -> None:
        """`release` is one of `kproto.release.history.RELEASES`. The ranges are Ottla's own: API key -> the oldest and
        the newest version."""
        self.release = release
        self.served = _within(served, api_ranges(release))
        """API key -> the versions that are answered."""
        self.advertised = _within(advertised, api_ranges(release))
        """API key -> the versions that ApiVersions lists."""
        self.of_zookeeper = is_before(release, FIRST_OF_KRAFT)
        """True where ZooKeeper kept the cluster, so that nothing was ever finalized."""


def _within(own: Ranges, release: Ranges) -> dict[int, tuple[int, int]]:
    """The versions that both have, of the APIs of which there are any."""
    both = {}
    for key, (oldest, newest) in own.items():
        if key in release:
            low, high = max(oldest, release[key][0]), min(newest, release[key][1])
            if low <= high:
                both[key] = low, high
    return both
