"""Levels of features: what a new log gets, and which updates Apache Kafka was seen to take and to refuse."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import pytest

from broker.coordinators.cluster import features
from broker.coordinators.cluster.features import (
    SERVED,
    FeatureUpdate,
    UpgradeType,
    check_known,
    decide_opening,
    decide_update,
    new_cluster_levels,
    supported_levels,
    unserved_levels,
)
from broker.coordinators.cluster.machine import ClusterMachine, ClusterRecord
from broker.coordinators.machine import Promise
from broker.handlers import HANDLERS
from kproto.errors import ErrorCode, KafkaError
from kproto.formats.cluster_metadata import ConfigRecord, FeatureLevelRecord
from kproto.formats.metadata_snapshot import Quorum
from kproto.release import RELEASE
from kproto.release.features import (
    ELR_VERSION,
    FEATURES,
    METADATA_VERSION,
    METADATA_VERSIONS,
    NEWEST_METADATA_VERSION,
    levels_of_release,
    metadata_version_named,
)

ALL: Final = levels_of_release(33)
"""What Kafka serves, and gives a new cluster."""

UPGRADE, SAFE, UNSAFE = UpgradeType
FAILED = "The update failed for all features since the following feature had an error: "
TYPE = "The controller does not support the given upgrade type."
NEGATIVE = "A feature version cannot be less than 0."
UNSUPPORTED = "Local controller 1 does not support this feature."
ONLY = "Local controller 1 only supports versions "
DOWNWARDS = (
    "Can't downgrade the version of this feature without setting the upgrade type to either safe or unsafe downgrade."
)
NEVER = "Can't downgrade the version of this feature."


def at(levels: Mapping[str, int]) -> ClusterMachine:
    """A cluster at these levels."""
    machine = ClusterMachine()
    for name, level in levels.items():
        if name == "kraft.version":
            machine.adopt_quorum(Quorum(kraft_version=bytes([0, 0, 0, level, 0])))
        else:
            machine.replay(FeatureLevelRecord(name=name, feature_level=level))
    return machine


def update(
    machine: ClusterMachine, *updates: tuple[str, int] | tuple[str, int, int], dry: bool = False
) -> tuple[KafkaError | None, list[ClusterRecord]]:
    """What an update is answered with, and which records it writes; they are replayed."""
    wanted = {name: FeatureUpdate(level, *kind) for name, level, *kind in updates}
    promise: Promise[None] = Promise()
    decision = decide_update(machine, wanted, 1, "1", promise, dry)
    [(promised, reply)] = decision.replies
    assert promised is promise
    for record in decision.records:
        machine.replay(record)
    return reply, list(decision.records)


def refusal(machine: ClusterMachine, *updates: tuple[str, int] | tuple[str, int, int]) -> str | None:
    """The words of a refusal, without those that every one begins with. A dry run says the same as a real one."""
    dry, none = update(machine, *updates, dry=True)
    assert not none
    before = dict(machine.finalized_features)
    error, records = update(machine, *updates)
    assert str(dry) == str(error)
    if error is None:
        return None
    assert not records and machine.finalized_features == before
    assert error.code is ErrorCode.INVALID_UPDATE_VERSION
    assert error.message.startswith(FAILED)
    return error.message.removeprefix(FAILED)


@pytest.fixture
def all_served(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ottla serves what Kafka does."""
    monkeypatch.setattr(features, "SERVED", ALL)


# --- what a new log gets


def test_a_level_is_served_when_its_last_api_is() -> None:
    """And then it is named in `SERVED`, so that new clusters get it. (`kraft.version` is kept, and not raised.)"""
    for name, levels in FEATURES.items():
        if name != "kraft.version":
            served = 0
            for level in levels:
                if not set(level.apis) <= set(HANDLERS):
                    break
                served += 1
            assert SERVED.get(name, 0) == served, f"APIs say that {name} is served up to {served}"


