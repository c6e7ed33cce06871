"""Compare the tables of a release with a folder of what a running Apache Kafka of that release says of itself.

``python -m tools.trials compare-release FOLDER`` reads these files, each a JSON list of objects:

==============================  =====================================================================================
``errors.json``                 ``code``, ``name``, ``retriable``: Kafka's ``Errors``
``api-keys.json``               ``key``, ``name`` (``LIST_OFFSETS``), ``oldest``, ``latest_stable``: Kafka's
                                ``ApiKeys``; a retired API has -1 there
``api-versions.json``           ``key``, ``min``, ``max``: what ApiVersions answers
``configs-broker.json``,        what DescribeConfigs answers: ``name``, ``type``, ``read_only``, ``sensitive``, and
``configs-topic.json``,         ``synonyms``, a list of ``name``, ``value``, ``source``
``configs-group.json``,
``configs-client-metrics.json``
==============================  =====================================================================================

They are held against :class:`~kproto.errors.ErrorCode`, :data:`~kproto.release.apis.APIS` and the tables of
``broker/config/keys``, in both directions: what is missing here, and what Kafka does not have. Keys of our own, and
keys that Kafka hides unless they are set, are left out; so are defaults that are ours on purpose
(:data:`OWN_DEFAULTS`).

Every difference is one line on stdout, and a count comes last. Exit status 0 means none, 1 some, 2 that the folder
cannot be read. Layouts of messages are compared by ``compare-schema``.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from broker.config.keys import BROKER_KEYS, CLIENT_METRICS_KEYS, GROUP_KEYS, TOPIC_KEYS, ConfigKey, Update
from kproto.errors import ErrorCode
from kproto.release.apis import APIS

Rows = Sequence[Mapping[str, Any]]

CONFIGS: Final[Mapping[str, Mapping[str, ConfigKey]]] = {
    "broker": BROKER_KEYS,
    "topic": TOPIC_KEYS,
    "group": GROUP_KEYS,
    "client-metrics": CLIENT_METRICS_KEYS,
}
"""Kind of resource, as the files name it -> our keys."""

OWN_DEFAULTS: Final = frozenset(
    {
        "group.initial.rebalance.delay.ms",
        "listeners",
        "log.dir",
        "offsets.topic.replication.factor",
        "share.coordinator.state.topic.min.isr",
        "share.coordinator.state.topic.replication.factor",
        "transaction.state.log.min.isr",
        "transaction.state.log.replication.factor",
    }
)
"""Keys whose default is that of a single node which starts without a file."""

OWN_PREFIX: Final = "ottla."


class UnreadableFacts(Exception):
    """The folder, or a file in it, is not what it should be."""


def main(arguments: Sequence[str]) -> int:
    """Compare, print, and return the exit status."""
    parser = argparse.ArgumentParser(prog="compare-release", description="compare our tables with what a Kafka says")
    parser.add_argument("folder", type=Path, help="a folder of JSON files, which the module's docstring describes")
    folder = parser.parse_args(arguments).folder
    try:
        found = [*differences(folder)]
    except UnreadableFacts as error:
        print(f"compare-release: {error}", file=sys.stderr)
        return 2
    for each in found:
        print(each)
    print(f"{len(found)} differences")
    return 1 if found else 0


def differences(folder: Path) -> Iterator[str]:
    """Every difference between our tables and the files of a folder. Raises UnreadableFacts."""
    try:
        yield from error_differences(read(folder, "errors"))
        yield from api_differences(read(folder, "api-keys"))
        yield from advertised_differences(read(folder, "api-versions"))
        for resource, keys in CONFIGS.items():
            yield from config_differences(resource, read(folder, f"configs-{resource}"), keys)
    except (KeyError, TypeError) as error:
        raise UnreadableFacts(f"a row in {folder} lacks {error}") from error


def read(folder: Path, name: str) -> Rows:
    """The rows of one file. Raises UnreadableFacts."""
    path = folder / f"{name}.json"
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UnreadableFacts(f"{path}: {error}") from error
    if not isinstance(rows, list) or not rows:
        raise UnreadableFacts(f"{path} is not a list of rows")
    return rows


def error_differences(rows: Rows) -> Iterator[str]:
    """Codes, names, and whether clients repeat a request after them."""
    theirs = {row["code"]: (row["name"], row["retriable"]) for row in rows}
    ours = {code.value: (code.name, code.retriable) for code in ErrorCode}
    for code in sorted(theirs.keys() | ours.keys()):
        yield from differing(f"error {code}", "name and retriable", theirs.get(code), ours.get(code))


def api_differences(rows: Rows) -> Iterator[str]:
    """Keys, names and versions of the APIs that are not retired."""
    theirs = {
        row["key"]: (row["name"], row["oldest"], row["latest_stable"]) for row in rows if row["latest_stable"] >= 0
    }
    ours = {key: (api.module.upper(), api.oldest, api.newest) for key, api in APIS.items()}
    for key in sorted(theirs.keys() | ours.keys()):
        yield from differing(f"API {key}", "name and versions", theirs.get(key), ours.get(key))


def advertised_differences(rows: Rows) -> Iterator[str]:
    """The versions that ApiVersions lists; what a Kafka does not serve as a broker is not in its list."""
    for row in rows:
        api = APIS.get(row["key"])
        ours = None if api is None else (api.oldest_advertised, api.newest)
        yield from differing(f"API {row['key']}", "advertised versions", (row["min"], row["max"]), ours)


def config_differences(resource: str, rows: Rows, keys: Mapping[str, ConfigKey]) -> Iterator[str]:
    """Names, types, defaults, and who may change or read a key."""
    theirs = {row["name"]: row for row in rows}
    ours = {name for name, key in keys.items() if not key.internal and not name.startswith(OWN_PREFIX)}
    for name in sorted(theirs.keys() | ours):
        path = f"{resource} config {name}"
        if name not in keys or name not in theirs:
            yield from differing(path, "known", name in theirs, name in keys)
            continue
        row, key = theirs[name], keys[name]
        yield from differing(path, "type", row["type"], key.type.name)
        yield from differing(path, "sensitive", row["sensitive"], key.sensitive)
        yield from differing(path, "read-only", row["read_only"], key.update is Update.READ_ONLY)
        # A value from a file hides the default, unless both are among the synonyms.
        defaults = [each["value"] for each in row["synonyms"] if (each["name"], each["source"]) == (name, DEFAULT)]
        if defaults and name not in OWN_DEFAULTS:
            yield from differing(path, "default", defaults[0], key.default)


DEFAULT: Final = "DEFAULT_CONFIG"


def differing(path: str, what: str, theirs: object, ours: object) -> Iterator[str]:
    """One line if the two are not the same; None stands for nothing at all."""
    if theirs != ours:
        yield f"{path}: {what}: Kafka has {theirs!r}, we have {ours!r}"
