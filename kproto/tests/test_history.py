"""The history of Kafka's releases: rows that can be read, and a newest release that agrees with its own tables."""

from __future__ import annotations

from itertools import pairwise

import pytest

from kproto.release.apis import APIS
from kproto.release.features import METADATA_VERSION, METADATA_VERSIONS, levels_of_release, metadata_version_named
from kproto.release.history import (
    FIRST_OF_KRAFT,
    RELEASES,
    api_ranges,
    features_of,
    is_before,
    release_named,
)

BETWEEN_NODES = {52, 53, 54, 56, 58, 59, 62, 63, 67, 70, 73, 82}
"""What nodes ask each other where clients are not heard."""
OF_KRAFT = [release for release in RELEASES if not is_before(release, FIRST_OF_KRAFT)]


def test_the_newest_release_is_the_one_that_is_spoken() -> None:
    """One fact in two places is the same fact."""
    served = {key: (api.oldest_advertised, api.newest) for key, api in APIS.items() if key not in BETWEEN_NODES}
    # What the definitions say; the broker adds versions of Produce for librdkafka's sake.
    assert api_ranges(RELEASES[-1]) == served | {0: (APIS[0].oldest, APIS[0].newest)}


@pytest.mark.parametrize("release", OF_KRAFT)
def test_levels_are_those_of_a_new_cluster(release: str) -> None:
    """The history of features and the table of their levels were read from different sources."""
    level = metadata_version_named(release)
    assert level is not None
    features = features_of(release)
    assert features[METADATA_VERSION].newest == level
    assert {name: found.finalized for name, found in features.items() if found.finalized} == levels_of_release(level)
    assert METADATA_VERSIONS[level].release == release


def test_zookeeper_knew_no_levels() -> None:
    """Before KRaft nothing was ever finalized."""
    assert [release for release in RELEASES if not features_of(release)] == ["2.8", "3.0", "3.1", "3.2"]


def test_releases_only_learn_until_4_0_forgets() -> None:
    """A newest version is never taken back; oldest ones rose with 4.0 alone (KIP-896), one of them for a release."""
    for older, newer in pairwise(RELEASES):
        before, after = api_ranges(older), api_ranges(newer)
        for key in before.keys() & after.keys():
            assert before[key][1] <= after[key][1]
            assert before[key][0] == after[key][0] or newer == "4.0" or (newer, key) == ("4.1", 11)
        if newer not in ("3.3", "4.0"):
            assert before.keys() <= after.keys()


@pytest.mark.parametrize(
    ("name", "release"),
    [("3.7", "3.7"), ("3.7.1", "3.7"), (" 3.9.0 ", "3.9"), ("2.7", None), ("3", None), ("3.7.x", None), ("", None)],
)
def test_a_release_is_named_by_its_number(name: str, release: str | None) -> None:
    """With or without the number of the patch, which changes nothing that clients see."""
    assert release_named(name) == release
