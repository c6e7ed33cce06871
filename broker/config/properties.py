r"""Java's `.properties` format, read the way Java reads it, with the line of each key kept for error messages.

| in the file | means |
|---|---|
| `key=value`, `key : value`, `key value` | the first unescaped `=`, `:` or blank ends the key, blanks around it go |
| `# ...`, `! ...` | a comment, only at the start of a line; a backslash at its end continues nothing |
| a line that ends in an odd number of backslashes | goes on in the next one, whose leading blanks do not count |
| `\t` `\n` `\r` `\f` `\u00e9` | the character; a backslash before any other character just leaves |
| a key twice | the last one counts |

Blanks are space, tab and form feed; lines end at `\n`, `\r` or `\r\n`. Blanks at the end of a value belong to it
(configs are trimmed later, by type). Java takes the bytes for ISO 8859-1; `decode` first tries UTF-8, because that is
what today's editors write, and no text that is both reads differently unless it was meant as UTF-8.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final, NamedTuple

_LINE_END: Final = re.compile(r"\r\n|\r|\n")
_BLANKS: Final = " \t\f"
_ESCAPES: Final = {"t": "\t", "n": "\n", "r": "\r", "f": "\f"}


class Property(NamedTuple):
    """One key with its value, and the number of the line it starts on."""

    key: str
    value: str
    line: int


class PropertiesError(ValueError):
    r"""The text cannot be read as properties: a `\u` without four hexadecimal digits. `line` is its number."""

    def __init__(self, line: int, complaint: str) -> None:
        super().__init__(complaint)
        self.line = line


def decode(data: bytes) -> str:
    """The text of a file's bytes; never fails."""
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("latin-1")


def parse_properties(text: str) -> Iterator[Property]:
    """The keys of `text` in order, repeated ones repeatedly. Raises PropertiesError."""
    for number, line in _logical_lines(text):
        end = _end_of_key(line)
        start = end
        while start < len(line) and line[start] in _BLANKS:
            start += 1
        if start < len(line) and line[start] in "=:":
            start += 1
            while start < len(line) and line[start] in _BLANKS:
                start += 1
        yield Property(_unescape(line[:end], number), _unescape(line[start:], number), number)


def unescaped(value: str) -> str:
    r"""A value without its escapes, as in a file; a `\u` that none can read stays as it is."""
    try:
        return _unescape(value, 0)
    except PropertiesError:
        return value


def _logical_lines(text: str) -> Iterator[tuple[int, str]]:
    """Lines with their continuations joined, comments and blank ones left out, each with the number of its first."""
    lines = _LINE_END.split(text)
    at = 0
    while at < len(lines):
        first, line = at, lines[at].lstrip(_BLANKS)
        at += 1
        if not line or line[0] in "#!":
            continue
        while _continues(line):
            line = line[:-1]
            if at == len(lines):
                break
            line += lines[at].lstrip(_BLANKS)
            at += 1
        if line:
            yield first + 1, line


def _continues(line: str) -> bool:
    return (len(line) - len(line.rstrip("\\"))) % 2 == 1


def _end_of_key(line: str) -> int:
    at = 0
    while at < len(line) and line[at] not in "=:" and line[at] not in _BLANKS:
        at += 2 if line[at] == "\\" else 1
    return min(at, len(line))


def _unescape(text: str, line: int) -> str:
    if "\\" not in text:
        return text
    out: list[str] = []
    at = 0
    while at < len(text):
        char = text[at]
        at += 1
        if char == "\\" and at < len(text):
            char = text[at]
            at += 1
            if char == "u":
                digits = text[at : at + 4]
                if not re.fullmatch("[0-9a-fA-F]{4}", digits):
                    raise PropertiesError(line, "\\u is not followed by four hexadecimal digits")
                char = chr(int(digits, 16))
                at += 4
            else:
                char = _ESCAPES.get(char, char)
        out.append(char)
    # Characters beyond 16 bits are written as two escapes, Java's way.
    return "".join(out).encode("utf-16", "surrogatepass").decode("utf-16", "replace")
