"""Faults that the proxy injects: the words for them, and which request suffers one.

    error=NOT_LEADER_OR_FOLLOWER api=Produce times=2
    delay seconds=0.5 api=Fetch share=0.1 seed=7
    drop after=true api=EndTxn skip=2 times=1
    lose_reply client_id=billing

They are the faults of a broker that is commanded (`broker/control/faults.py`, docs/control.md), with the same targets
and rhythms, as far as a program between client and broker can do what they say:

| fault | what happens |
| --- | --- |
| `error=CODE` | the broker never sees the request, which is answered with the code; `after=true`: it does |
| `coordinator_moved` | as an error NOT_COORDINATOR, of the APIs that ask a coordinator |
| `delay seconds=N` | the request waits, and all behind it on its connection |
| `drop` | the connection is closed; `after=true`: when the reply is there, which is lost |
| `lose_reply` | the request is worked on; no reply leaves this connection any more |
| `throttle seconds=N` | the reply says that the client is throttled for so long |

A request is refused as a whole here: a part of it cannot be worked on without its client. New clients name topics by
ids, which are learnt from the replies about them. A Fetch that goes on with its session names no topic.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from broker.control.describing import described
from broker.control.faults import MOST, Fault, Kind
from broker.control.fields import BadRequest, Fields
from broker.control.parts import split
from broker.handlers import HANDLERS
from kproto.ids import ZERO_UUID
from kproto.messages import APIS
from kproto.schema.declare import Response
from tools.failures import Misunderstood
from tools.recording.conversation import Asked
from tools.recording.secrets import structs_of

KINDS: Final = (Kind.ERROR, Kind.COORDINATOR_MOVED, Kind.DELAY, Kind.DROP, Kind.LOSE_REPLY, Kind.THROTTLE)
REFUSALS: Final = (Kind.ERROR, Kind.COORDINATOR_MOVED)
NOT_TEXTS: Final = ("partition", "seconds", "after", "skip", "times", "share", "seed")
"""Members that are a number, or true or false."""
ABOUT_TOPICS: Final = frozenset(
    key for key, api in APIS.items() if api.name in ("Metadata", "DescribeTopicPartitions", "CreateTopics")
)
MOST_NAMES: Final = 100_000
"""Topics whose ids are remembered."""


@dataclass(frozen=True, slots=True)
class Disturbance:
    """A fault, and the words that it was made of."""

    words: str
    fault: Fault

    @property
    def refuses(self) -> bool:
        """Whether the request gets an error in place of its answer."""
        return self.fault.effect.kind in REFUSALS


class Disturbances:
    """All of a proxy, in the order in which they were given. Raises Misunderstood where there are too many."""

    def __init__(self, all_of_them: Sequence[Disturbance] = ()) -> None:
        if len(all_of_them) > MOST:
            raise Misunderstood(f"more than {MOST} faults")
        self._all = all_of_them
        self._names: dict[bytes, str] = {}

    def suffered(self, asked: Asked) -> Disturbance | None:
        """The first that this request is for and whose turn it is, counted; None if there is none."""
        for each in self._all:
            if not each.fault.is_over and self._is_for(each, asked) and each.fault.is_due():
                return each
        return None

    def learn(self, api_key: int, reply: Response) -> None:
        """Remember the names of topics that a reply speaks of."""
        if self._all and api_key in ABOUT_TOPICS:
            for struct in structs_of(reply):
                name, topic_id = getattr(struct, "name", None), getattr(struct, "topic_id", ZERO_UUID)
                if name and topic_id != ZERO_UUID and len(self._names) < MOST_NAMES:
                    self._names[topic_id] = name

    def _is_for(self, each: Disturbance, asked: Asked) -> bool:
        head, target, apis = asked.head, each.fault.target, each.fault.effect.apis
        if head is None or target.api not in (None, head.api_key) or target.client_id not in (None, head.client_id):
            return False
        if apis is not None and head.api_key not in apis:
            return False
        if each.refuses and (asked.message is None or head.api_key not in HANDLERS):
            return False  # an answer to it cannot be made
        named = target.named
        if not named.words:
            return True
        return asked.message is not None and split(asked.message, named, self._names.get)[0] is not None


def parse(text: str) -> Disturbance:
    """The fault that words describe. Raises Misunderstood with a sentence."""
    what, *rest = text.split() or [""]
    kind, _, code = what.partition("=")
    if kind not in list(KINDS):
        raise Misunderstood(f"the fault {text!r} must begin with one of {', '.join(KINDS)}")
    members: dict[str, Any] = {"what": kind, **({"error": code} if code else {})}
    for word in rest:
        name, equals, value = word.partition("=")
        if not equals or name in members:
            raise Misunderstood(f"{word!r} in the fault {text!r} is not one NAME=VALUE of each name")
        members[name] = _value(value) if name in NOT_TEXTS else value
    known = {api.name.lower(): key for key, api in APIS.items()}
    try:
        target, effect, rhythm, said = described(Fields(members), known)
    except BadRequest as refused:
        raise Misunderstood(f"the fault {text!r}: {refused}") from None
    return Disturbance(text, Fault(0, target, effect, rhythm, said))


def _value(text: str) -> Any:
    """A number, true or false; any other text as it is, which its reader refuses."""
    try:
        return json.loads(text)
    except ValueError:
        return text
