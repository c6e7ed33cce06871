"""Bytes as people read them, and drawings of numbers."""

from __future__ import annotations

import json

import pytest

from tools.page.pictures import bars, course, quantity, share, size
from tools.page.values import LINE_CHARACTERS, SHOWN_BYTES, SHOWN_CHARACTERS, shown


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (None, "null"),
        (b"", "empty"),
        (b"hello", "text"),
        ("grüße\n".encode(), "text"),
        (b'{"a": 1}', "JSON"),
        (b" [1]", "JSON"),
        (b"{no", "text"),
        (b"[" * 100_000, "text"),
        (b'"text"', "text"),
        (b"\xff\xfe", "bytes"),
        (b"a\x1b[31m", "bytes"),
        (b"\0\0\0\0\x07rest", "schema 7"),
        (b"\0\0\0\0\x07", "bytes"),
        ("\u202ereversed".encode(), "bytes"),
    ],
)
def test_what_bytes_are_taken_for(data: bytes | None, kind: str) -> None:
    """Text has no control characters, not even those that turn the direction; JSON is an object or an array."""
    assert shown(data).kind == kind


def test_json_keeps_its_order_and_its_letters() -> None:
    """With an indent, and not as escapes."""
    assert shown('{"z": "ü", "a": [1]}'.encode()).full == '{\n  "z": "ü",\n  "a": [\n    1\n  ]\n}'


def test_what_is_shown_is_bounded() -> None:
    """A line, and all of it; a value that is cut says so."""
    long = shown(json.dumps(["x" * 100] * 5000).encode())
    assert len(long.line) <= LINE_CHARACTERS + 1
    assert len(long.full) == SHOWN_CHARACTERS
    assert long.is_cut
    assert len(shown(b"\xff" * 100_000).full) < 4 * SHOWN_BYTES
    assert shown(b"\xff" * 100_000).is_cut
    assert not shown(b"short").is_cut


def test_a_course_says_in_words_what_it_draws() -> None:
    """Its title has the number now and the largest; names in it are text."""
    drawn = course([(0.0, 1.0), (60.0, 1500.0), (120.0, 3.0)], "lag of <b>")
    assert "lag of &lt;b&gt;: now 3, at most 1.5 k in the last 2 min" in drawn
    assert drawn.count("<polyline") == 1
    assert "style" not in drawn
    assert "not enough" in course([(0.0, 1.0)], "x")
    assert "nan" not in course([(0.0, 0.0), (0.0, 0.0)], "nothing at all")


def test_bars_are_as_many_as_there_are_numbers() -> None:
    """Each with its name; none is lost, and none is wider than a bar should be."""
    drawn = bars([("p0", 0.0), ("p1", 2.0)], "records")
    assert drawn.count("<rect") == 2
    assert "p1: 2" in drawn
    assert "nan" not in bars([], "nothing") + bars([("p0", 0.0)], "nothing") + share(1, 0, "nothing")


def test_quantities_are_short() -> None:
    """Four figures at most, and a unit."""
    assert [quantity(number) for number in (0, 950, 1200, 3.25, 2_500_000)] == ["0", "950", "1.2 k", "3.2", "2.5 M"]
    assert [size(number) for number in (0, 1023, 1024, 3 << 20)] == ["0 B", "1023 B", "1.0 KiB", "3.0 MiB"]
