"""What a client pushes, taken out: the numbers of an OpenTelemetry MetricsData message (protobuf), by name.

    MetricsData.resource_metrics(1) . scope_metrics(2) . metrics(2) = Metric
    Metric: name(1), gauge(5) or sum(7), each with data_points(1); a sum has aggregation_temporality(2), 1 for deltas
    NumberDataPoint: as_double(4) or as_int(6), attributes(7) = key(1), value(2) . string_value(1)

Clients send gauges and sums; histograms and what else there is are passed over, as protobuf's unknown fields are. A
number's name has its attributes behind it: `org.apache.kafka.producer.node.request.latency.avg{node_id=1}`.

The message comes from a stranger. It may unfold to `MAX_UNPACKED` bytes and have `MAX_FIELDS` fields, and is looked
through without building anything but the answer.
"""

from __future__ import annotations

from collections.abc import Iterator
from struct import Struct
from typing import TYPE_CHECKING, Final, NamedTuple

from kproto.batches.decompression import pieces

if TYPE_CHECKING:
    from storage.seams.offload import Pause

MAX_UNPACKED: Final = 4 << 20
MAX_FIELDS: Final = 200_000
MAX_METRICS: Final = 1_000
MAX_NAME: Final = 300
"""Characters of a name with its attributes; the rest is cut off."""
FIELDS_BETWEEN_PAUSES: Final = 500

_DOUBLE, _INT = Struct("<d"), Struct("<q")
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_DELTA = 1


class Malformed(ValueError):
    """The bytes are no metrics, or too many."""


class Number(NamedTuple):
    """One number. `delta`: it is to be added to what was pushed before."""

    value: float
    delta: bool


def numbers_in(codec: int, data: bytes, wanted: bool, pause: Pause) -> dict[str, Number]:
    """Name -> number, of the first `MAX_METRICS`; nothing where they are not `wanted`, and only taken out.

    Raises Malformed; KafkaError for data that cannot be decompressed.
    """
    left = MAX_UNPACKED
    parts = []
    for piece in pieces(codec, data) if codec else (data,):
        pause()
        left -= len(piece)
        if left < 0:
            raise Malformed(f"it stands for more than {MAX_UNPACKED} bytes")
        if wanted:
            parts.append(piece)
    return _Reader(pause).numbers(memoryview(b"".join(parts))) if wanted else {}


class _Reader:
    """One message on its way through."""

    def __init__(self, pause: Pause) -> None:
        self._pause = pause
        self._left = MAX_FIELDS

    def numbers(self, message: memoryview) -> dict[str, Number]:
        found: dict[str, Number] = {}
        for resource in self._messages(message, 1):
            for scope in self._messages(resource, 2):
                for metric in self._messages(scope, 2):
                    for name, number in self._of_metric(metric):
                        if len(found) < MAX_METRICS:
                            found[name] = number
        return found

    def _of_metric(self, metric: memoryview) -> Iterator[tuple[str, Number]]:
        name, points, delta = "", list[memoryview](), False
        for field, kind, value in self._fields(metric):
            if kind != _BYTES:
                continue
            assert isinstance(value, memoryview)
            if field == 1:
                name = _text(value)
            elif field in (5, 7):
                for inner, inner_kind, held in self._fields(value):
                    if inner == 1 and inner_kind == _BYTES:
                        assert isinstance(held, memoryview)
                        points.append(held)
                    elif inner == 2 and inner_kind == _VARINT:
                        delta = field == 7 and held == _DELTA
        for point in points:
            number, attributes = self._of_point(point)
            if number is not None:
                shown = f"{name}{{{','.join(sorted(attributes))}}}" if attributes else name
                yield shown[:MAX_NAME], Number(number, delta)

    def _of_point(self, point: memoryview) -> tuple[float | None, list[str]]:
        number, attributes = None, list[str]()
        for field, kind, value in self._fields(point):
            if field == 4 and kind == _FIXED64:
                assert isinstance(value, memoryview)
                (number,) = _DOUBLE.unpack(value)
            elif field == 6 and kind == _FIXED64:
                assert isinstance(value, memoryview)
                number = float(_INT.unpack(value)[0])
            elif field == 7 and kind == _BYTES:
                assert isinstance(value, memoryview)
                attributes.append(self._attribute(value))
        return number, attributes

    def _attribute(self, attribute: memoryview) -> str:
        key = value = ""
        for field, kind, held in self._fields(attribute):
            if kind == _BYTES and field == 1:
                assert isinstance(held, memoryview)
                key = _text(held)
            elif kind == _BYTES and field == 2:
                assert isinstance(held, memoryview)
                for inner, inner_kind, text in self._fields(held):
                    if inner == 1 and inner_kind == _BYTES:
                        assert isinstance(text, memoryview)
                        value = _text(text)
        return f"{key}={value}"

    def _messages(self, message: memoryview, number: int) -> Iterator[memoryview]:
        for field, kind, value in self._fields(message):
            if field == number and kind == _BYTES:
                assert isinstance(value, memoryview)
                yield value

    def _fields(self, message: memoryview) -> Iterator[tuple[int, int, memoryview | int]]:
        """(number, kind, value) of each field. Raises Malformed."""
        at, end = 0, len(message)
        while at < end:
            self._left -= 1
            if self._left < 0:
                raise Malformed(f"more than {MAX_FIELDS} fields")
            if self._left % FIELDS_BETWEEN_PAUSES == 0:
                self._pause()
            tag, at = _varint(message, at)
            kind = tag & 7
            if kind == _VARINT:
                number, at = _varint(message, at)
                yield tag >> 3, kind, number
                continue
            if kind == _BYTES:
                size, at = _varint(message, at)
            elif kind == _FIXED64:
                size = 8
            elif kind == _FIXED32:
                size = 4
            else:
                raise Malformed(f"a field of kind {kind}")
            if size > end - at:
                raise Malformed("a field ends behind its message")
            yield tag >> 3, kind, message[at : at + size]
            at += size


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    """(number, where it ends). Raises Malformed."""
    number = shift = 0
    while True:
        if at >= len(message) or shift > 63:
            raise Malformed("a number does not end")
        byte = message[at]
        at += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return number, at
        shift += 7


def _text(data: memoryview) -> str:
    return bytes(data[:MAX_NAME]).decode(errors="replace")
