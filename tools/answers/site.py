"""A broker to ask, wherever it is: how to reach it, what it serves, and in what it is not the one of the recording.

The recording was made on a fresh broker of one node, whose id was 1, in plain text. Four things make another address
comparable with it:

* **Names.** A broker that is not fresh may know the names that scenarios use. `token` takes the place of the last
  letters of the API's name in each: names stay as long as they were, since lengths are part of what is compared.
* **Nodes.** Where the node's id is not 1, it and 1 change places in requests and replies (`nodes.py`), so that "this
  node" and "a node that is not there" stay what they were.
* **Versions.** `versions` is what the broker says that it serves. A scenario that needs an API which is not among them
  ends with `NotServed`: it is left out, and that is no difference. An answer in an older version than the recorded one
  has other fields, and is left out likewise.
* **Connections.** `connect` returns a socket on which requests are answered, in TLS and logged in as need be.

What was sent and received for each answer is kept in `exchanges`, so that a difference can be shown with its request.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple, Self, TypeAlias

from broker.handlers import SERVED_VERSIONS
from kproto.messages import api_name

RECORDED_NODE: Final = 1
"""The id of the node that was recorded."""
CONNECT_SECONDS: Final = 8.0
KEPT_BYTES: Final = 4096
"""Of a request and of a reply; what is longer is cut off."""

Plain: TypeAlias = Any
"""None, bool, int, float, str, list or dict of these."""


class Key(NamedTuple):
    """Where an answer belongs."""

    scenario: str
    version: int
    step: str

    def __str__(self) -> str:
        return f"{self.scenario} v{self.version}: {self.step}"


Answers = dict[Key, Plain]


class Exchange(NamedTuple):
    """A request, and what came back, as bytes of whole frames; `received` is empty if nothing did."""

    api_key: int
    """-1 for bytes that are no request."""
    version: int
    sent: bytes
    received: bytes
    encoded_alike: bool = True
    """Whether the reply's values, encoded again, give the same bytes."""


class NotServed(Exception):
    """The scenario needs an API, or a version of it, that this broker does not serve."""


@dataclass
class Site:
    """A broker to ask, and what is known about it."""

    connect: Callable[[], socket.socket]
    texts: dict[str, str] = field(default_factory=dict)
    """What it says about itself, its port and its directories, and what is shown instead."""
    lag_seconds: float = 0.0
    """How long it may take until a change it has confirmed has reached all its parts."""
    versions: Mapping[int, tuple[int, int]] = field(default_factory=lambda: SERVED_VERSIONS)
    """API key -> (oldest, newest) version that it serves."""
    token: str = ""
    plain: Mapping[str, str] = field(default_factory=dict)
    """What names begin with, with the token -> without it; of all scenarios."""
    node_id: int = RECORDED_NODE
    exchanges: dict[Key, Exchange] = field(default_factory=dict)
    left_out: dict[Key, str] = field(default_factory=dict)
    """What cannot be compared with the recording here, and why; an empty step stands for the rest of a scenario."""

    @classmethod
    def here(cls, port: int, texts: dict[str, str] | None = None, lag_seconds: float = 0.0) -> Self:
        """A fresh broker on this machine."""
        return cls(lambda: socket.create_connection(("127.0.0.1", port), CONNECT_SECONDS), texts or {}, lag_seconds)

    def newest(self, api_key: int) -> int:
        """The newest version that both sides speak. Raises NotServed."""
        ours, theirs = SERVED_VERSIONS[api_key], self.versions.get(api_key)
        if theirs is None:
            raise NotServed(f"{api_name(api_key)} is not served")
        if theirs[1] < ours[0] or ours[1] < theirs[0]:
            raise NotServed(f"{api_name(api_key)} is served in other versions only, {theirs[0]} to {theirs[1]}")
        return min(ours[1], theirs[1])

    def serves(self, api_key: int, version: int) -> bool:
        """Whether it says that it serves a version of an API."""
        low, high = self.versions.get(api_key, (0, -1))
        return low <= version <= high

    def prefix(self, scenario: str, version: int) -> str:
        """What the names of a scenario in a version begin with; as long with a token as without."""
        return with_token(plain_prefix(scenario, version), self.token)

    def without_token(self, text: str) -> str:
        """A text in which names are what they would be without a token, those of other scenarios too."""
        if not self.token or self.token not in text:
            return text
        names = re.compile(rf"[a-z]*{self.token}-[a-z0-9.-]*?-v\d+-")
        return names.sub(lambda name: self.plain.get(name[0], name[0]), text)


def with_token(prefix: str, token: str) -> str:
    """A prefix of names in which a token has taken the place of the last letters of the API's name."""
    api, hyphen, rest = prefix.partition("-")
    return api[: len(api) - len(token)] + token + hyphen + rest


def plain_prefix(scenario: str, version: int) -> str:
    """What the names of a scenario in a version begin with on a fresh broker."""
    return f"{scenario.replace('/', '-').lower()}-v{version}-"
