"""`ssl.principal.mapping.rules`: from the subject of a client's certificate to the name of its principal (KIP-371).

    RULE:^CN=(.*?),OU=ServiceUsers.*$/$1/,RULE:^CN=(.*?),OU=(.*?)$/$1@$2/L,DEFAULT

Rules are tried in order; the first whose pattern matches the whole name counts. Its replacement is written with Java's
`replaceAll`: `$1` is what the first group matched, a backslash takes away a sign's meaning, and `/L` or `/U` behind
it make the result lower or upper case. DEFAULT, the value of the key if it has none, takes the name as it is. A
slash inside a pattern is written `\\/`. A name that no rule matches is refused: the client is not let in.

A name comes from outside, so patterns are RE2's here (as in `broker/coordinators/groups/expressions.py`), which takes
linear time. RE2 knows no look-ahead and no back-references in patterns; a rule that has them stops the start.

Source: `SslPrincipalMapper`, and a running Java for `replaceAll`: after a match as long as the name, an empty one at
its end is replaced too (`RULE:(.*)/<$1>/` makes `<x><>` of `x`). `^` and `$` in a pattern keep that from happening.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

_RULE: Final = re.compile(r"DEFAULT|RULE:((?:\\.|[^\\/])*)/((?:\\.|[^\\/])*)/([LU]?)", re.ASCII | re.DOTALL)
_BETWEEN: Final = re.compile(r"\s*,\s*", re.ASCII)
MAX_LENGTH: Final = 16 * 1024
"""Characters of all rules: far more than any installation has, and little to compile."""


class BadRules(ValueError):
    """The rules cannot be read. The message completes the sentence "ssl.principal.mapping.rules: ..."."""


class NoRuleApplies(Exception):
    """No rule matches this name."""


class Rule(NamedTuple):
    """One rule; `pattern` is None for DEFAULT. Parts of the replacement are texts, and numbers of groups."""

    pattern: Any
    replacement: tuple[str | int, ...] = ()
    case: str = ""

    def apply(self, name: str) -> str | None:
        """What the rule makes of the name; None if it does not match the whole of it."""
        if self.pattern is None:
            return name
        if self.pattern.fullmatch(name) is None:
            return None
        made, at = [], 0
        for found in self.pattern.finditer(name):
            made.append(name[at : found.start()])
            made += [part if isinstance(part, str) else found.group(part) or "" for part in self.replacement]
            at = found.end()
        text = "".join(made) + name[at:]
        return text.lower() if self.case == "L" else text.upper() if self.case == "U" else text


class PrincipalMapping:
    """The rules of one listener."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        self._rules = tuple(rules)

    def name_of(self, distinguished_name: str) -> str:
        """The name of the principal. Raises NoRuleApplies."""
        for rule in self._rules:
            if (name := rule.apply(distinguished_name)) is not None:
                return name
        raise NoRuleApplies(f"no rule of ssl.principal.mapping.rules matches {distinguished_name}")


def parse_rules(text: str) -> PrincipalMapping:
    """The rules written in `text`. Raises BadRules."""
    if len(text) > MAX_LENGTH:
        raise BadRules(f"{len(text)} characters are more than {MAX_LENGTH}")
    rest, rules = text.strip(), list[Rule]()
    while rest:
        found = _RULE.match(rest)
        if found is None:
            raise BadRules(f"{rest} does not begin with DEFAULT or RULE:pattern/replacement/ and a case, L or U")
        rules.append(Rule(None) if found[1] is None else _rule(*found.groups()))
        behind = rest[found.end() :]
        if not behind:
            break
        comma = _BETWEEN.match(behind)
        if comma is None:
            raise BadRules(f"{found[0]} is followed by {behind} instead of a comma")
        rest = behind[comma.end() :]
    return PrincipalMapping(rules or [Rule(None)])


def _rule(pattern: str, replacement: str, case: str) -> Rule:
    import re2

    options = re2.Options()
    options.log_errors = False
    options.max_mem = 1 << 20
    try:
        compiled = re2.compile(pattern, options)
    except re2.error as error:
        words = error.args[0] if error.args else ""
        reason = words.decode(errors="replace") if isinstance(words, bytes) else str(words)
        raise BadRules(f"the pattern {pattern} cannot be used: {reason}") from None
    return Rule(compiled, tuple(_parts(replacement, compiled.groups)), case)


def _parts(replacement: str, groups: int) -> list[str | int]:
    """A replacement as texts and numbers of groups. As many digits belong to a number as make one that there is; a
    number that is none stays as it is written."""
    parts: list[str | int] = []
    at = 0
    while at < len(replacement):
        sign = replacement[at]
        if sign == "\\" and at + 1 < len(replacement):
            parts.append(replacement[at + 1])
            at += 2
            continue
        digits = re.match(r"\$([0-9]+)", replacement[at:], re.ASCII)
        if digits is None or int(digits[1][0]) > groups:
            parts.append(sign)
            at += 1
            continue
        length = 1
        while length < len(digits[1]) and int(digits[1][: length + 1]) <= groups:
            length += 1
        parts.append(int(digits[1][:length]))
        at += 1 + length
    return parts
