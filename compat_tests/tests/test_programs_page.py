"""The tables of docs/security.md are the ACLs with which the programs are tried."""

from __future__ import annotations

from pathlib import Path

from compat_tests.programs.acls import CONNECT, MIRROR_SOURCE, MIRROR_TARGET, MORE_AT_SOURCE, MORE_AT_TARGET

PAGE = Path(__file__).parents[2] / "docs" / "security.md"


def test_the_page_has_the_acls_that_are_tried() -> None:
    """Connect's, then MirrorMaker's at the source, at the target, and with its defaults; no other, in that order."""
    _, _, rest = PAGE.read_text(encoding="utf-8").partition("### Connect and MirrorMaker\n")
    section = rest.partition("\n### ")[0]
    rows = [line for line in section.splitlines() if line.startswith("| `")]
    mirrors = (*MIRROR_SOURCE, *MIRROR_TARGET, *MORE_AT_SOURCE, *MORE_AT_TARGET)
    assert rows == [acl.row() for acl in (*CONNECT, *mirrors)]
