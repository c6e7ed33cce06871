"""Large messages are given back to the memory in slices.

A request may hold 200,000 objects, and a reply as many. When the last reference to them goes they are freed all at
once, which takes 20 to 35 ms, in whichever task dropped it; a thread would hold the interpreter's lock for as long. So
the connection takes long lists apart, from their ends, before it lets go of a message.

A list, or an element, that has another owner (a group keeps the topics that its member has named) is left alone:
whether it has is seen by its count of references.
"""

from __future__ import annotations

import sys
from typing import Any, Final

from kproto.schema.declare import Struct, fields_of
from storage.seams.slices import Slices

LONG: Final = 1000
"""Elements of a list that is worth being taken apart."""


def _references(owner: Any, name: str) -> int:
    """How many references there are to a value, those of this function included."""
    value = getattr(owner, name)
    return sys.getrefcount(value)


class _Probe:
    def __init__(self) -> None:
        self.value: list[int] = []


_ITS_OWN: Final = _references(_Probe(), "value")
"""References to a value that only its owner holds."""


def _last(elements: list[Any]) -> tuple[Any, int]:
    """Take the last element; how many references to it there are, those of this function included."""
    element = elements.pop()
    return element, sys.getrefcount(element)


_ALONE: Final = _last([_Probe()])[1]
"""References to an element that was only in its list."""


async def free_in_slices(message: Struct) -> None:
    """Empty the long lists of a message that is done with, as far as they are its own."""
    await _empty(message, Slices())


async def _empty(struct: Struct, slices: Slices) -> None:
    for field in fields_of(type(struct)):
        value = getattr(struct, field.name)
        if type(value) is not list or not value:
            continue
        del value
        if _references(struct, field.name) > _ITS_OWN:
            continue
        elements: list[Any] = getattr(struct, field.name)
        while elements:
            if len(elements) > LONG:
                del elements[-LONG // 4 :]
            else:
                element, references = _last(elements)
                if references <= _ALONE and isinstance(element, Struct):
                    await _empty(element, slices)
                del element
            await slices.give_way()
