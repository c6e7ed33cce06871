"""What a config key is: its name, the type of its value, what values are allowed, and who may change it when.

Configs travel as text: in a `.properties` file, in AlterConfigs, in ConfigRecords of `__cluster_metadata`. A
`ConfigKey` turns text into a value (`parse`) and a value back into the text that DescribeConfigs shows (`text_of`),
with the rules of Kafka's `ConfigDef`: numbers are trimmed, may carry a sign and must fit their type; booleans ignore
case; lists are split at commas, their items trimmed, repetitions dropped, none empty. A value that does not fit raises
`BadValue`, whose text completes the sentence "<value> is not a value of <key>: ...".

| type | in Python | example |
|---|---|---|
| BOOLEAN | bool | `true` |
| SHORT, INT, LONG | int of 16, 32, 64 bits | `-1` |
| DOUBLE | float | `0.5` |
| STRING, CLASS, PASSWORD | str | `zstd` |
| LIST | tuple of str | `compact,delete` |

Every type also has None: no value. It is a default only; text always yields a value.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from enum import IntEnum
from typing import Any, Final, NamedTuple, TypeAlias

Value: TypeAlias = bool | int | float | str | tuple[str, ...] | None


class ConfigType(IntEnum):
    """Types with the numbers that DescribeConfigs uses for them (KIP-569)."""

    UNKNOWN = 0
    BOOLEAN = 1
    STRING = 2
    INT = 3
    SHORT = 4
    LONG = 5
    DOUBLE = 6
    LIST = 7
    CLASS = 8
    PASSWORD = 9


class Update(IntEnum):
    """Who may change a key of a running broker (KIP-226)."""

    READ_ONLY = 0
    """The file decides at the start, and no request changes it."""
    PER_BROKER = 1
    """One broker at a time."""
    CLUSTER_WIDE = 2
    """One broker, or all of them by the default resource."""


class Effect(IntEnum):
    """What a key does in Ottla."""

    NOTHING = 0
    """Accepted for the sake of existing files and tools: what it steers in Kafka does not exist here."""
    LATER = 1
    """Belongs to a part of Kafka that Ottla does not serve yet."""
    ACTS = 2
    """Does what its documentation says."""
    REFUSED = 3
    """Would refuse, admit or move something, and nothing here would: only values that change nothing are taken.

    Its `check` is `nothing_but(...)`. Ignoring such a key would be worse than not starting: an operator who names an
    authorizer would believe that it guards the data.
    """


# The words of the tables, so that a row fits a line.
BOOLEAN: Final = ConfigType.BOOLEAN
STRING: Final = ConfigType.STRING
INT: Final = ConfigType.INT
SHORT: Final = ConfigType.SHORT
LONG: Final = ConfigType.LONG
DOUBLE: Final = ConfigType.DOUBLE
LIST: Final = ConfigType.LIST
CLASS: Final = ConfigType.CLASS
PASSWORD: Final = ConfigType.PASSWORD
READ_ONLY: Final = Update.READ_ONLY
PER_BROKER: Final = Update.PER_BROKER
CLUSTER_WIDE: Final = Update.CLUSTER_WIDE
NOTHING: Final = Effect.NOTHING
LATER: Final = Effect.LATER
ACTS: Final = Effect.ACTS
REFUSED: Final = Effect.REFUSED


class BadValue(ValueError):
    """A text is no value of its key; the message says what would be."""


Check: TypeAlias = Callable[[Any], str | None]
"""Given a value of the right type, what is wrong with it, or None."""


class ConfigKey(NamedTuple):
    """One key.

    `default` is text as in a file, or None for no value. DescribeConfigs hides `internal` keys unless they are set.
    """

    name: str
    type: ConfigType
    default: str | None
    check: Check | None = None
    update: Update = Update.READ_ONLY
    effect: Effect = Effect.NOTHING
    internal: bool = False

    @property
    def sensitive(self) -> bool:
        """True when the value must never leave the broker."""
        return self.type is ConfigType.PASSWORD

    def parse(self, text: str) -> Value:
        """The value that `text` stands for. Raises BadValue."""
        value = _PARSERS[self.type](trimmed(text))
        if self.check is not None and (complaint := self.check(value)) is not None:
            raise BadValue(complaint)
        return value

    def default_value(self) -> Value:
        """The default as a value."""
        return None if self.default is None else self.parse(self.default)

    def normalised(self, text: str) -> str:
        """`text` as DescribeConfigs shows it: `TRUE` as `true`, ` 77 ` as `77`. Raises BadValue."""
        return text_of(self.parse(text))


def text_of(value: Value) -> str:
    """The text of a value other than None, as Kafka writes it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, tuple):
        return ",".join(value)
    if isinstance(value, float):
        return _java_double(value)
    assert value is not None, "no value has no text"
    return str(value)


# ---------------------------------------------------------------------------------------------------------------------
# Text to value

_JAVA_WHITESPACE: Final = "".join(map(chr, range(33)))
"""What Java's `trim` removes."""
_WHOLE_NUMBER: Final = re.compile(r"[+-]?[0-9]+", re.ASCII)
# Written such that there is one way to match only: a value may be long, and its sender may mean harm.
_DECIMAL: Final = re.compile(r"[+-]?(NaN|Infinity|([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?[fFdD]?)", re.ASCII)
_BLANKS: Final = " \t\n\v\f\r"
"""What a Java pattern takes for blanks."""


def trimmed(text: str) -> str:
    """`text` as Java's `trim` leaves it."""
    return text.strip(_JAVA_WHITESPACE)


def _boolean(text: str) -> bool:
    word = text.lower()
    if word not in ("true", "false"):
        raise BadValue("it must be true or false")
    return word == "true"


