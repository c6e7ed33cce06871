"""The layers of values of a broker's keys, and what is in force.

A key is looked up in four layers, and the first that has it counts (KIP-226):

    dynamic of this broker  >  dynamic default of the cluster  >  file and command line  >  default

A duration can be given in several units (`log.retention.ms`, `.minutes`, `.hours`); the finest unit that has a value
counts, whatever layer it is in. A dynamic value that cannot be read is passed over: it was checked when it was set, so
another release was in force then, and a broker that did not start could not be made to forget it. The start names such
values (`broker/admin/stored_configs.py`). So it does with those of keys that only the file can set (`FILE_ONLY`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from broker.config.keys import FILE_ONLY, BadValue, Value, broker_key, synonyms_of

MILLIS_PER_HOUR: Final = 3_600_000
MILLIS_PER_MINUTE: Final = 60_000


class Layers:
    """The layers of values above the defaults."""

    def __init__(
        self, static: Mapping[str, str], defaults: Mapping[str, str] | None = None, own: Mapping[str, str] | None = None
    ) -> None:
        self._static = static
        self._dynamic = [layer for layer in (own, defaults) if layer]

    def value(self, name: str) -> Value:
        """The value of a key in force. Raises KeyError for an unknown key."""
        key = broker_key(name)
        if key is None:
            raise KeyError(name)
        for layer in self._dynamic:
            if name in layer and name not in FILE_ONLY:
                try:
                    return key.parse(layer[name])
                except BadValue:
                    continue
        if name in self._static:
            return key.parse(self._static[name])
        return key.default_value()

    def has(self, name: str) -> bool:
        """Whether a layer above the defaults gives the key a value that counts."""
        return name in self._static or any(name in layer for layer in self._dynamic if name not in FILE_ONLY)

    def items(self, name: str) -> tuple[str, ...]:
        """The items of a list in force; none where it has no value."""
        value = self.value(name)
        return value if isinstance(value, tuple) else ()

    def finest(self, name: str) -> tuple[str, int]:
        """The first of `name` and its synonyms that has a value, and that value."""
        for synonym in synonyms_of(name):
            value = self.value(synonym)
            if value is not None:
                assert isinstance(value, int), "synonyms are units of a duration"
                return synonym, value
        raise AssertionError(f"{name} has no default in any unit")

    def milliseconds(self, name: str) -> int:
        """The duration that `name`, or a coarser unit of it, gives."""
        synonym, value = self.finest(name)
        if synonym.endswith(".hours"):
            return value * MILLIS_PER_HOUR
        return value * MILLIS_PER_MINUTE if synonym.endswith(".minutes") else value
