"""Answers as plain values (what JSON has), of which two are equal exactly if the two brokers said the same.

Four things are done to a decoded reply:

1. What `variations.py` names is masked, or sorted where the order means nothing. A masked value keeps what is still
   worth comparing: null stays null, "none" (-1, 0, empty) stays itself.
2. Ids that a broker makes up become symbols: `<id of t>`, `<producer 1>`, `differ-<uuid 1>`. The first time an id is
   seen in a scenario it gets the next number, so that "the same id as before" is compared although ids never are.
3. Names that only this scenario in this version uses lose what makes them unique, so that versions can be compared too:
   `~t` is the topic or group that the scenario calls `t`.
4. Record batches are shown as their header fields and payload, so that a difference names the field.

Fields that the version does not carry are left out.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from kproto.batches.header import HEADER_SIZE, LOG_OVERHEAD, read_header
from kproto.ids import ZERO_UUID
from kproto.messages import request_type
from kproto.schema.declare import FieldType, Struct, fields_of
from tools.answers.site import Plain
from tools.answers.variations import Masked, Ordered, Symbol, variation

_UUID_TEXT = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}|\b[0-9a-f]{32}\b")


class Symbols:
    """The names given to ids in one scenario."""

    def __init__(self, texts: dict[str, str] | None = None, first: Callable[[str], str] = str) -> None:
        """`texts`: what is replaced in every text; `first`: what is done to it before."""
        self._first = first
        self._names: dict[Any, str] = {}
        self._counts: dict[str, int] = {}
        self._texts = texts or {}

    def learn(self, value: Any, name: str) -> None:
        """From now on `value` is shown as `name`."""
        self._names[value] = name

    def of(self, kind: str, value: Any) -> str:
        """The name of an id, made up if it is new."""
        name = self._names.get((kind, value)) or self._names.get(value)
        if name is None:
            self._counts[kind] = number = self._counts.get(kind, 0) + 1
            name = self._names[kind, value] = f"<{kind} {number}>"
        return name

    def in_text(self, text: str) -> str:
        """A text with the ids in it replaced."""
        text = self._first(text)
        for found, name in self._texts.items():
            text = text.replace(found, name)
        return _UUID_TEXT.sub(lambda match: self.of("uuid", match.group()), text)


def canonical(message: Struct, version: int, symbols: Symbols) -> Plain:
    """A decoded reply as plain values. `version` is the one it was encoded in."""
    api = request_type(type(message).api_key).__name__.removesuffix("Request")  # type: ignore[attr-defined]
    return _struct(message, version, symbols, api)


def _struct(message: Struct, version: int, symbols: Symbols, path: str) -> dict[str, Plain]:
    shown = {}
    for field in fields_of(type(message)):
        if version in field.versions:
            shown[field.name] = _value(
                getattr(message, field.name), field.type, version, symbols, f"{path}.{field.name}", message
            )
    return shown


def _value(value: Any, kind: FieldType, version: int, symbols: Symbols, path: str, owner: Struct) -> Plain:
    rule = variation(path, owner)
    if isinstance(rule, Masked):
        return rule.mask(value)
    if isinstance(rule, Symbol) and value != rule.none:
        return symbols.of(rule.kind, value)
    if value is None:
        return None
    if kind.element is not None:
        elements = [_value(each, kind.element, version, symbols, path, owner) for each in value]
        return sorted(elements, key=rule.place) if isinstance(rule, Ordered) else elements
    if kind.struct is not None:
        return _struct(value, version, symbols, path)
    return _primitive(value, kind.name, symbols)


def _primitive(value: Any, kind: str, symbols: Symbols) -> Plain:
    if kind == "uuid":
        return "<no id>" if value == ZERO_UUID else symbols.of("id", value)
    if kind == "records":
        return show_batches(value, symbols)
    if kind == "bytes":
        return value.hex()
    if kind == "string":
        return symbols.in_text(value)
    return value


def show_batches(records: memoryview, symbols: Symbols) -> list[Plain]:
    """Batches as header fields and payload. A last one that is cut off is shown as how much of it there is."""
    shown: list[Plain] = []
    data, at = bytes(records), 0
    while at < len(data):
        rest = len(data) - at
        size = LOG_OVERHEAD + int.from_bytes(data[at + 8 : at + 12], "big") if rest >= HEADER_SIZE else rest + 1
        if rest < size:
            shown.append({"cut off": rest})
            break
        header = read_header(data, at)
        producer = header.producer_id
        shown.append(
            {
                "base_offset": header.base_offset,
                "leader_epoch": header.partition_leader_epoch,
                "magic": header.magic,
                "attributes": header.attributes,
                "last_offset_delta": header.last_offset_delta,
                "base_timestamp": "<time>" if header.is_control else header.base_timestamp,
                "max_timestamp": "<time>" if header.log_append_time or header.is_control else header.max_timestamp,
                "producer": producer if producer < 0 else symbols.of("producer", producer),
                "producer_epoch": header.producer_epoch,
                "base_sequence": header.base_sequence,
                "count": header.record_count,
                "payload": data[at + HEADER_SIZE : at + size].hex(),
            }
        )
        at += size
    return shown
