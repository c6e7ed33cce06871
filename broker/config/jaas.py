r"""The notation of `sasl.jaas.config`: a login module's class, a flag, options, and a semicolon.

    org.apache.kafka.common.security.plain.PlainLoginModule required username="admin" password="x" user_bob="y";

Values stand in double or single quotes, in which a backslash escapes as in Java (`\n`, `\"`, `\101`), or bare if they
are words. Comments are those of Java. A text has exactly one module. What is wrong with a text is said without showing
any of it: it holds passwords, and not always where they belong.

Source: Kafka's JaasConfig, which reads with Java's StreamTokenizer.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

FLAGS: Final = ("required", "requisite", "sufficient", "optional")

_TOKEN: Final = re.compile(
    r"\s+|//[^\n]*|/\*.*?\*/"
    r"|(?P<word>[A-Za-z0-9_$.:@+\-]+)"
    r"|\"(?P<double>(?:[^\"\\\n]|\\.)*)\"|'(?P<single>(?:[^'\\\n]|\\.)*)'"
    r"|(?P<mark>[=;])",
    re.DOTALL,
)
_ESCAPE: Final = re.compile(r"\\([0-3]?[0-7]{1,2}|.)", re.DOTALL)
_ESCAPED: Final = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}


class JaasError(ValueError):
    """A text is no login module; the message says why, and shows nothing secret."""


@dataclass(frozen=True, slots=True)
class LoginModule:
    """A module's class and its options, which its text does not show."""

    name: str
    options: Mapping[str, str] = field(repr=False)


def parse_jaas(text: str) -> LoginModule:
    """The login module in `text`. Raises JaasError."""
    tokens = _tokens(text)
    name, flag = next(tokens, None), next(tokens, None)
    if name is None or name in ("=", ";"):
        raise JaasError("it names no login module")
    if flag is None or flag.lower() not in FLAGS:
        raise JaasError(f"behind the class of its login module one of {', '.join(FLAGS)} is expected")
    options: dict[str, str] = {}
    for key in tokens:
        if key == ";":
            if next(tokens, None) is not None:
                raise JaasError("it has more than one login module, or something behind the semicolon")
            return LoginModule(name, options)
        equals, value = next(tokens, None), next(tokens, None)
        if key == "=" or equals != "=" or value is None or value in ("=", ";"):
            raise JaasError("an option is not of the form name=value")
        options[key] = value.removeprefix(_QUOTED)
    raise JaasError("it does not end with a semicolon")


_QUOTED: Final = "\0"
"""Before a token that stood in quotes, so that a password may be a semicolon."""


def _tokens(text: str) -> Iterator[str]:
    at = 0
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            raise JaasError(f"the character at position {at + 1} belongs to no word and no quoted value")
        at = match.end()
        if match.lastgroup in ("double", "single"):
            yield _QUOTED + _ESCAPE.sub(_unescape, match[match.lastgroup])
        elif match.lastgroup is not None:
            yield match[match.lastgroup]


def _unescape(match: re.Match[str]) -> str:
    letter: str = match[1]
    return chr(int(letter, 8)) if letter[0] in "01234567" else _ESCAPED.get(letter, letter)
