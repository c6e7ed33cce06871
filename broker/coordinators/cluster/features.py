"""Finalized features: at which level of each the cluster is, and how that changes (KIP-584, KIP-778, KIP-1022).

**The log says.** Clients get the levels that the cluster's log holds. A new log opens with what
`kafka-storage format` has prepared, else with the levels of its release, as far as Ottla serves what they announce
(`SERVED`). A log that exists keeps its levels, Ottla's or Kafka's, until an administrator changes them
(UpdateFeatures). So a directory that Kafka has written may be at levels that Ottla does not serve: the level stays, and
the APIs that it announces are missing from the list of APIs, which clients look at too. A level that this release does
not even know stops the start, since the log might mean something else by it.

**One request is one decision**: all its updates, or none. They are looked at in the order in which a HashMap of Java's
has them, since the first that is refused is the one that is named; of a feature named twice the last mention counts.
An update to the level of now is recorded like any other, and changes nothing. `kraft.version` is the quorum's; its
level is in control records, which are kept and never written.

**Eligible leader replicas** (KIP-966) bring a promise with them: `min.insync.replicas` has a dynamic default, and no
broker has a value of its own. It is made true by the decision that raises the feature, and by a start that finds it
untrue.

**Records are written as the level says.** Kafka of that level must be able to read them (`kproto.release.features`).

Source: Kafka's FeatureControlManager; the texts and their order are what Kafka was seen to answer.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum
from typing import Final, NamedTuple

from broker.coordinators.cluster.image import ResourceType
from broker.coordinators.cluster.machine import ClusterDecision, ClusterMachine
from broker.coordinators.machine import Decision, Promise
from broker.coordinators.routing import java_hash
from kproto.errors import ErrorCode, KafkaError
from kproto.formats.cluster_metadata import ConfigRecord, FeatureLevelRecord
from kproto.release.features import (
    ELR_VERSION,
    FEATURES,
    GROUP_VERSION,
    KRAFT_VERSION,
    METADATA_VERSION,
    NEWEST_METADATA_VERSION,
    OLDEST_METADATA_VERSION,
    TRANSACTION_VERSION,
    levels_of_release,
    metadata_changed,
)
from kproto.schema.declare import Record

SERVED: Final[Mapping[str, int]] = {
    METADATA_VERSION: NEWEST_METADATA_VERSION,
    ELR_VERSION: 1,
    GROUP_VERSION: 1,
    TRANSACTION_VERSION: 2,
}
"""The newest level of each feature that Ottla serves; 0 where none is named. A level is named here with the last of the
APIs that it announces (a test says when), and from then on new clusters get it and old ones can be raised to it."""

MOST_UPDATES: Final = 1000
"""Features in one request: more than there will be."""

MIN_INSYNC_REPLICAS: Final = "min.insync.replicas"


class UpgradeType(IntEnum):
    """What an update is allowed to do (FeatureUpdate.UpgradeType)."""

    UPGRADE = 1
    SAFE_DOWNGRADE = 2
    UNSAFE_DOWNGRADE = 3


class FeatureUpdate(NamedTuple):
    """The level that a feature is to have, and the UpgradeType as it came."""

    level: int
    upgrade_type: int = UpgradeType.UPGRADE


class SupportedFeatures(NamedTuple):
    """What a broker offers of features: Ottla's own, or those of an older release that it plays."""

    ranges: Mapping[str, tuple[int, int]]
    """Feature -> the oldest and the newest level that clients are shown, and that can be set."""
    new: Mapping[str, int]
    """The levels above 0 that a new cluster gets."""
    emulated: bool = False

    def shown(self, levels: Mapping[str, int]) -> dict[str, int]:
        """Of the levels in the cluster's log, what clients see. A release that is played cannot be at levels that it
        does not know, whatever the log of an existing cluster says."""
        if not self.emulated:
            return dict(levels)
        return {name: min(level, self.ranges[name][1]) for name, level in levels.items() if name in self.ranges}


def supported_features(release: str = "") -> SupportedFeatures:
    """What is offered by a broker that plays a release of `kproto.release.history`; Ottla's own for none.

    Features that Ottla does not serve are left out. Before KRaft there was none to be seen, and the log, which has to
    be at some level, is at the oldest.
    """
    if not release:
        return SupportedFeatures(supported_levels(), new_cluster_levels())
    from kproto.release.history import features_of

    known = {name: found for name, found in features_of(release).items() if name in SERVED}
    return SupportedFeatures(
        {name: (found.oldest, min(found.newest, SERVED[name])) for name, found in sorted(known.items())},
        {
            METADATA_VERSION: OLDEST_METADATA_VERSION,
            **{name: min(found.finalized, SERVED[name]) for name, found in known.items() if found.finalized},
        },
        emulated=True,
    )