@pytest.mark.usefixtures("all_served")
def test_a_new_log_opens_as_kafkas_does() -> None:
    """With the levels of its release, and the default that eligible leader replicas need."""
    promise: Promise[None] = Promise()
    decision = decide_opening(ClusterMachine(), "2", promise)
    levels = {
        record.name: record.feature_level for record in decision.records if isinstance(record, FeatureLevelRecord)
    }
    assert levels == ALL == new_cluster_levels()
    assert next(iter(levels)) == METADATA_VERSION
    assert decision.records[-1] == ConfigRecord(
        resource_type=4, resource_name="", name="min.insync.replicas", value="2"
    )
    assert decision.replies == [(promise, None)]


def test_a_log_that_exists_keeps_its_levels() -> None:
    """Whatever Ottla serves; what the levels promise is made true, as after `kafka-storage format`."""
    default = ConfigRecord(resource_type=4, resource_name="", name="min.insync.replicas", value="1")
    for levels, written in (({METADATA_VERSION: 19}, []), (levels_of_release(30), [default])):
        machine = at(levels)
        assert decide_opening(machine, "1", Promise()).records == written
        for record in written:
            machine.replay(record)
        assert decide_opening(machine, "1", Promise()).records == []
        assert machine.finalized_features == levels


def test_levels_of_a_newer_release_stop_the_start() -> None:
    """Known are all of Kafka's, served or not."""
    check_known(ALL)
    check_known({METADATA_VERSION: 7})
    for name, level in ((METADATA_VERSION, 6), (METADATA_VERSION, 34), ("group.version", 2), ("unheard.of", 1)):
        with pytest.raises(KafkaError, match=f"level {level} of {name}, and this release knows"):
            check_known({**ALL, name: level})


def test_releases_have_the_levels_that_kafka_gives_them() -> None:
    """As `kafka-features version-mapping` says."""
    assert levels_of_release(19) == {METADATA_VERSION: 19}
    assert levels_of_release(21) == {METADATA_VERSION: 21, "kraft.version": 1}
    four_three = {"kraft.version": 1, "transaction.version": 2, "group.version": 1, ELR_VERSION: 1, "share.version": 1}
    assert levels_of_release(30) == {METADATA_VERSION: 30, **four_three, "streams.version": 1}
    assert levels_of_release(33) == {METADATA_VERSION: 33, **four_three, "share.version": 2, "streams.version": 1}
    assert [metadata_version_named(name) for name in ("4.4", "4.4-IV1", "3.3", "4.5", "4.4-IV3", "4")] == [
        33, 32, 7, None, None, None,
    ]  # fmt: skip
    assert metadata_version_named(RELEASE) == NEWEST_METADATA_VERSION
    assert METADATA_VERSIONS[33].name == "4.4-IV2"


# --- what Kafka answers, at the levels of 4.4


def _downgrade(level: int) -> tuple[str, str, str]:
    unsupported = f"!Unsupported metadata.version downgrade from 33 to {level}. "
    return (
        DOWNWARDS,
        unsupported + "Refusing to perform the requested downgrade because it might delete metadata information.",
        unsupported + "Unsafe metadata downgrade is not supported in this version.",
    )


Row = tuple[str, int, str | None, str | None, str | None]


def always(name: str, level: int, words: str) -> Row:
    """The same words for every kind of upgrade."""
    return name, level, words, words, words


