"""What a row of the table of APIs says, and what a handler module offers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from broker.security.needs import Needs


class Api(NamedTuple):
    """One row: the module (of this package, and of kproto.messages), and the permission needed."""

    module: str
    needs: Needs
    asks: tuple[str, ...] = ()
    """The modules of what the handler asks for that is made on demand."""
    newest: int | None = None
    """The newest version served, where that is not yet the newest of the release."""


class Handler(NamedTuple):
    """A handler module's functions. `eager`: `handle` is a plain function and may run before earlier replies have
    left."""

    handle: Callable[..., Any]
    refuse: Callable[..., Any]
    eager: bool