def supported_levels() -> dict[str, tuple[int, int]]:
    """Feature -> oldest and newest level that Ottla serves, of those that have one above 0."""
    return {name: (OLDEST_METADATA_VERSION if name == METADATA_VERSION else 0, SERVED[name]) for name in sorted(SERVED)}


def new_cluster_levels() -> dict[str, int]:
    """The levels above 0 that a new cluster gets."""
    levels = levels_of_release(SERVED[METADATA_VERSION])
    return {name: min(level, SERVED[name]) for name, level in levels.items() if name in SERVED}


def check_known(levels: Mapping[str, int]) -> None:
    """Refuse levels that this release does not know. Raises KafkaError(UNSUPPORTED_VERSION) with a sentence."""
    for name, level in levels.items():
        oldest, newest = _known_levels(name)
        if not oldest <= level <= newest:
            known = f"{oldest} to {newest}" if newest else "no level of it"
            raise KafkaError(
                ErrorCode.UNSUPPORTED_VERSION, f"it is at level {level} of {name}, and this release knows {known}"
            )


def unserved_levels(levels: Mapping[str, int]) -> dict[str, int]:
    """Those of the levels that Ottla does not serve; `kraft.version` means nothing to a quorum of one."""
    return {name: level for name, level in levels.items() if level > SERVED.get(name, 0) and name != KRAFT_VERSION}


def _known_levels(name: str) -> tuple[int, int]:
    if name == METADATA_VERSION:
        return OLDEST_METADATA_VERSION, NEWEST_METADATA_VERSION
    return 0, len(FEATURES.get(name, ()))


# ---------------------------------------------------------------------------------------------------------------------
# Decisions


def decide_opening(
    machine: ClusterMachine, min_insync_replicas: str, promise: Promise[None], new: Mapping[str, int] | None = None
) -> ClusterDecision:
    """What a start makes true: a new log has levels, and what the levels promise holds. The reply is None.

    `min_insync_replicas` is the broker's own setting, in this and in the other decisions. `new` are the levels of a new
    log that nothing else has prepared; Ottla's own if None.
    """
    records: list[Record] = []
    if not machine.level_of(METADATA_VERSION):
        records += machine.bootstrap or _level_records(new_cluster_levels() if new is None else new)
    if opening_levels(machine, new).get(ELR_VERSION, 0) > 0:
        records += _elr_records(machine, min_insync_replicas)
    return Decision(records, [(promise, None)])


def opening_levels(machine: ClusterMachine, new: Mapping[str, int] | None = None) -> Mapping[str, int]:
    """The levels of a cluster that has just been loaded, once a start has made true what it has to; `new` as there."""
    if machine.level_of(METADATA_VERSION):
        return machine.finalized_features
    wanted = [record for record in machine.bootstrap if isinstance(record, FeatureLevelRecord)]
    levels = (
        {record.name: record.feature_level for record in wanted}
        if machine.bootstrap
        else new_cluster_levels()
        if new is None
        else new
    )
    return {**machine.finalized_features, **levels}


def decide_update(
    machine: ClusterMachine,
    updates: Mapping[str, FeatureUpdate],
    node_id: int,
    min_insync_replicas: str,
    promise: Promise[None],
    validate_only: bool,
    supported: Mapping[str, tuple[int, int]] | None = None,
) -> ClusterDecision:
    """Change levels, all or none, within `supported` (Ottla's own if None). The reply is None, or
    KafkaError(INVALID_UPDATE_VERSION) with Kafka's words."""
    if len(updates) > MOST_UPDATES:
        text = f"The update failed for all features since one request may not change more than {MOST_UPDATES}."
        return Decision(replies=[(promise, KafkaError(ErrorCode.INVALID_UPDATE_VERSION, text))])
    ordered = _in_javas_order(updates)
    proposed = {**machine.finalized_features, **{name: update.level for name, update in updates.items()}}
    ranges = supported_levels() if supported is None else supported
    for name in ordered:
        if reason := _refusal(machine, name, updates[name], proposed, node_id, ranges):
            text = f"The update failed for all features since the following feature had an error: {reason}"
            return Decision(replies=[(promise, KafkaError(ErrorCode.INVALID_UPDATE_VERSION, text))])
    if validate_only:
        return Decision(replies=[(promise, None)])
    written = {name: updates[name].level for name in ordered if name in SERVED or updates[name].level == 0}
    written.pop(KRAFT_VERSION, None)
    records: list[Record] = []
    if written.get(ELR_VERSION, 0) > 0:
        records += _elr_records(machine, min_insync_replicas)
    records += _level_records(written)
    return Decision(records, [(promise, None)])


