"""Faults that the proxy injects: the words for them, and which request suffers one.

    error=NOT_LEADER_OR_FOLLOWER api=Produce times=2
    delay seconds=0.5 api=Fetch share=0.1 seed=7
    drop after=true api=EndTxn skip=2 times=1
    lose_reply client_id=billing

The words are those of a broker that is commanded ([docs/control.md](../../docs/control.md)), as far as a program
between client and broker can do what they say:

| fault | what happens |
| --- | --- |
| `error=CODE` | the broker never sees the request, which is answered with the code; `after=true`: it does |
| `delay seconds=N` | the request waits, and all behind it on its connection |
| `drop` | the connection is closed; `after=true`: when the reply is there, which is lost |
| `lose_reply` | the request is worked on; no reply leaves this connection any more |
| `throttle seconds=N` | the reply says that the client is throttled for so long |

Which requests: `api`, `client_id`, and `topic`, `group`, `transactional_id`, by the names that the request's fields
have for them; a request must fit all. How often: `skip` requests that fit are let through, then each suffers, or a
`share` of them, until `times` have.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from kproto.errors import ErrorCode
from kproto.messages import APIS
from tools.failures import Misunderstood
from tools.recording.conversation import Asked
from tools.recording.secrets import structs_of

MOST: Final = 100
LONGEST_SECONDS: Final = 3600.0
OF_TARGETS: Final = {
    "topic": ("topic", "name", "topic_name"),
    "group": ("group_id", "key", "coordinator_keys", "groups", "group_ids"),
    "transactional_id": ("transactional_id", "key", "coordinator_keys", "transactional_ids"),
}
"""Target -> the fields that may hold it."""


class Kind(StrEnum):
    """What happens."""

    ERROR = "error"
    DELAY = "delay"
    DROP = "drop"
    LOSE_REPLY = "lose_reply"
    THROTTLE = "throttle"


@dataclass
class Fault:
    """One of them, and how often it has come to pass."""

    kind: Kind
    code: ErrorCode = ErrorCode.NONE
    seconds: float = 0.0
    after: bool = False
    api: int | None = None
    client_id: str | None = None
    named: dict[str, str] = field(default_factory=dict)
    """Target -> name."""
    skip: int = 0
    times: int | None = None
    share: float = 1.0
    chance: random.Random = field(default_factory=lambda: random.Random(0))
    words: str = ""
    seen: int = 0
    injected: int = 0

    def suffers(self, asked: Asked) -> bool:
        """Whether this request does; counts it."""
        if asked.head is None or (self.times is not None and self.injected >= self.times) or not self._fits(asked):
            return False
        self.seen += 1
        if self.seen <= self.skip or (self.share < 1.0 and self.chance.random() >= self.share):
            return False
        self.injected += 1
        return True

    def _fits(self, asked: Asked) -> bool:
        head = asked.head
        assert head is not None
        if self.api not in (None, head.api_key) or self.client_id not in (None, head.client_id):
            return False
        if self.kind is Kind.ERROR and not _can_be_refused(asked):
            return False
        return all(asked.message is not None and _names(asked.message, *pair) for pair in self.named.items())


def first_of(faults: Iterable[Fault], asked: Asked) -> Fault | None:
    """The first fault that this request suffers."""
    return next((fault for fault in faults if fault.suffers(asked)), None)


def parse(text: str) -> Fault:
    """The fault that words describe. Raises Misunderstood with a sentence."""
    what, *rest = text.split() or [""]
    kind, _, code = what.partition("=")
    if kind not in list(Kind):
        raise Misunderstood(f"the fault {text!r} must begin with one of {', '.join(Kind)}")
    fault = Fault(Kind(kind), words=text)
    if fault.kind is Kind.ERROR:
        if code not in ErrorCode.__members__ or code == "NONE":
            raise Misunderstood(f"the fault {text!r} needs an error of Kafka's, such as error=NOT_LEADER_OR_FOLLOWER")
        fault.code = ErrorCode[code]
    for word in rest:
        name, equals, value = word.partition("=")
        if not equals or name not in _WORDS:
            raise Misunderstood(f"{word!r} in the fault {text!r} is none of {', '.join(f'{each}=' for each in _WORDS)}")
        try:
            _WORDS[name](fault, value)
        except ValueError as error:
            raise Misunderstood(f"{word!r} in the fault {text!r}: {error}") from None
    if fault.kind in (Kind.DELAY, Kind.THROTTLE) and not fault.seconds:
        raise Misunderstood(f"the fault {text!r} needs seconds=N")
    if fault.kind not in (Kind.DELAY, Kind.THROTTLE) and fault.seconds:
        raise Misunderstood(f"the fault {text!r} has no seconds")
    if fault.after and fault.kind not in (Kind.ERROR, Kind.DROP):
        raise Misunderstood(f"the fault {text!r} is not one that comes before or after the work")
    return fault


def _can_be_refused(asked: Asked) -> bool:
    """Whether an answer with an error can be made for a request."""
    from broker.handlers import HANDLERS

    return asked.head is not None and asked.message is not None and asked.head.api_key in HANDLERS


def _names(message: Any, target: str, name: str) -> bool:
    """Whether a request is about a topic, a group or a transactional id of this name."""
    for struct in structs_of(message):
        for attribute in OF_TARGETS[target]:
            value = getattr(struct, attribute, None)
            if value == name or (isinstance(value, list) and name in value):
                return True
    return False


def _api(fault: Fault, value: str) -> None:
    known = {api.name.lower(): key for key, api in APIS.items()}
    if value.lower() not in known:
        raise ValueError("no API has this name of Kafka's")
    fault.api = known[value.lower()]


def _number(attribute: str, low: float, high: float, kind: Callable[[str], float]) -> Callable[[Fault, str], None]:
    def take(fault: Fault, value: str) -> None:
        try:
            number = kind(value)
        except ValueError:
            raise ValueError("this is no number") from None
        if not low <= number <= high:
            raise ValueError(f"it must be {low:g} to {high:g}")
        setattr(fault, attribute, number)

    return take


def _after(fault: Fault, value: str) -> None:
    if value not in ("true", "false"):
        raise ValueError("it must be true or false")
    fault.after = value == "true"


def _seed(fault: Fault, value: str) -> None:
    if not value.isdecimal():
        raise ValueError("this is no number")
    fault.chance = random.Random(int(value))


def _target(name: str) -> Callable[[Fault, str], None]:
    def take(fault: Fault, value: str) -> None:
        fault.named[name] = value

    return take


_WORDS: Final[dict[str, Callable[[Fault, str], None]]] = {
    "api": _api,
    "client_id": lambda fault, value: setattr(fault, "client_id", value),
    **{name: _target(name) for name in OF_TARGETS},
    "seconds": _number("seconds", 0.001, LONGEST_SECONDS, float),
    "after": _after,
    "skip": _number("skip", 0, 1 << 31, int),
    "times": _number("times", 1, 1 << 31, int),
    "share": _number("share", 0.0, 1.0, float),
    "seed": _seed,
}
