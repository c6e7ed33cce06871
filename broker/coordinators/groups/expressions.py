"""Regular expressions that clients send: which topics, or which transactional ids, they match.

A consumer of the new protocol may subscribe by an expression, and the broker finds the topics (KIP-848);
ListTransactions filters ids by one (KIP-1152). Kafka uses RE2 for both, in Java (re2j), since an expression comes from
outside: RE2 takes time in proportion to the text, whatever the expression, and has no backtracking to abuse. Here it is
RE2 itself (`google-re2`), imported when the first expression comes.

The rules, Kafka's:

* A name is matched as a whole, as if `^(...)$` stood around the expression.
* An expression that cannot be compiled is refused. One that has been accepted before and cannot be compiled now (it
  comes from a log, which another version may have written) matches nothing.
* `__internal` topics match like any others.

re2j and RE2 agree on the language, up to corners. `\\C` (one byte) is RE2's alone and refused here, as re2j does; of
two groups with the same name, which re2j refuses, RE2 takes no notice. An expression that would need more memory than
`MAX_BYTES` is refused; re2j has no such bound. Half a surrogate pair is no text, and refused.

Everything here is pure and may run in any thread. A name costs about 10 µs for each expression, and the interpreter's
lock is held meanwhile: who has many matches them in a thread, or in pieces.
"""

from __future__ import annotations

from collections.abc import Collection
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_BYTES: Final = 256 * 1024
"""Memory of one compiled expression, of which a third is for its program: some thousand instructions. The default of
RE2 is 8 MiB, of which ten thousand members could bring as many."""

MAX_LENGTH: Final = 16 * 1024
"""Bytes of an expression. Beyond, RE2 would work for milliseconds to find out that its program is too large."""


class InvalidExpression(ValueError):
    """This is no regular expression. Its text is RE2's own words about it."""


def check_expression(pattern: str) -> None:
    """Raise InvalidExpression if the pattern cannot be compiled."""
    _compiled(pattern)


def matcher(pattern: str) -> Callable[[str], bool]:
    """What says whether a whole text matches. Raises InvalidExpression."""
    compiled = _compiled(pattern)

    def matches(text: str) -> bool:
        return compiled.fullmatch(text.encode("utf-8", "surrogatepass")) is not None

    return matches


def resolve(patterns: Collection[str], names: Collection[str]) -> dict[str, frozenset[str]]:
    """The names that each pattern matches; none for a pattern that cannot be compiled."""
    encoded = [(name, name.encode("utf-8", "surrogatepass")) for name in names]
    resolved = {}
    for pattern in patterns:
        try:
            fullmatch = _compiled(pattern).fullmatch
        except InvalidExpression:
            resolved[pattern] = frozenset[str]()
        else:
            resolved[pattern] = frozenset(name for name, text in encoded if fullmatch(text) is not None)
    return resolved


@lru_cache(64)
def _compiled(pattern: str) -> Any:
    import re2

    try:
        written = pattern.encode()
    except UnicodeEncodeError:
        raise InvalidExpression("invalid UTF-8") from None
    if len(written) > MAX_LENGTH:
        raise InvalidExpression("pattern too large")
    options = re2.Options()
    options.max_mem = MAX_BYTES
    options.log_errors = False
    try:
        compiled = re2.compile(written, options)
    except re2.error as error:
        why = error.args[0] if error.args else ""
        raise InvalidExpression(why.decode("utf-8", "replace") if isinstance(why, bytes) else str(why)) from None
    if _matches_bytes(pattern):
        raise InvalidExpression("invalid escape sequence: \\C")
    return compiled


def _matches_bytes(pattern: str) -> bool:
    r"""Whether `\C` stands in it, outside of `\Q...\E`."""
    place = 0
    while (place := pattern.find("\\", place)) >= 0:
        if pattern[place + 1 : place + 2] == "C":
            return True
        if pattern[place + 1 : place + 2] == "Q":
            place = pattern.find("\\E", place + 2)
            if place < 0:
                return False
        place += 2
    return False
