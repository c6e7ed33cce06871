"""How a record is printed: its value, Kafka's console format, kcat's format strings, or kcat's JSON.

| asked for | line |
|---|---|
| nothing | the value |
| `--print key,timestamp,...` | Kafka's `CreateTime:TS<tab>Partition:P<tab>Offset:O<tab>HEADERS<tab>KEY<tab>VALUE` |
| `-f '%t %p %o %k %s\\n'` | kcat's: topic, partition, offset, key, payload, `%h` headers, `%T` timestamp, `%K %S` |
| `-J` | kcat's: topic, partition, offset, tstype, ts, broker, headers, key, payload |

Bytes go out as they are. In JSON, keys and values that are no UTF-8 are null, with `key_base64` or `payload_base64`
beside them, so that no byte is lost and `ottla produce -J` finds them.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, TypeAlias

from kproto.ids import TopicPartition
from tools.failures import Misunderstood

Message: TypeAlias = Any
"""`confluent_kafka.Message`, which has no types of its own."""

Formatter: TypeAlias = Callable[[Message], bytes]

PARTS: Final = ("timestamp", "partition", "offset", "headers", "key", "value")
"""What `--print` knows, in the order in which Kafka prints it."""

_TIMESTAMP_TYPES: Final = {1: ("create", "CreateTime"), 2: ("logappend", "LogAppendTime")}
_ESCAPE: Final = re.compile(rb"%(.)|\\(x[0-9a-fA-F]{2}|.)", re.DOTALL)
_BACKSLASHED: Final = {b"n": b"\n", b"t": b"\t", b"r": b"\r", b"0": b"\0", b"\\": b"\\"}


def json_lines(leaders: Mapping[TopicPartition, int]) -> Formatter:
    """kcat's JSON of a record, and a newline. `leaders`: the node that leads each partition, which kcat prints."""
    return lambda message: _json_line(message, leaders.get(TopicPartition(message.topic(), message.partition()), -1))


def _json_line(message: Message, leader: int) -> bytes:
    kind, timestamp = message.timestamp()
    line: dict[str, Any] = {
        "topic": message.topic(),
        "partition": message.partition(),
        "offset": message.offset(),
        "tstype": _TIMESTAMP_TYPES.get(kind, ("unknown", ""))[0],
        "ts": timestamp,
        "broker": leader,
    }
    if headers := message.headers():
        line["headers"] = [part for name, value in headers for part in (name, _text(value))]
    for name, data in (("key", message.key()), ("payload", message.value())):
        text = _text(data)
        line[name] = text
        if text is None and data is not None:
            line[f"{name}_base64"] = base64.b64encode(data).decode()
    return json.dumps(line, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


def _text(data: bytes | None) -> str | None:
    try:
        return None if data is None else data.decode()
    except UnicodeDecodeError:
        return None


def console(parts: Iterable[str], separator: bytes, delimiter: bytes, null: bytes) -> Formatter:
    """Kafka's console format with these parts of `PARTS`. Raises Misunderstood for one that is not there."""
    wanted = {part.strip() for part in parts}
    if unknown := wanted - set(PARTS):
        raise Misunderstood(f"--print knows {', '.join(PARTS)}; not {', '.join(sorted(unknown))}")

    def line(message: Message) -> bytes:
        printed = [part for part in PARTS if part in wanted]
        return separator.join(_part(message, part, null) for part in printed) + delimiter

    return line


def _part(message: Message, part: str, null: bytes) -> bytes:
    if part == "timestamp":
        kind, timestamp = message.timestamp()
        name = _TIMESTAMP_TYPES.get(kind, ("", ""))[1]
        return f"{name}:{timestamp}".encode() if name else b"NO_TIMESTAMP"
    if part in ("partition", "offset"):
        return f"{part.title()}:{getattr(message, part)()}".encode()
    if part == "headers":
        pairs = message.headers() or ()
        return b",".join(name.encode() + b":" + (null if v is None else v) for name, v in pairs) or b"NO_HEADERS"
    data: bytes | None = message.key() if part == "key" else message.value()
    return null if data is None else data


def kcat_format(text: str, null: bytes) -> Formatter:
    """kcat's format string. Raises Misunderstood for a token that is not there."""
    fields: dict[bytes, Formatter] = {
        b"s": lambda message: null if message.value() is None else message.value(),
        b"k": lambda message: null if message.key() is None else message.key(),
        b"S": lambda message: b"%d" % (-1 if message.value() is None else len(message.value())),
        b"K": lambda message: b"%d" % (-1 if message.key() is None else len(message.key())),
        b"T": lambda message: b"%d" % message.timestamp()[1],
        b"t": lambda message: message.topic().encode(),
        b"p": lambda message: b"%d" % message.partition(),
        b"o": lambda message: b"%d" % message.offset(),
        b"h": lambda message: b",".join(
            name.encode() + b"=" + (b"NULL" if value is None else value) for name, value in message.headers() or ()
        ),
        b"R": lambda message: (-1 if message.value() is None else len(message.value())).to_bytes(4, "big", signed=True),
        b"%": lambda message: b"%",
    }
    pieces: list[Formatter] = []
    at, source = 0, text.encode()
    for match in _ESCAPE.finditer(source):
        pieces.append(_constant(source[at : match.start()]))
        at = match.end()
        if match[1] is not None:
            if match[1] not in fields:
                raise Misunderstood(f"the format has %{match[1].decode(errors='replace')}, which is no token of kcat's")
            pieces.append(fields[match[1]])
        elif len(match[2]) == 3:
            pieces.append(_constant(bytes([int(match[2][1:], 16)])))
        else:
            pieces.append(_constant(_BACKSLASHED.get(match[2], match[2])))
    pieces.append(_constant(source[at:]))
    return lambda message: b"".join(piece(message) for piece in pieces)


def _constant(text: bytes) -> Formatter:
    return lambda _: text
