"""What pages and docstrings call by its path is there: a file that moves takes its mentions along.

A mention is a path of a module or a page in backquotes, as much of it as names the file (`runtime.py`,
`groups/offsets.py`). CHANGELOG.md and `docs/decisions` are left out, which say what was when.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache

from tools.tidy.source_tree import Source, text_sources

MENTION = re.compile(r"`([\w./-]+\.(?:py|md))`")
EXAMPLES = frozenset({"example.py", "x.py", "test_x.py"})
"""What pages call a file that a user has, or that is to be added."""


@cache
def known() -> frozenset[str]:
    """Every file of the tree, and each end of its path that begins with the name of a folder or file."""
    paths = [tuple(source.path.split("/")) for source in text_sources()]
    return frozenset("/".join(parts[first:]) for parts in paths for first in range(len(parts)))


def missing(source: Source) -> Iterator[str]:
    """Findings: mentions of files that are not there."""
    if source.path == "CHANGELOG.md" or source.path.startswith(("docs/decisions/", "tools/tidy/")):
        return
    for line, text in enumerate(source.text.splitlines(), 1):
        for mention in MENTION.findall(text):
            path = mention.lstrip("./")
            if path not in known() and path.rpartition("/")[2] not in EXAMPLES:
                yield source.at(line, f"there is no {mention}; name the file as it is called now.")


def test_files_that_are_mentioned_are_there() -> None:
    """In pages, docstrings and comments."""
    findings = [finding for source in text_sources() for finding in missing(source)]
    assert not findings, "\n" + "\n".join(findings)


def test_the_check_finds_a_planted_violation() -> None:
    """A file that has moved, by its whole path or a part of it; not one that is there."""
    for text in ("see `broker/config.py`", "(`rebalance.py`)"):
        assert list(missing(Source("broker/x.py", text))), text
    for text in ("see `broker/server.py`", "(`test_pages.py`)", "`broker/handlers/x.py`"):
        assert not list(missing(Source("docs/tour.md", text))), text
