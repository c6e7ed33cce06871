"""Java's `.properties` format: the same text gives the same keys and values as in Java."""

from __future__ import annotations

import pytest

from broker.config.properties import PropertiesError, Property, decode, parse_properties


def read(text: str) -> dict[str, str]:
    return {key: value for key, value, _ in parse_properties(text)}


@pytest.mark.parametrize(
    "line",
    ["key=value", "key:value", "key value", "key = value", "key : value", "key\tvalue", "  key=value", "key\f=\tvalue"],
)
def test_each_separator_ends_a_key(line: str) -> None:
    """`=`, `:` and blanks separate; blanks around them and before the key do not count."""
    assert read(line) == {"key": "value"}


def test_only_the_first_separator_counts() -> None:
    """A value may hold separators."""
    assert read("a==b\nc=:d\ne f=g\nh: i:j") == {"a": "=b", "c": ":d", "e": "f=g", "h": "i:j"}


def test_a_key_may_have_no_value() -> None:
    """A key alone is an empty value, and so is a separator without a key."""
    assert read("alone\nempty=\n=value") == {"alone": "", "empty": "", "": "value"}


def test_comments_and_blank_lines_are_skipped() -> None:
    """`#` and `!` begin a comment at the start of a line only, and a backslash there continues nothing."""
    assert read("# a=1\n\n   \n  ! b=2 \\\nc=3 # not a comment\nd=#4") == {"c": "3 # not a comment", "d": "#4"}


def test_a_backslash_continues_a_line() -> None:
    """The next line's leading blanks do not count, and a comment sign there is part of the value."""
    assert read("list=a,\\\n     b,\\\n  #c\nnext=1") == {"list": "a,b,#c", "next": "1"}


def test_an_even_number_of_backslashes_continues_nothing() -> None:
    r"""`\\` at the end of a line is a backslash."""
    assert read("path=C:\\\\data\\\\\nnext=1") == {"path": "C:\\data\\", "next": "1"}


def test_a_continuation_at_the_end_of_the_file_is_dropped() -> None:
    """Nothing is left to continue with."""
    assert read("a=1\\") == {"a": "1"}


def test_escapes() -> None:
    r"""`\t \n \r \f` and `\uXXXX` are characters; before anything else the backslash just leaves."""
    assert read(r"a\ b\=c\:d = \ x\ty\u00e9\q\#") == {"a b=c:d": " x\ty\xe9q#"}


def test_a_pair_of_surrogates_is_one_character() -> None:
    """Java writes characters beyond 16 bits as two escapes."""
    assert read(r"a=\ud83d\ude00") == {"a": "\U0001f600"}


def test_a_broken_unicode_escape_names_its_line() -> None:
    """Java refuses the whole file, too."""
    with pytest.raises(PropertiesError) as refused:
        read("a=1\nb=\\u12g4")
    assert refused.value.line == 2


def test_every_kind_of_line_end_counts_for_the_line_numbers() -> None:
    """Editors of three systems; other separators of Unicode are ordinary characters."""
    text = "a=1\r\nb=2\rc=x\u2028y\n\n# d\ne=\\\n5"
    expected = [Property("a", "1", 1), Property("b", "2", 2), Property("c", "x\u2028y", 3), Property("e", "5", 6)]
    assert list(parse_properties(text)) == expected


def test_repeated_keys_are_all_there_in_order() -> None:
    """The caller lets the last one win."""
    assert list(parse_properties("a=1\na=2")) == [Property("a", "1", 1), Property("a", "2", 2)]


def test_blanks_at_the_end_of_a_value_stay() -> None:
    """Trimming is the business of a value's type."""
    assert read("a=1 \t") == {"a": "1 \t"}


def test_bytes_are_read_as_utf_8_where_they_can_be() -> None:
    """Java's own encoding is the fallback, so no file is unreadable; a mark at the start is no part of a key."""
    assert decode("a=\xe9".encode()) == "a=\xe9"
    assert decode("a=\xe9".encode("latin-1")) == "a=\xe9"
    assert decode(b"\xef\xbb\xbfa=1") == "a=1"
