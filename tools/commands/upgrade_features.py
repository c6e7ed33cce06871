"""`ottla upgrade-features`: raise the levels of a cluster's features, to the newest that its broker serves.

    ottla upgrade-features                                           all features, of the broker on this machine
    ottla upgrade-features --bootstrap-server kafka.example:9092
    ottla upgrade-features --release-version 4.3                     no further than that release
    ottla upgrade-features --feature metadata.version=33             these features only
    ottla upgrade-features --dry-run                                 only say whether it could be done

It asks a running broker, as `kafka-features upgrade` does and under the same words: the broker is the one that writes
its cluster's log. It differs from that tool in what it asks for. `kafka-features upgrade --release-version` wants every
feature of a release and is refused where a single one is not served; this command leaves those out, and levels that
the cluster has already. It never lowers a level; that is `kafka-features downgrade`.

A line for each feature says from which level to which. The exit status is 0 if that is done or nothing was to do, 1 if
the broker refuses or cannot be reached, 2 for words that make no sense.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from kproto.messages.api_versions import ApiVersionsRequest
from kproto.messages.update_features import FeatureUpdateKey, UpdateFeaturesRequest
from kproto.release.features import METADATA_VERSION, METADATA_VERSIONS, levels_of_release, metadata_version_named
from tools.client.cluster import Cluster, check
from tools.client.properties import add_connection_options, properties_of

PROGRAM = "ottla upgrade-features"


class Levels(NamedTuple):
    """What a broker says of its features."""

    finalized: Mapping[str, int]
    newest: Mapping[str, int]
    """Feature -> the newest level that the broker serves."""


def main(arguments: Sequence[str]) -> int:
    """Raise what was asked for and return the exit status. Raises Failed."""
    options = parse(arguments)
    with Cluster(properties_of(options)) as cluster:
        return _upgrade(cluster, options)


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """The options of `ottla upgrade-features`; prints usage and exits with 2 on words it does not know."""
    return parser().parse_args(arguments)


def parser() -> argparse.ArgumentParser:
    """All words of `ottla upgrade-features`."""
    made = argparse.ArgumentParser(prog=PROGRAM, description="Raise the levels of a running cluster's features.")
    chosen = made.add_mutually_exclusive_group()
    chosen.add_argument("--release-version", type=_release, metavar="RELEASE",
                        help="no further than this release of Kafka, such as 4.3 or 4.4-IV1")  # fmt: skip
    chosen.add_argument("--feature", type=_feature, action="append", metavar="NAME=LEVEL",
                        help="this feature only; may be repeated")  # fmt: skip
    made.add_argument("--dry-run", action="store_true", help="change nothing, only say whether it could be done")
    add_connection_options(made)
    return made


def _release(text: str) -> int:
    level = metadata_version_named(text)
    if level is None:
        raise argparse.ArgumentTypeError(f"{text} is not a release of Kafka, or not one that is known here")
    return level


def _feature(text: str) -> tuple[str, int]:
    name, equals, level = text.partition("=")
    if not (name and equals and level.isdecimal() and int(level) < 1 << 15):
        raise argparse.ArgumentTypeError(f"{text} is not NAME=LEVEL")
    return name, int(level)


def _upgrade(cluster: Cluster, options: argparse.Namespace) -> int:
    levels = levels_of(cluster)
    wanted = dict(options.feature) if options.feature else newest_of(levels, options.release_version)
    raised = {name: level for name, level in wanted.items() if level != levels.finalized.get(name, 0)}
    if not raised:
        print("nothing to raise: " + (listed(levels.finalized) or "no feature has a level"))
        return 0
    updates = [FeatureUpdateKey(feature=name, max_version_level=level) for name, level in raised.items()]
    reply = cluster.ask(UpdateFeaturesRequest(feature_updates=updates, validate_only=options.dry_run), newest=1)
    check(reply.error_code, reply.error_message)
    for name, level in raised.items():
        before = said(name, levels.finalized.get(name, 0))
        print(f"{name}: from {before} to {said(name, level)}" + (" (not done: a dry run)" if options.dry_run else ""))
    return 0


def levels_of(cluster: Cluster) -> Levels:
    """The levels of the broker's features. Raises Failed."""
    reply = cluster.ask(ApiVersionsRequest(client_software_name="ottla", client_software_version="1"), newest=4)
    return Levels(
        {feature.name: feature.max_version_level for feature in reply.finalized_features},
        {feature.name: feature.max_version for feature in reply.supported_features},
    )


def newest_of(levels: Levels, release: int | None) -> dict[str, int]:
    """The levels of a release, or the newest of all, as far as the broker serves them and they are higher than now."""
    wanted = levels_of_release(release or max(METADATA_VERSIONS))
    served = {name: min(level, levels.newest[name]) for name, level in wanted.items() if name in levels.newest}
    return {name: level for name, level in served.items() if level > levels.finalized.get(name, 0)}


def listed(levels: Mapping[str, int]) -> str:
    """All levels in one line."""
    return ", ".join(f"{name} {said(name, level)}" for name, level in levels.items())


def said(name: str, level: int) -> str:
    """A level, and its name if it has one."""
    version = METADATA_VERSIONS.get(level) if name == METADATA_VERSION else None
    return f"{level} ({version.name})" if version else str(level)
