"""docs/invariants.md is true: each promise names a test that exists, and what code cites is on the page."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import pytest

from tools.tidy.source_tree import ROOT, python_sources

PAGE = "docs/invariants.md"
ROW = re.compile(r"^\| ([A-Z]\d+) \| (.+) \| `([\w/.]+)` `(\w+)` \|$", re.MULTILINE)
CITATION = re.compile(r"\b([A-Z])(\d+)(?:-([A-Z])?(\d+))?(?=:|,| in\s+docs/invariants\.md)")
SECTIONS = "PCMGKEB"


@cache
def page() -> str:
    return (ROOT / PAGE).read_text(encoding="utf-8")


def rows() -> list[tuple[str, str, str, str]]:
    """(number, promise, file, test) of each promise."""
    return ROW.findall(page())


def cited(text: str) -> set[str]:
    """The numbers that a text cites, ranges taken apart."""
    found = set()
    for section, first, other, last in CITATION.findall(text):
        if section in SECTIONS and (not other or other == section):
            found |= {f"{section}{number}" for number in range(int(first), int(last or first) + 1)}
    return found


def docstrings(text: str) -> str:
    return "\n".join(re.findall(r'"""(.*?)"""', text, flags=re.DOTALL))


def test_every_line_of_the_tables_is_a_promise() -> None:
    """Numbered in order within their section, without gaps."""
    numbers = [number for number, _, _, _ in rows()]
    assert len(numbers) == len([line for line in page().splitlines() if re.match(r"\| [A-Z]\d", line)])
    for section in SECTIONS:
        mine = [int(number[1:]) for number in numbers if number[0] == section]
        assert mine == list(range(1, len(mine) + 1)), section


@pytest.mark.parametrize(("number", "promise", "file", "test"), rows(), ids=[row[0] for row in rows()])
def test_a_promise_is_kept_by_a_test_that_exists(number: str, promise: str, file: str, test: str) -> None:
    """One sentence, and a test of that name in that file."""
    assert promise.endswith(".") and ". " not in promise, "a promise is one sentence"
    text = (ROOT / file).read_text(encoding="utf-8")
    found = re.search(rf'def {test}\([^"]*?:\n\s+"""(.*?)"""', text, re.DOTALL)
    assert found, f"{file} has no {test} with a docstring"
    assert re.match(rf"{number}\b", found[1]), f"the docstring of {test} in {file} begins with {number}"


def test_what_is_cited_is_on_the_page() -> None:
    """A number in a docstring is one of the page's."""
    known = {number for number, _, _, _ in rows()}
    for source in python_sources():
        unknown = cited(docstrings(source.text)) - known
        assert not unknown, f"{source.path} cites {sorted(unknown)}, which {PAGE} does not have"


def test_links_between_the_pages_lead_somewhere() -> None:
    """Every relative link of every page below docs."""
    for path in sorted(Path(ROOT, "docs").rglob("*.md")):
        for link in re.findall(r"\]\(([^)#:]+)\)", path.read_text(encoding="utf-8")):
            assert (path.parent / link).exists(), f"{path.name} links to {link}"


def test_files_that_the_pages_name_exist() -> None:
    """`broker/x.py` in backticks is a file, in every page below docs."""
    for path in sorted(Path(ROOT, "docs").rglob("*.md")):
        text = path.read_text(encoding="utf-8")
        for name in re.findall(r"`((?:kproto|storage|broker|tools|ottla|compat_tests|docs)/[\w/.]+\.(?:py|md))`", text):
            if name.rpartition("/")[2].removesuffix(".py") not in ("x", "test_x"):
                assert (ROOT / name).exists(), f"{path.name} names {name}"
