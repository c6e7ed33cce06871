"""Kafka's release: its number and ranges of versions stand in `kproto/release`, and the next one is a change of data.

What is true of the release that this broker is held against is said of "Kafka", without a number: it stays true when
the number changes, or the comparisons find that it does not. (What began "since Kafka" of some release began then, and
the name of a level of `metadata.version` is for good; these may be said anywhere.) Another number may stand

* in `kproto/release`, the place;
* in README.md, for users, where it must be the release's;
* in CHANGELOG.md and in `docs/decisions`, which say what was when;
* in a row of a table in `docs`: what was measured, and beside what. `docs/compatibility.md` is such a page as a whole;
* in a `pom.xml`, as the version of Kafka's own artifacts, where it must be the release's too. Connect and MirrorMaker
  consist of many artifacts of one version, and not all come out with a release: theirs may be an older one.

A range of versions of an API follows from `kproto/release/apis.py`. So no handler says its own, and tests of handlers
that hold in every version take `versions_of`, which grows with the table.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import pytest

from kproto.release import RELEASE
from tools.tidy.source_tree import ROOT, Source, text_sources

MAJOR = RELEASE.partition(".")[0]
NUMBER = re.compile(rf"(?<![\w./]){MAJOR}\.\d+\.\d+(?![\w.]*\d)|(?<=Kafka )(?<!since Kafka ){MAJOR}\.\d+")
RANGE = re.compile(r"\bVersions \d+(?:-| to )\d+")
FIXED_RANGE = re.compile(r"\"version\", range\(")

POMS = sorted((ROOT / "compat_tests").rglob("pom.xml"))
MAY_BE_OLDER = {"programs"}
"""Folders of those whose artifacts do not all come out with a release."""
OLD_CLIENTS = "tools/trials/emulation/"
"""Clients of old releases stay what they are."""
OF_A_FRAMEWORK = {"flink", "spring"}
"""Folders of those whose framework brings its own."""
MAVEN = "{http://maven.apache.org/POM/4.0.0}"


def number(source: Source) -> Iterator[str]:
    """Findings: numbers of releases outside their place."""
    path = source.path
    if path.startswith(("kproto/release/", "docs/decisions/", OLD_CLIENTS)):
        return
    if path in ("CHANGELOG.md", "docs/compatibility.md"):
        return
    for line, text in enumerate(source.text.splitlines(), 1):
        for found in NUMBER.findall(text):
            if path == "README.md" and found != RELEASE:
                yield source.at(line, f"{found} is not the release that is served, {RELEASE} (kproto/release).")
            elif path != "README.md" and not (path.startswith("docs/") and text.startswith("|")):
                yield source.at(line, f"{found} goes out of date; say Kafka, or take it from kproto/release.")


def ranges(source: Source) -> Iterator[str]:
    """Findings: ranges of an API's versions beside the table of the release."""
    if source.path.startswith("broker/handlers/"):
        pattern, advice = RANGE, "leave it out, kproto/release/apis.py has it"
    elif source.path.startswith("broker/tests/handlers/"):
        pattern, advice = FIXED_RANGE, "use versions_of, which grows with kproto/release/apis.py"
    else:
        return
    for line, text in enumerate(source.text.splitlines(), 1):
        if match := pattern.search(text):
            yield source.at(line, f"{match.group()!r} is out of date with the next release; {advice}.")


@pytest.mark.parametrize("rule", [number, ranges])
def test_the_release_is_said_in_one_place(rule: object) -> None:
    """Nothing but data changes with the next release."""
    assert callable(rule)
    findings = [finding for source in text_sources() for finding in rule(source)]
    assert not findings, "\n" + "\n".join(findings)


@pytest.mark.parametrize("pom", POMS, ids=lambda pom: pom.parent.name)
def test_kafkas_own_clients_are_of_the_release(pom: Path) -> None:
    """The Java client and the tools are the newest that there are, those of the release; each pom's are of one."""
    dependencies = ElementTree.parse(pom).iter(f"{MAVEN}dependency")
    versions = {
        each.findtext(f"{MAVEN}version")
        for each in dependencies
        if each.findtext(f"{MAVEN}groupId") == "org.apache.kafka"
    }
    if not versions:
        assert pom.parent.name in OF_A_FRAMEWORK, "it names the version of Kafka's clients"
    elif pom.parent.name in MAY_BE_OLDER:
        [version] = versions
        assert version is not None and version.partition(".")[0] == MAJOR
    else:
        assert versions == {RELEASE}


def test_the_checks_find_a_planted_violation() -> None:
    """A number in code, in a page's text, a wrong one in README; a range in a handler, a fixed one in its test."""
    older = f"{MAJOR}.0.1"
    for path, text in {
        "broker/x.py": f'"""As Kafka {RELEASE} answers."""',
        "docs/operating.md": f"Kafka {MAJOR}.1 does the same",
        "README.md": f"as if it were Kafka {older}",
    }.items():
        assert list(number(Source(path, text))), path
    assert list(ranges(Source("broker/handlers/x.py", '"""X (1): does. Versions 0-4."""')))
    assert list(ranges(Source("broker/tests/handlers/test_x.py", '@parametrize("version", range(4))')))


def test_the_checks_let_pass_what_is_meant_to_be_there() -> None:
    """The place itself, the README's own number, measured rows, and numbers of other things."""
    for path, text in {
        "kproto/release/__init__.py": f'RELEASE = "{RELEASE}"',
        "README.md": f"as if it were Apache Kafka {RELEASE}. It is",
        "docs/performance.md": f"| | Ottla | Apache Kafka {MAJOR}.1.1 |",
        "broker/x.py": f"structlog>=2{MAJOR}.{MAJOR}, Kafka {MAJOR}, address 127.{MAJOR}.0.1, since Kafka 0.11",
    }.items():
        assert not list(number(Source(path, text))), path