RECORDED: Final[list[Row]] = [
    (METADATA_VERSION, -1, NEGATIVE, NEGATIVE, NEGATIVE),
    *(always(METADATA_VERSION, level, ONLY + "7-33") for level in (0, 6, 34)),
    *((METADATA_VERSION, level, *_downgrade(level)) for level in (7, 31, 32)),
    (METADATA_VERSION, 33, None, None, None),
    ("group.version", -1, NEGATIVE, NEGATIVE, NEGATIVE),
    ("group.version", 0, DOWNWARDS, None, None),
    ("group.version", 1, None, None, None),
    always("group.version", 2, ONLY + "0-1"),
    ("transaction.version", 0, DOWNWARDS, None, None),
    ("transaction.version", 1, DOWNWARDS, None, None),
    ("transaction.version", 2, None, None, None),
    always("transaction.version", 3, ONLY + "0-2"),
    ("share.version", 0, DOWNWARDS, None, None),
    ("share.version", 2, None, None, None),
    always("share.version", 3, ONLY + "0-2"),
    ("streams.version", 0, DOWNWARDS, None, None),
    always("streams.version", 2, ONLY + "0-1"),
    (ELR_VERSION, 0, DOWNWARDS, None, None),
    (ELR_VERSION, 1, None, None, None),
    always(ELR_VERSION, 2, ONLY + "0-1"),
    ("kraft.version", -1, NEGATIVE, NEGATIVE, NEGATIVE),
    ("kraft.version", 0, DOWNWARDS, NEVER, NEVER),
    ("kraft.version", 1, None, None, None),
    always("kraft.version", 2, ONLY + "0-1"),
    ("unknown", -1, NEGATIVE, NEGATIVE, NEGATIVE),
    always("unknown", 0, "Feature unknown not found."),
    ("unknown", 1, UNSUPPORTED, UNSUPPORTED, UNSUPPORTED),
    ("", 1, UNSUPPORTED, UNSUPPORTED, UNSUPPORTED),
]
"""Feature and level; Kafka's words for an upgrade, a safe and an unsafe downgrade to it. With ! they stand alone."""


@pytest.mark.usefixtures("all_served")
@pytest.mark.parametrize(("name", "level", "upgrade", "safe", "unsafe"), RECORDED)
def test_an_update_is_answered_as_kafka_answers_it(
    name: str, level: int, upgrade: str | None, safe: str | None, unsafe: str | None
) -> None:
    """Recorded from a new cluster of Kafka, for every kind of upgrade."""
    invalid = f"Invalid update version {level} for feature {name}. "
    for kind, words in ((0, TYPE), (1, upgrade), (2, safe), (3, unsafe), (4, TYPE), (-1, TYPE)):
        expected = None if words is None else words[1:] if words.startswith("!") else invalid + words
        assert refusal(at(ALL), (name, level, kind)) == expected


@pytest.mark.usefixtures("all_served")
@pytest.mark.parametrize(
    ("names", "named"),
    [
        (["a", "b", "c", "d", "e"], "a"),
        (["zz", "y", "x.version", "feature.one", "Q"], "zz"),
        (["streams.version", "kraft.version", "metadata.version", "share.version", "group.version"], "group.version"),
        ([f"f{number}" for number in range(30)], "f10"),
        ([f"feature.{number}.version" for number in range(13)], "feature.8.version"),
        ([f"feature.{number}.version" for number in range(12)], "feature.3.version"),
        (["Aa", "BB"], "Aa"),
        (["BB", "Aa"], "BB"),
        (["naïve", "ключ", "😀"], "naïve"),
    ],
)
def test_of_several_refusals_kafkas_is_said(names: list[str], named: str) -> None:
    """That of the feature which comes first in a HashMap of Java's."""
    said = refusal(at(ALL), *((name, 77) for name in names))
    assert said is not None and said.startswith(f"Invalid update version 77 for feature {named}. ")


@pytest.mark.usefixtures("all_served")
def test_of_one_feature_named_twice_the_last_mention_counts() -> None:
    """Its level and its kind."""
    assert refusal(at(ALL), ("group.version", 0), ("group.version", 1)) is None
    assert refusal(at(ALL), ("group.version", 1), ("group.version", 0)) is not None


# --- and at those of 3.7


