"""Every message and struct that kproto declares, found by looking: what is listed nowhere cannot be forgotten there.

A declaration is a class in a module of `kproto.messages` or `kproto.formats`. Loading all of them takes a fifth of a
second, so a broker never does; `ottla explain` and the comparison with Kafka's definitions do.
"""

from __future__ import annotations

import importlib
import pkgutil

from kproto.schema.declare import Message, Struct

DECLARING = ("kproto.messages", "kproto.formats")
"""Packages whose modules declare messages."""


def declarations() -> tuple[list[type[Message]], list[type[Struct]]]:
    """All messages, and all other structs."""
    messages: list[type[Message]] = []
    structs: list[type[Struct]] = []
    for package in DECLARING:
        for module in pkgutil.iter_modules(importlib.import_module(package).__path__, f"{package}."):
            for value in vars(importlib.import_module(module.name)).values():
                if isinstance(value, type) and issubclass(value, Struct) and value.__module__ == module.name:
                    if issubclass(value, Message):
                        messages.append(value)
                    else:
                        structs.append(value)
    return messages, structs
