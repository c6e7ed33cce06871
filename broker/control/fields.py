"""What is said to an operation, read member by member, and how what makes no sense is refused.

A `Fields` hands out the members of a JSON object by name and type and complains of any that was not taken, so that a
misspelt word is no fault that never comes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any


class Refusal(Exception):
    """What was asked for is not done: a status of HTTP, and a sentence for the client."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status


class BadRequest(Refusal):
    """The request makes no sense; the sentence names the member or the word."""

    def __init__(self, sentence: str) -> None:
        super().__init__(400, sentence)


class Fields:
    """The members of a JSON object, taken out one by one; `done` complains of those that are left."""

    def __init__(self, members: Mapping[str, Any]) -> None:
        self._left = dict(members)

    def text(self, name: str, longest: int = 32_767) -> str | None:
        """A text; None where there is none. Raises BadRequest, as all of these do."""
        found: str | None = self._take(name, (str,), lambda value: len(value) <= longest, "a text")
        return found

    def number(self, name: str, least: float, most: float) -> float | None:
        """A number within bounds, whole or not."""
        what = f"a number from {least:g} to {most:g}"
        found: float | None = self._take(name, (int, float), lambda value: least <= value <= most, what)
        return found

    def integer(self, name: str, least: int, most: int) -> int | None:
        """A whole number within bounds."""
        what = f"a whole number from {least} to {most}"
        found: int | None = self._take(name, (int,), lambda value: least <= value <= most, what)
        return found

    def truth(self, name: str) -> bool | None:
        """True or false."""
        found: bool | None = self._take(name, (bool,), lambda value: True, "true or false")
        return found

    def done(self) -> None:
        """Raises BadRequest where a member is left that is not known."""
        if self._left:
            raise BadRequest(f"{min(self._left)!r} is not known here")

    def _take(self, name: str, types: tuple[type, ...], sound: Callable[[Any], bool], what: str) -> Any:
        value = self._left.pop(name, None)
        if value is not None and (type(value) not in types or not sound(value)):
            raise BadRequest(f"{name!r} must be {what}")
        return value
