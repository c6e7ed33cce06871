"""Names that say nothing, files one searches rather than reads, and places that exist on one machine only.

A thing without a name is thought about until it has one: nothing is called after the drawer it was put into.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

import pytest

from tools.tidy.source_tree import Source, python_sources, text_sources

DRAWERS = {"util", "utils", "utility", "utilities", "helper", "helpers", "manager", "managers", "misc"}
# Beside these a path must not be called `common`, which in a function's name can be a plain adjective.
PATH_DRAWERS = {*DRAWERS, "common"}
LONGEST_FILE = 700

# Folders of a machine, and hosts of registries: neither means anything to a reader elsewhere. Kafka's own defaults
# under the temporary folder are facts about Kafka, and paths in a container are the image's.
ELSEWHERE = re.compile(
    r"(?<![\w.])/(?:(?:work|root|farm|Users/\w+|home/(?!ottla/)\w+)/|tmp/(?!kafka-|kraft-|ottla\.ready|testcontainers_))|"
    r"\b(?:pypi\.org|pythonhosted\.org|registry\.npmjs|crates\.io|repo1?\.maven)\b"
)


def words(name: str) -> set[str]:
    """The lower-case words of a snake_case, kebab-case or CamelCase name."""
    return {word.lower() for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])", name)}


def drawers(source: Source) -> Iterator[str]:
    """Findings: files, classes and functions named after a drawer."""
    advice = "name it by what it does (docs/style.md)"
    for part in source.path.removesuffix(".py").split("/"):
        if words(part) & PATH_DRAWERS:
            yield source.at(1, f"the path has {part!r}; {advice}.")
    for node in ast.walk(source.tree):
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and words(node.name) & DRAWERS:
            yield source.at(node.lineno, f"{node.name!r} says nothing; {advice}.")


def length(source: Source) -> Iterator[str]:
    """Findings: files too long to be read in one go."""
    lines = source.text.count("\n")
    if lines > LONGEST_FILE:
        yield source.at(lines, f"{lines} lines; above {LONGEST_FILE} a file is more than one idea: split it by ideas.")


def opening(source: Source) -> Iterator[str]:
    """Findings: modules that do not begin by saying what they are."""
    if source.text.strip() and not ast.get_docstring(source.tree):
        yield source.at(1, "no docstring on top; say the rule, the format and the reason (docs/style.md).")


def elsewhere(source: Source) -> Iterator[str]:
    """Findings: paths of one machine, hosts of a registry."""
    for number, line in enumerate(source.text.splitlines(), 1):
        if match := ELSEWHERE.search(line):
            yield source.at(number, f"{match.group()!r} exists on one machine or network only; leave it out.")


@pytest.mark.parametrize("rule", [drawers, length, opening])
def test_the_tree_keeps_its_names(rule: object) -> None:
    """Every file is of one idea, says so on top, and carries a name that means something."""
    assert callable(rule)
    findings = [finding for source in python_sources() for finding in rule(source)]
    assert not findings, "\n" + "\n".join(findings)


def test_nothing_names_a_machine() -> None:
    """No file of the project has a path or a host in it that holds in one place only."""
    findings = [finding for source in text_sources() for finding in elsewhere(source)]
    assert not findings, "\n" + "\n".join(findings)


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("storage/disk_utils.py", ""),
        ("broker/common/x.py", ""),
        ("broker/groups.py", "class GroupManager:\n    pass"),
        ("broker/groups.py", "def parse_helper():\n    pass"),
    ],
)
def test_the_name_check_finds_a_planted_violation(path: str, text: str) -> None:
    """A drawer is found in a file's, a folder's, a class's and a function's name."""
    assert list(drawers(Source(path, text)))


def test_the_other_checks_find_a_planted_violation() -> None:
    """A long file, a silent one and a machine's path are found; ordinary ones are not."""
    assert list(length(Source("a.py", "\n" * 701)))
    assert not list(length(Source("a.py", "\n" * 700)))
    assert list(opening(Source("a.py", "import os\n")))
    assert not list(opening(Source("a.py", '"""What it is."""\n')))
    assert list(elsewhere(Source("a.md", "cd /" + "root/project")))
    assert list(elsewhere(Source("a.md", "see /" + "tmp/abc/log")))
    assert not list(elsewhere(Source("a.md", "log.dirs=/tmp/kafka-logs, docs/root/x, ../work/x")))