def _whole_number(bits: int) -> Callable[[str], int]:
    low, high = -(1 << bits - 1), (1 << bits - 1) - 1

    def parse(text: str) -> int:
        # The length is looked at first: converting a million digits takes seconds.
        if not _WHOLE_NUMBER.fullmatch(text) or len(text) > 64 or not low <= (value := int(text)) <= high:
            raise BadValue(f"it must be a whole number from {low} to {high}")
        return value

    return parse


def _decimal(text: str) -> float:
    if not _DECIMAL.fullmatch(text):
        raise BadValue("it must be a number")
    return float(text.rstrip("fFdD") if text[-1] in "fFdD" else text)


def split_list(text: str) -> tuple[str, ...]:
    """The items of a list's text; none for an empty text, empty items where commas touch."""
    return tuple(item.strip(_BLANKS) for item in text.split(",")) if text else ()


def _items(text: str) -> tuple[str, ...]:
    items = tuple(dict.fromkeys(split_list(text)))
    if "" in items:
        raise BadValue("no item of the list may be empty")
    return items


_PARSERS: Final[dict[ConfigType, Callable[[str], Value]]] = {
    ConfigType.BOOLEAN: _boolean,
    ConfigType.STRING: str,
    ConfigType.INT: _whole_number(32),
    ConfigType.SHORT: _whole_number(16),
    ConfigType.LONG: _whole_number(64),
    ConfigType.DOUBLE: _decimal,
    ConfigType.LIST: _items,
    ConfigType.CLASS: str,
    ConfigType.PASSWORD: str,
}


def _java_double(value: float) -> str:
    """A double as Java prints it: plain between 0.001 and 10,000,000, else with one digit before the point and an E."""
    if value != value:
        return "NaN"
    if value in (float("inf"), float("-inf")):
        return "Infinity" if value > 0 else "-Infinity"
    if value == 0 or 1e-3 <= abs(value) < 1e7:
        return repr(float(value))
    mantissa, _, exponent = f"{value!r}".partition("e")
    if not exponent:
        digits = mantissa.lstrip("-").replace(".", "").strip("0") or "0"
        power = int(f"{value:e}".partition("e")[2])
        mantissa, exponent = ("-" if value < 0 else "") + digits[0] + "." + (digits[1:] or "0"), str(power)
    if "." not in mantissa:
        mantissa += ".0"
    return f"{mantissa}E{int(exponent)}"


# ---------------------------------------------------------------------------------------------------------------------
# Checks


def at_least(low: float) -> Check:
    """Numbers from `low` up."""

    def check(value: float) -> str | None:
        return f"it must be at least {low}" if value < low else None

    return check


def between(low: float, high: float) -> Check:
    """Numbers from `low` to `high`, both included."""

    def check(value: float) -> str | None:
        return f"it must be from {low} to {high}" if value < low or value > high else None

    return check


def one_of(*words: str) -> Check:
    """One of these words, written exactly so."""

    def check(value: str) -> str | None:
        return f"it must be one of {', '.join(words)}" if value not in words else None

    return check


def one_of_any_case(*words: str) -> Check:
    """One of these words, however capitalised."""

    def check(value: str) -> str | None:
        return f"it must be one of {', '.join(words)}" if value.upper() not in map(str.upper, words) else None

    return check


def items_of(*words: str, may_be_empty: bool = True) -> Check:
    """A list of these words; of any words if none are named."""

    def check(value: tuple[str, ...]) -> str | None:
        if not value and not may_be_empty:
            return "it must name at least one"
        if words and not set(value) <= set(words):
            return f"its items must be among {', '.join(words)}"
        return None

    return check


SOME_ITEMS: Final = items_of(may_be_empty=False)
"""A list of one item or more."""


def not_empty(value: str) -> str | None:
    """Any text but the empty one."""
    return None if value else "it must not be empty"


def gzip_level(value: int) -> str | None:
    """A level of gzip: 1 to 9, or -1 for the library's own choice."""
    return None if value == -1 or 1 <= value <= 9 else "it must be from 1 to 9, or -1"


def nothing_but(*harmless: Any, because: str) -> Check:
    """No value but no text, no items, and those that are `harmless`; `because` says what would be missing."""

    def check(value: Any) -> str | None:
        return None if value in ("", (), *harmless) else because

    return check


def principals(value: str) -> str | None:
    """Principals such as `User:alice`, separated by semicolons."""
    for principal in filter(None, map(str.strip, value.split(";"))):
        if ":" not in principal:
            return f"{principal!r} is not a principal's kind, a colon and its name, such as User:alice"
    return None


_REPLICA: Final = re.compile(r"[0-9]+:[0-9]+", re.ASCII)


def throttled_replicas(value: tuple[str, ...]) -> str | None:
    """`*`, or partition:broker pairs."""
    fits = value == ("*",) or all(_REPLICA.fullmatch(item) for item in value)
    return None if fits else "it must be * or a list of partition:broker pairs"


_DURATION: Final = (
    r"by_duration:\+?p(?=.)([+-]?[0-9]+d)?(t(?=.)([+-]?[0-9]+h)?([+-]?[0-9]+m)?([+-]?[0-9]+(\.[0-9]{0,9})?s)?)?"
)


def share_offset_reset(value: str) -> str | None:
    """`earliest`, `latest`, or `by_duration:` with an ISO 8601 duration that is not negative (KIP-932)."""
    if value in ("earliest", "latest"):
        return None
    if value.startswith("by_duration:") and "-" not in value and re.fullmatch(_DURATION, value, re.ASCII | re.I):
        return None
    return "it must be earliest, latest or by_duration: with a duration such as PT1H30M"