@pytest.mark.usefixtures("all_served")
def test_levels_downwards_are_safe_where_the_records_stay_the_same() -> None:
    """3.7-IV4 can go back to IV2, which the others write like it, and no further."""
    for level in (18, 17):
        for kind in (SAFE, UNSAFE):
            assert refusal(at({METADATA_VERSION: 19}), (METADATA_VERSION, level, kind)) is None
    assert "downgrade from 19 to 16" in str(refusal(at({METADATA_VERSION: 19}), (METADATA_VERSION, 16, SAFE)))
    assert "to a newer version" in str(refusal(at({METADATA_VERSION: 19}), (METADATA_VERSION, 20, SAFE)))


@pytest.mark.usefixtures("all_served")
def test_a_level_needs_levels_of_other_features() -> None:
    """Those that the same request gives count."""
    needed = (
        f"Invalid update version 1 for feature {ELR_VERSION}. {ELR_VERSION} could not be set to 1 because it depends "
        "on metadata.version level 23"
    )
    assert refusal(at({METADATA_VERSION: 19}), (ELR_VERSION, 1)) == needed
    assert refusal(at({METADATA_VERSION: 19}), (METADATA_VERSION, 22), (ELR_VERSION, 1)) == needed
    assert refusal(at({METADATA_VERSION: 19}), (METADATA_VERSION, 23), (ELR_VERSION, 1)) is None
    assert refusal(at({METADATA_VERSION: 19}), ("group.version", 1), ("transaction.version", 2)) is None


@pytest.mark.usefixtures("all_served")
def test_an_update_is_recorded_even_if_it_changes_nothing() -> None:
    """As in Kafka, so that the epoch of the finalized features moves; but not of the quorum's feature."""
    machine = at(ALL)
    _, records = update(machine, ("group.version", 1), ("kraft.version", 1))
    assert records == [FeatureLevelRecord(name="group.version", feature_level=1)]
    _, records = update(machine, ("group.version", 0, SAFE))
    assert records == [FeatureLevelRecord(name="group.version", feature_level=0)]
    assert machine.finalized_features == {name: level for name, level in ALL.items() if name != "group.version"}


def test_eligible_leader_replicas_take_over_the_replicas_in_sync() -> None:
    """Records before the level: a default for the cluster if it has none, and no broker with a value of its own."""

    def config(broker: str, value: str | None) -> ConfigRecord:
        return ConfigRecord(resource_type=4, resource_name=broker, name="min.insync.replicas", value=value)

    machine = at({METADATA_VERSION: 30})
    machine.replay(config("1", "3"))
    raised = FeatureLevelRecord(name=ELR_VERSION, feature_level=1)
    assert update(machine, (ELR_VERSION, 1)) == (None, [config("", "1"), config("1", None), raised])
    assert update(machine, (ELR_VERSION, 1)) == (None, [raised])
    update(machine, (ELR_VERSION, 0, SAFE))
    machine.replay(config("1", "3"))
    assert update(machine, (ELR_VERSION, 1)) == (None, [config("1", None), raised])


# --- what is not served


def test_a_feature_that_is_not_served_is_not_raised() -> None:
    """Kafka says the same of features that it does not know."""
    for name in FEATURES:
        if name not in SERVED:
            assert name not in supported_levels()
            words = f"Invalid update version 1 for feature {name}. {UNSUPPORTED}"
            assert refusal(at({METADATA_VERSION: 33}), (name, 1)) == words


def test_a_directory_of_kafkas_keeps_levels_that_are_not_served() -> None:
    """They can be switched off, and named as they are, which writes nothing."""
    unserved = {name: level for name, level in ALL.items() if name not in SERVED}
    assert unserved_levels(ALL) == {name: level for name, level in unserved.items() if name != "kraft.version"}
    assert unserved_levels(new_cluster_levels()) == {}
    machine = at(ALL)
    assert update(machine, *unserved.items()) == (None, [])
    for name, level in unserved.items():
        if name != "kraft.version":
            assert refusal(machine, (name, level + 1)) is not None
            assert refusal(machine, (name, 0, SAFE)) is None
            assert refusal(machine, (name, level)) is not None
