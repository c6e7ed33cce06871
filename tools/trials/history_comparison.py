"""Compare the history of Kafka's releases with the message definitions of each.

`python -m tools.trials compare-history 3.7=kafka.git:3.7.0 3.9=kafka-clients-3.9.0.jar ...` reads, for each release
named, the definitions of its requests: from a Git repository of Kafka's and the name of a tag or a commit, or from the
jar of its client library, in which they lie as resources. What each says of versions and listeners is held against
`kproto/release/history.py`, in both directions. Every difference is a line on standard output, and a count comes last.
Exit status 0 means none, 1 some, 2 that a source cannot be read.

Levels of features are in no definition. Those in the history are held against `kproto/release/features.py` by a test,
and have been read out of the classes of server-common once.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from kproto.release.apis import APIS
from kproto.release.history import FIRST_OF_KRAFT, RELEASES, api_ranges, is_before
from tools.trials.schema_comparison import without_comments

IN_GIT: Final = "clients/src/main/resources/common/message/"
IN_JAR: Final = "common/message/"
REQUEST: Final = "Request.json"


class Unreadable(Exception):
    """A source that is not what it should be; the sentence says which and why."""


def main(arguments: Sequence[str]) -> int:
    """Compare, print, and return the exit status."""
    parser = argparse.ArgumentParser(prog="compare-history", description="compare our history of Kafka's releases")
    parser.add_argument("sources", nargs="+", metavar="RELEASE=SOURCE", help="a jar, or a Git repository and :TAG")
    found: list[str] = []
    try:
        for word in parser.parse_args(arguments).sources:
            release, _, source = word.partition("=")
            if release not in RELEASES:
                raise Unreadable(f"{word!r} does not begin with one of {', '.join(RELEASES)}")
            found += [f"{release}: {each}" for each in differences(release, list(definitions(source)))]
    except Unreadable as error:
        print(f"compare-history: {error}", file=sys.stderr)
        return 2
    for each in found:
        print(each)
    print(f"{len(found)} differences")
    return 1 if found else 0


def definitions(source: str) -> Iterator[Mapping[str, Any]]:
    """The requests that a source defines. Raises Unreadable."""
    texts = _in_jar(source) if source.endswith(".jar") else _in_git(source)
    for name, text in texts:
        try:
            # Some files of old releases have a brace too many at their end, which Kafka's own reader passes over.
            definition, _ = json.JSONDecoder().raw_decode(without_comments(text).strip())
        except ValueError as error:
            raise Unreadable(f"{name} of {source}: {error}") from error
        yield definition


def _in_jar(path: str) -> Iterator[tuple[str, str]]:
    try:
        with zipfile.ZipFile(path) as jar:
            for name in jar.namelist():
                if name.startswith(IN_JAR) and name.endswith(REQUEST):
                    yield name, jar.read(name).decode()
    except (OSError, zipfile.BadZipFile) as error:
        raise Unreadable(f"{path}: {error}") from error


def _in_git(source: str) -> Iterator[tuple[str, str]]:
    folder, _, tag = source.rpartition(":")

    def git(*words: str) -> str:
        try:
            return subprocess.run(["git", "-C", folder, *words], capture_output=True, check=True, text=True).stdout
        except (OSError, subprocess.CalledProcessError) as error:
            raise Unreadable(f"{source}: {getattr(error, 'stderr', '') or error}") from error

    for name in git("ls-tree", "--name-only", tag, IN_GIT).split():
        if name.endswith(REQUEST):
            yield name, git("show", f"{tag}:{name}")


def what_is_left_out() -> list[str]:
    """The versions, of APIs that Ottla serves, that a release had and that are not served when it is played: a table of
    Markdown."""
    from broker.handlers import ADVERTISED_VERSIONS, SERVED_VERSIONS

    missing: dict[int, dict[str, str]] = {}
    for release in RELEASES:
        for key, (oldest, _) in api_ranges(release).items():
            own = SERVED_VERSIONS.get(key)
            if own is not None and oldest < own[0]:
                listed = ", listed" if ADVERTISED_VERSIONS[key][0] < own[0] else ""
                missing.setdefault(key, {})[release] = f"{_range(oldest, own[0] - 1)}{listed}"
    rows = ["| API | versions | of releases |", "| --- | --- | --- |"]
    for key, by_release in sorted(missing.items()):
        for words in dict.fromkeys(by_release.values()):
            releases = [release for release in RELEASES if by_release.get(release) == words]
            rows.append(f"| {APIS[key].name} ({key}) | {words} | {releases[0]} to {releases[-1]} |")
    return rows


def _range(oldest: int, newest: int) -> str:
    return str(oldest) if oldest == newest else f"{oldest} to {newest}"


def differences(release: str, requests: Sequence[Mapping[str, Any]]) -> list[str]:
    """What the history says otherwise than the definitions, one line each."""
    if not requests:
        raise Unreadable(f"there is no definition of a request for {release}")
    listener = "zkBroker" if is_before(release, FIRST_OF_KRAFT) else "broker"
    theirs = {}
    for request in requests:
        if request["validVersions"] == "none" or listener not in request.get("listeners", ()):
            continue
        oldest, _, newest = request["validVersions"].partition("-")
        last = int(newest or oldest) - bool(request.get("latestVersionUnstable"))
        if last >= int(oldest):
            theirs[request["apiKey"]] = int(oldest), last
    ours = api_ranges(release)
    return [
        f"API {key} is {ours.get(key)} in the history, {theirs.get(key)} in the definitions"
        for key in sorted(ours.keys() | theirs.keys())
        if ours.get(key) != theirs.get(key)
    ]