def _level_records(levels: Mapping[str, int]) -> list[Record]:
    return [FeatureLevelRecord(name=name, feature_level=level) for name, level in levels.items()]


def _elr_records(machine: ClusterMachine, min_insync_replicas: str) -> list[Record]:
    """What has to be written so that `min.insync.replicas` is the cluster's alone."""

    def config(broker: str, value: str | None) -> ConfigRecord:
        return ConfigRecord(
            resource_type=int(ResourceType.BROKER), resource_name=broker, name=MIN_INSYNC_REPLICAS, value=value
        )

    brokers = machine.resources_with(ResourceType.BROKER, MIN_INSYNC_REPLICAS)
    records: list[Record] = [] if "" in brokers else [config("", min_insync_replicas)]
    return records + [config(broker, None) for broker in brokers if broker]


# ---------------------------------------------------------------------------------------------------------------------
# Kafka's refusals, in its order


def _refusal(
    machine: ClusterMachine,
    name: str,
    update: FeatureUpdate,
    proposed: Mapping[str, int],
    node_id: int,
    supported: Mapping[str, tuple[int, int]],
) -> str | None:
    """Why this update cannot be; None if it can."""
    level, upgrade_type = update
    now = machine.level_of(name)
    prefix = f"Invalid update version {level} for feature {name}. "
    if upgrade_type not in tuple(UpgradeType):
        return prefix + "The controller does not support the given upgrade type."
    if level < 0:
        return prefix + "A feature version cannot be less than 0."
    if level == now and name in machine.finalized_features:
        return None  # also where a directory of Kafka's is at a level that is not served
    if reason := _unsupported(name, level, node_id, supported):
        return prefix + reason
    upwards = upgrade_type == UpgradeType.UPGRADE
    if level < now and upwards:
        return prefix + (
            "Can't downgrade the version of this feature without setting the upgrade type to either safe or unsafe "
            "downgrade."
        )
    if level > now and not upwards:
        return prefix + "Can't downgrade to a newer version."
    if name == METADATA_VERSION:
        return _metadata_refusal(now, level, upgrade_type)
    if name == KRAFT_VERSION:
        why = "Can't downgrade the version of this feature." if level < now else _not_supported_at_all(node_id)
        return prefix + why
    if name not in FEATURES:
        return prefix + f"Feature {name} not found."
    needs = FEATURES[name][level - 1].needs if level else {}
    for other, needed in needs.items():
        if proposed.get(other, 0) < needed:
            return prefix + f"{name} could not be set to {level} because it depends on {other} level {needed}"
    return None


def _unsupported(name: str, level: int, node_id: int, supported: Mapping[str, tuple[int, int]]) -> str | None:
    oldest, newest = supported.get(name, (0, 0))
    if oldest <= level <= newest:
        return None
    if newest == 0:
        return _not_supported_at_all(node_id)
    return f"Local controller {node_id} only supports versions {oldest}-{newest}"


def _not_supported_at_all(node_id: int) -> str:
    return f"Local controller {node_id} does not support this feature."


def _metadata_refusal(now: int, level: int, upgrade_type: int) -> str | None:
    """Downwards only within levels that write the same records: what the others have written could not be read."""
    if level >= now or not metadata_changed(level, now):
        return None
    why = (
        "Refusing to perform the requested downgrade because it might delete metadata information."
        if upgrade_type == UpgradeType.SAFE_DOWNGRADE
        else "Unsafe metadata downgrade is not supported in this version."
    )
    return f"Unsupported metadata.version downgrade from {now} to {level}. {why}"


def _in_javas_order(names: Mapping[str, FeatureUpdate]) -> list[str]:
    """The names as a HashMap of Java's would list them: by bucket, of which there are 16, 32, 64 ..., three quarters of
    them taken at most; in one bucket as they came."""
    buckets = 16
    while len(names) > buckets * 3 // 4:
        buckets *= 2

    def bucket(name: str) -> int:
        hashed = java_hash(name) & 0xFFFFFFFF
        return (hashed ^ hashed >> 16) & buckets - 1

    return sorted(names, key=bucket)
