"""Who a client is: a principal, a kind and a name, written `User:alice`.

Kafka knows one kind, `User`; other kinds stand in ACLs that were written for an installation's own principal builder.
A client that was not asked who it is, or that TLS let in without a certificate, is `User:ANONYMOUS`.

Two principals are the same if kind and name are. That one of them came by a delegation token is remembered, because
such a client may not ask for further tokens (KIP-48), and changes nothing about who it is.

Source: `KafkaPrincipal`, `SecurityUtils.parseKafkaPrincipal`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

USER: Final = "User"


@dataclass(frozen=True, slots=True)
class Principal:
    """A client's identity. `token` is true where a delegation token proved it; equality does not look at that."""

    kind: str
    name: str
    token: bool = field(default=False, compare=False)
    _text: str = field(init=False, repr=False, compare=False)  # made once, for it is asked for with every request

    def __post_init__(self) -> None:
        object.__setattr__(self, "_text", f"{self.kind}:{self.name}")

    def __str__(self) -> str:
        return self._text

    @classmethod
    def parse(cls, text: str) -> Principal:
        """The principal written so, `User:alice`; colons behind the first belong to the name. Raises ValueError."""
        kind, colon, name = text.partition(":")
        if not colon:
            raise ValueError(f"{text!r} is not a principal's kind, a colon and its name, such as User:alice")
        return cls(kind, name)


ANONYMOUS: Final = Principal(USER, "ANONYMOUS")
"""A client of which it is not known who it is."""
