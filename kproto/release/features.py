"""Which features the release knows, at which levels, and what a level is bound to: facts, and nothing else.

A cluster is at one level of each feature, and remembers it in its log (`FeatureLevelRecord`, KIP-584). The level says
what brokers may write and which requests they take, so that a cluster of several releases speaks the language of its
oldest broker, and is raised by an administrator when the last one has been replaced.

- `metadata.version` is the language of the cluster's log itself. Its levels have names, `4.4-IV2` being the third of
  release 4.4. A level that *changed* the records cannot be left downwards, since the older release could not read them.
- The others announce what clients can use: the new group protocols, transactions, share groups, streams groups. Level 0
  is the feature switched off, and is never written down.

A level of a feature is what a release gives a new cluster of `since` or later. `needs` are levels of other features
without which it cannot be set. `apis` are the requests that it announces: a broker that lacks one of them does not have
the level.

Source: `MetadataVersion`, `Feature` and the `FeatureVersion`s of Kafka's server-common; KIP-584, KIP-778, KIP-1022.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

METADATA_VERSION: Final = "metadata.version"
KRAFT_VERSION: Final = "kraft.version"
GROUP_VERSION: Final = "group.version"
TRANSACTION_VERSION: Final = "transaction.version"
ELR_VERSION: Final = "eligible.leader.replicas.version"
SHARE_VERSION: Final = "share.version"
STREAMS_VERSION: Final = "streams.version"


class MetadataVersion(NamedTuple):
    """One level of `metadata.version`."""

    name: str
    changed: bool
    """True when its release reads or writes records that the level before does not know."""

    @property
    def release(self) -> str:
        """The release that introduced it: `4.4` of `4.4-IV2`."""
        return self.name.partition("-")[0]


OLDEST_METADATA_VERSION: Final = 7

METADATA_VERSIONS: Final[Mapping[int, MetadataVersion]] = {
    level: MetadataVersion(name.rstrip("*"), name.endswith("*"))
    for level, name in enumerate(
        (
            "3.3-IV3*",
            "3.4-IV0*",
            "3.5-IV0", "3.5-IV1", "3.5-IV2*",
            "3.6-IV0", "3.6-IV1*", "3.6-IV2*",
            "3.7-IV0*", "3.7-IV1", "3.7-IV2*", "3.7-IV3", "3.7-IV4",
            "3.8-IV0",
            "3.9-IV0",
            "4.0-IV0", "4.0-IV1*", "4.0-IV2", "4.0-IV3",
            "4.1-IV0", "4.1-IV1",
            "4.2-IV0", "4.2-IV1",
            "4.3-IV0*",
            "4.4-IV0", "4.4-IV1*", "4.4-IV2*",
        ),
        OLDEST_METADATA_VERSION,
    )
}  # fmt: skip
"""Level -> what it is, oldest first. A star marks a level that changed the records."""

NEWEST_METADATA_VERSION: Final = max(METADATA_VERSIONS)


class FeatureLevel(NamedTuple):
    """One level of a feature other than `metadata.version`."""

    since: int
    """The `metadata.version` from which on a new cluster gets it."""
    needs: Mapping[str, int] = {}
    apis: tuple[int, ...] = ()
    """API keys that a broker serves if it has this level, beside those of the levels below."""


FEATURES: Final[Mapping[str, tuple[FeatureLevel, ...]]] = {
    KRAFT_VERSION: (FeatureLevel(21, apis=(55, 80, 81)),),
    TRANSACTION_VERSION: (FeatureLevel(24, apis=(24, 25, 26, 28)), FeatureLevel(24)),
    GROUP_VERSION: (FeatureLevel(22, apis=(68, 69)),),
    ELR_VERSION: (FeatureLevel(26, needs={METADATA_VERSION: 23}, apis=(75,)),),
    SHARE_VERSION: (FeatureLevel(28, apis=(76, 77, 78, 79, 90, 91, 92)), FeatureLevel(31)),
    STREAMS_VERSION: (FeatureLevel(29, apis=(88, 89)),),
}
"""Feature -> its levels from 1 on. Kafka keeps `kraft.version` in control records of the quorum, the others in records
of the cluster."""


def levels_of_release(metadata_version: int) -> dict[str, int]:
    """The levels above 0 that Kafka gives a new cluster of this `metadata.version`, which is one of them."""
    levels = {METADATA_VERSION: metadata_version}
    for name, steps in FEATURES.items():
        if level := sum(step.since <= metadata_version for step in steps):
            levels[name] = level
    return levels


def metadata_version_named(name: str) -> int | None:
    """The level of a `metadata.version` (`4.4-IV2`), or the newest one of a release (`4.4`, `4.4.0`); else None."""
    release = ".".join(name.split(".")[:2])
    found = [
        level for level, version in METADATA_VERSIONS.items() if name == version.name or release == version.release
    ]
    return max(found, default=None)


def metadata_changed(older: int, newer: int) -> bool:
    """True when a level above `older` and up to `newer` changed the records of the cluster's log."""
    return any(METADATA_VERSIONS[level].changed for level in range(older + 1, newer + 1))


DIRECTORIES_IN_RECORDS: Final = 17
"""The `metadata.version` from which on records say in which directory a replica lies (KIP-858)."""

ELR_IN_RECORDS: Final = 23
"""The `metadata.version` from which on records say which replicas are eligible leaders (KIP-966)."""

CORDONS_IN_RECORDS: Final = 30
"""The `metadata.version` from which on records say which directories of a broker take no new replicas (KIP-1066)."""


def partition_record_version(metadata_version: int) -> int:
    """The version of PartitionRecord that brokers of this level read."""
    return (metadata_version >= DIRECTORIES_IN_RECORDS) + (metadata_version >= ELR_IN_RECORDS)


def register_broker_record_version(metadata_version: int) -> int:
    """The version of RegisterBrokerRecord that brokers of this level read."""
    return 1 + sum(metadata_version >= level for level in (8, DIRECTORIES_IN_RECORDS, CORDONS_IN_RECORDS))
