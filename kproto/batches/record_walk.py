"""Walking over the records of a batch without making anything of them: what a broker does that has to look inside.

A walk takes the records' bytes piece by piece (:class:`Source`), as they come out of a decoder or lie in the batch, and
lets each piece go when the records in it have been seen. In a record that goes from one piece into the next, key, value
and header values are stepped over. So the memory is that of a piece, whatever a batch stands for.

Three walks:

* :func:`walk` goes through every field of every record, and yields of each its timestamp, its offset and whether it has
  a key, in lists (:class:`Page`). It accepts exactly what :func:`kproto.batches.records.parse_records` accepts.
* :func:`walk_times` does so of timestamps and offsets only, and steps over what is behind them, in half of the time.
* :func:`count_frames` goes from length to length and looks at nothing else, in a fifth of the time.

**The bytes are hostile.** What does not fit the format raises ``KafkaError(INVALID_RECORD)``: an overlong varint, a
length that leads outside its record, a negative count of headers, a record whose parts do not add up to its length,
bytes behind the last record, fewer records than the header announces.

**Work is bounded** by :class:`Bounds`, which the walk uses up as it goes: bytes that come out of the decoder, and
records and headers that are stepped over, since a few kilobytes may stand for a billion of them. What is left after one
batch is there for the next one, so that a request with a thousand of them has one bound too.

Read like Kafka: a negative length of a key or value is none, of whatever size. Departs from Kafka: a varint of more
bits than its field is refused, where Kafka drops the upper ones; other clients would read another number.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Final, NamedTuple

from kproto.batches.header import LOG_APPEND_TIME, BatchHeader
from kproto.errors import ErrorCode, KafkaError
from kproto.ids import NO_TIMESTAMP

__all__ = [
    "MAX_DECOMPRESSED_MESSAGE_BYTES",
    "MIN_RECORD_SIZE",
    "BoundExceeded",
    "Bounds",
    "Page",
    "RecordSummary",
    "Source",
    "count_frames",
    "plainly_sound",
    "summarise",
    "walk",
    "walk_times",
]

MAX_DECOMPRESSED_MESSAGE_BYTES: Final = 2**31 - 9
"""Kafka's default, and the most it allows, for ``max.decompressed.message.bytes``: a Java array's longest."""

MIN_RECORD_SIZE: Final = 6
"""Bytes of the smallest record, its length aside: attributes, two deltas, two lengths and the header count."""

MOST_ITEMS: Final = 2**24

PAGE: Final = 1024
"""Records that are returned at a time."""

VARINT: Final = 5
"""Bytes of a varint of 32 bits at most."""

VARLONG: Final = 10
"""Bytes of a varint of 64 bits at most."""

_MIN_INT64, _MAX_INT64 = -(2**63), 2**63 - 1


class BoundExceeded(KafkaError):
    """Walking over a batch would take more work than it may.

    The code is MESSAGE_TOO_LARGE, after which a Java producer splits the batch and tries again.
    """

    def __init__(self, what: str) -> None:
        super().__init__(ErrorCode.MESSAGE_TOO_LARGE, f"the batch holds more {what} than one batch may")


class Bounds:
    """What is left of the work that may be done: bytes of records, and records and headers together.

    The defaults are the most that one batch may hold if it has to be opened: 2 GiB, and 16 million records and headers,
    which take about six seconds.
    """

    __slots__ = ("items", "output")

    def __init__(self, output: int = MAX_DECOMPRESSED_MESSAGE_BYTES, items: int = MOST_ITEMS) -> None:
        self.output = output
        self.items = items

    def take_items(self, number: int) -> None:
        """Use up records or headers. Raises BoundExceeded."""
        self.items -= number
        if self.items < 0:
            raise BoundExceeded("records and headers")


class Source:
    """The bytes of a batch's records, piece after piece. The pieces are ``bytes``, or a view of what lies there.

    ``pause``, where there is one, is called after each page and each piece, that is, every millisecond or so.
    """

    __slots__ = ("_pieces", "bounds", "pause")

    def __init__(
        self, pieces: Iterable[bytes | memoryview], bounds: Bounds, pause: Callable[[], None] | None = None
    ) -> None:
        self._pieces = iter(pieces)
        self.bounds = bounds
        self.pause = pause

    def take(self) -> bytes | memoryview:
        """The next piece, empty at the end. Raises BoundExceeded and what the decoder raises."""
        for piece in self._pieces:
            if piece:
                self.bounds.output -= len(piece)
                if self.bounds.output < 0:
                    raise BoundExceeded("bytes")
                if self.pause is not None:
                    self.pause()
                return piece
        return b""

    def join(self, rest: bytes | memoryview, wanted: int) -> bytes | memoryview:
        """``rest`` and what follows it, ``wanted`` bytes or more; fewer at the end."""
        parts, size = [rest], len(rest)
        while size < wanted and (piece := self.take()):
            parts.append(piece)
            size += len(piece)
        return b"".join(parts) if len(parts) > 1 else rest


class Page:
    """What a walk returns of some records that follow one another, field by field.

    ``number`` is the index of the first of them in its batch. Timestamp and offset deltas are there twice, because
    that is how they are coded; ``>> 1`` makes them what they are.
    """

    __slots__ = ("keyless", "number", "twice_offset_deltas", "twice_timestamp_deltas")

    def __init__(self, number: int) -> None:
        self.number = number
        self.twice_timestamp_deltas: list[int] = []
        self.twice_offset_deltas: list[int] = []
        self.keyless: list[int] = []
        """Indexes, in the batch, of those that have no key."""

    def timestamps(self, header: BatchHeader) -> list[int]:
        """Their timestamps, as consumers see them."""
        if header.attributes & LOG_APPEND_TIME:
            return [header.max_timestamp] * len(self.twice_timestamp_deltas)
        base = header.base_timestamp
        found = [base + (each >> 1) for each in self.twice_timestamp_deltas]
        if found and not _MIN_INT64 <= min(found) <= max(found) <= _MAX_INT64:
            return [wrap_int64(each) for each in found]
        return found


class RecordSummary(NamedTuple):
    """What a walk over all records of a batch found."""

    min_timestamp: int
    """Of the records that have a timestamp; -1 if none has."""
    max_timestamp: int
    """-1 if there is none above."""
    keyless: bool
    """Some record has no key."""
    offsets_count_up: bool
    """Offset deltas are 0, 1, 2 and so on."""


def invalid(reason: str) -> KafkaError:
    """The records do not fit their format."""
    return KafkaError(ErrorCode.INVALID_RECORD, reason)


def read_varint(data: bytes | memoryview, pos: int, bits: int = 32) -> tuple[int, int]:
    """The zigzag-coded number at ``data[pos:]``, its zigzag not undone, and the position behind it.

    Raises ``IndexError`` where the data end first, and ``KafkaError(INVALID_RECORD)``.
    """
    number = shift = 0
    while True:
        byte = data[pos]
        pos += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            break
        shift += 7
        if shift >= bits:
            raise invalid(f"a varint takes more than {-(-bits // 7)} bytes")
    if number >> bits:
        raise invalid(f"a varint has more than {bits} bits")
    return number, pos


def wrap_int64(number: int) -> int:
    """Deltas of timestamps are taken modulo 2^64, on both ways, as Java's arithmetic does."""
    return (number + 2**63) % 2**64 - 2**63


def summarise(header: BatchHeader, source: Source, largest: int = MAX_DECOMPRESSED_MESSAGE_BYTES) -> RecordSummary:
    """Walk over all records of ``header``; raises as :func:`walk` does."""
    earliest, latest = _MAX_INT64, NO_TIMESTAMP
    keyless = False
    in_order = True
    for page in walk(header, source, largest):
        deltas = page.twice_offset_deltas
        begin = 2 * page.number
        if in_order and deltas != list(range(begin, begin + 2 * len(deltas), 2)):
            in_order = False
        if page.keyless:
            keyless = True
        times = page.timestamps(header)
        latest = max(latest, max(times))
        first = min(times)
        if first == NO_TIMESTAMP:
            first = min((time for time in times if time != NO_TIMESTAMP), default=_MAX_INT64)
        earliest = min(earliest, first)
    return RecordSummary(NO_TIMESTAMP if earliest == _MAX_INT64 else earliest, latest, keyless, in_order)


def walk(header: BatchHeader, source: Source, largest: int = MAX_DECOMPRESSED_MESSAGE_BYTES) -> Iterator[Page]:
    """All records of ``header`` in ``source``, in pages of at least one.

    Raises ``KafkaError(INVALID_RECORD)`` for bytes that do not fit the format or the header's count, or a record of
    more than ``largest`` bytes; :class:`BoundExceeded`; and what the decoder raises.
    """
    count = header.record_count
    if count < 0:
        raise invalid(f"a record count of {count}")
    source.bounds.take_items(count)
    data = source.take()
    pos = number = 0
    try:
        while number < count:
            page = Page(number)
            until = min(count, number + PAGE)
            pos, number = _walk_piece(data, pos, page, until, source.bounds, largest)
            if number < until:
                # One that goes from this piece into the next, or more of them.
                record = _Stepper(source, data, pos)
                record.step_through(page, number, largest)
                data, pos = record.data, record.pos
                number += 1
            yield page
            if source.pause is not None:
                source.pause()
    except IndexError:
        raise invalid("a record leads outside its batch") from None
    if pos != len(data) or source.take():
        raise invalid("there are bytes behind the last record")


def walk_times(header: BatchHeader, source: Source) -> Iterator[Page]:
    """When the records of ``header`` in ``source`` happened, and their offsets, in pages of at least one.

    Raises as :func:`walk` does, but for what is behind a record's offset, which is not looked at.
    """
    count = header.record_count
    source.bounds.take_items(max(count, 0))
    data = source.take()
    pos = number = 0
    try:
        while number < count:
            page = Page(number)
            until = min(count, number + PAGE)
            pos, number = _walk_times(data, pos, page, until)
            if number < until:
                record = _Stepper(source, data, pos)
                record.step_over_all_but_times(page)
                data, pos = record.data, record.pos
                number += 1
            yield page
            if source.pause is not None:
                source.pause()
    except IndexError:
        raise invalid("a record leads outside its batch") from None
    if pos != len(data) or source.take():
        raise invalid("there are bytes behind the last record")


def _walk_times(data: bytes | memoryview, pos: int, page: Page, count: int) -> tuple[int, int]:
    """As :func:`_walk_piece`, for less."""
    add_time, add_delta = page.twice_timestamp_deltas.append, page.twice_offset_deltas.append
    limit = len(data)
    sure = limit - VARINT
    number = page.number
    while number < count:
        begin = pos
        if pos > sure and not _holds_varint(data, pos):
            break
        size = data[pos]
        pos += 1
        if size >= 0x80:
            if (byte := data[pos]) < 0x80:
                size = size & 0x7F | byte << 7
                pos += 1
            else:
                size, pos = read_varint(data, pos - 1)
        if size & 1:
            raise invalid(f"a record of {(size >> 1) ^ -1} bytes")
        end = pos + (size >> 1)
        if end > limit:
            return begin, number
        time = data[pos + 1]  # behind the attributes byte, which means nothing yet
        pos += 2
        if time >= 0x80:
            time, pos = read_varint(data, pos - 1, 64)
        add_time(~time if time & 1 else time)
        delta = data[pos]
        if delta >= 0x80:
            if (byte := data[pos + 1]) < 0x80:
                delta = delta & 0x7F | byte << 7
                pos += 1
            else:
                delta, pos = read_varint(data, pos)
                pos -= 1
        add_delta(~delta if delta & 1 else delta)
        if pos >= end:
            raise invalid("a record ends before its key")
        pos = end
        number += 1
    return pos, number


def _walk_piece(
    data: bytes | memoryview, pos: int, page: Page, count: int, bounds: Bounds, largest: int
) -> tuple[int, int]:
    """Walk over the records from ``data[pos:]`` on that end within ``data``.

    Returns where the next one begins, and its number; ``count`` is where to stop in any case. Numbers of one and two
    bytes are spelled out: this loop sees every record that is looked at.
    """
    add_time, add_delta, add_keyless = (
        page.twice_timestamp_deltas.append, page.twice_offset_deltas.append, page.keyless.append
    )  # fmt: skip
    limit = len(data)
    sure = limit - VARINT  # up to here a length can be read
    most = 2 * largest
    number = page.number
    while number < count:
        begin = pos
        if pos > sure and not _holds_varint(data, pos):
            break
        size = data[pos]
        pos += 1
        if size >= 0x80:
            if (byte := data[pos]) < 0x80:
                size = size & 0x7F | byte << 7
                pos += 1
            else:
                size, pos = read_varint(data, pos - 1)
        if size & 1 or size > most:
            raise invalid(f"a record of {(size >> 1) ^ -(size & 1)} bytes")
        end = pos + (size >> 1)
        if end > limit:
            return begin, number
        time = data[pos + 1]  # behind the attributes byte, which means nothing yet
        pos += 2
        if time >= 0x80:
            if (byte := data[pos]) < 0x80:
                time = time & 0x7F | byte << 7
                pos += 1
            else:
                time, pos = read_varint(data, pos - 1, 64)
        add_time(~time if time & 1 else time)
        delta = data[pos]
        pos += 1
        if delta >= 0x80:
            if (byte := data[pos]) < 0x80:
                delta = delta & 0x7F | byte << 7
                pos += 1
            else:
                delta, pos = read_varint(data, pos - 1)
        add_delta(~delta if delta & 1 else delta)
        size = data[pos]
        pos += 1
        if size >= 0x80:
            size, pos = read_varint(data, pos - 1)
        if size & 1:
            add_keyless(number)
        else:
            pos += size >> 1
        size = data[pos]
        pos += 1
        if size >= 0x80:
            size, pos = read_varint(data, pos - 1)
        if not size & 1:
            pos += size >> 1
        if data[pos]:
            pos = _step_over_headers(data, pos, end, bounds)
        else:
            pos += 1
        if pos != end:
            raise invalid("the parts of a record do not add up to its length")
        number += 1
    return pos, number


def _holds_varint(data: bytes | memoryview, pos: int) -> bool:
    return any(byte < 0x80 for byte in data[pos:])


def plainly_sound(header: BatchHeader, data: bytes | memoryview, pos: int = 0) -> bool:
    """A glance at the uncompressed records at ``data[pos:]``: are they well-formed, and what the header says true?

    False says only that one has to look closer, with :func:`summarise`: records beyond 8 KiB, times that fall and other
    rare things are not looked into. A good half of what :func:`walk` takes, and nothing to begin with.
    """
    latest = 0
    limit = len(data)
    try:
        for index in range(header.record_count):
            size = data[pos]
            pos += 1
            if size >= 0x80:
                if (byte := data[pos]) >= 0x80:
                    return False
                size = size & 0x7F | byte << 7
                pos += 1
            if size & 1:
                return False
            end = pos + (size >> 1)
            time = data[pos + 1]
            pos += 2
            if time >= 0x80:
                time, pos = read_varint(data, pos - 1, 64)
            if time > latest:
                latest = time
            if time & 1:
                return False
            delta = data[pos]
            pos += 1
            if delta >= 0x80:
                delta, pos = read_varint(data, pos - 1)
            if delta != 2 * index:
                return False
            size = data[pos]
            pos += 1
            if size >= 0x80:
                size, pos = read_varint(data, pos - 1)
            if not size & 1:
                pos += size >> 1
            size = data[pos]
            pos += 1
            if size >= 0x80:
                if (byte := data[pos]) < 0x80:  # of most values
                    size = size & 0x7F | byte << 7
                    pos += 1
                else:
                    size, pos = read_varint(data, pos - 1)
            if not size & 1:
                pos += size >> 1
            if data[pos]:
                # Of 31 headers and more, which take their time, the walk keeps count.
                if data[pos] > 60:
                    return False
                pos = _step_over_headers(data, pos, end)
            else:
                pos += 1
            if pos != end:
                return False
    except (IndexError, KafkaError):
        return False
    return pos == limit and header.base_timestamp + (latest >> 1) == header.max_timestamp >= NO_TIMESTAMP


def _step_over_headers(data: bytes | memoryview, pos: int, end: int, bounds: Bounds | None = None) -> int:
    """The position behind the headers whose count is at ``data[pos:]``, in a record up to ``end``."""
    count, pos = read_varint(data, pos)
    # A header takes two bytes at the least, so the count cannot be taken further than the bytes go.
    if count & 1 or count > end - pos:
        raise invalid(f"{(count >> 1) ^ -(count & 1)} headers in {end - pos} bytes")
    if bounds is not None:
        bounds.take_items(count >> 1)
    for _ in range(count >> 1):
        size = data[pos]
        pos += 1
        if size >= 0x80:
            size, pos = read_varint(data, pos - 1)
        if size & 1:
            raise invalid("a header without a key")
        pos += size >> 1
        size = data[pos]
        pos += 1
        if size >= 0x80:
            size, pos = read_varint(data, pos - 1)
        if not size & 1:
            pos += size >> 1
    return pos


class _Stepper:
    """One record that is not all in one piece, stepped through from ``data[pos:]`` on."""

    __slots__ = ("_left", "_source", "data", "pos")

    def __init__(self, source: Source, data: bytes | memoryview, pos: int) -> None:
        self._source = source
        self._left = VARINT  # bytes of the record from `pos` on
        self.data = data
        self.pos = pos

    def step_through(self, page: Page, number: int, largest: int) -> None:
        """Add the record to ``page``. Raises as :func:`walk` does, and IndexError where the data end."""
        size = self._number()
        if size & 1 or size >> 1 > largest:
            raise invalid(f"a record of {(size >> 1) ^ -(size & 1)} bytes")
        self._left = size >> 1
        self._skip(1)
        time, delta, key = self._number(64), self._number(), self._number()
        page.twice_timestamp_deltas.append(~time if time & 1 else time)
        page.twice_offset_deltas.append(~delta if delta & 1 else delta)
        if key & 1:
            page.keyless.append(number)
        self._skip_sized(key)
        self._skip_sized(self._number())
        count = self._number()
        if count & 1 or count > self._left:
            raise invalid(f"{(count >> 1) ^ -(count & 1)} headers in {self._left} bytes")
        self._source.bounds.take_items(count >> 1)
        self._step_over_headers(count >> 1)
        if self._left:
            raise invalid("the parts of a record do not add up to its length")

    def step_over_all_but_times(self, page: Page) -> None:
        """Add the record's times to ``page``. Raises as :func:`walk_times` does, and IndexError where the data end."""
        size = self._number()
        if size & 1:
            raise invalid(f"a record of {(size >> 1) ^ -1} bytes")
        self._left = size >> 1
        self._skip(1)
        time, delta = self._number(64), self._number()
        page.twice_timestamp_deltas.append(~time if time & 1 else time)
        page.twice_offset_deltas.append(~delta if delta & 1 else delta)
        self._skip(self._left)

    def _step_over_headers(self, count: int) -> None:
        """A record may have millions of them: those that lie in one piece are stepped over in a loop of few steps."""
        while count:
            count -= self._step_over_near_headers(count)
            if count:
                name = self._number()
                if name & 1:
                    raise invalid("a header without a key")
                self._skip_sized(name)
                self._skip_sized(self._number())
                count -= 1

    def _step_over_near_headers(self, count: int) -> int:
        """How many of the next `count` headers have been stepped over: short ones, all in this piece and record."""
        data, pos = self.data, self.pos
        limit = min(len(data), pos + self._left)
        number = 0
        good = pos
        try:
            while number < count:
                size = data[pos]
                if size & 0x81:
                    break
                pos += 1 + (size >> 1)
                size = data[pos]
                if size >= 0x80:
                    break
                pos += 1 if size & 1 else 1 + (size >> 1)
                if pos > limit:
                    break
                good = pos
                number += 1
        except IndexError:
            pass  # the next one goes on in the next piece
        self._left -= good - self.pos
        self.pos = good
        return number

    def _number(self, bits: int = 32) -> int:
        if len(self.data) - self.pos < VARLONG:
            self.data = self._source.join(self.data[self.pos :], VARLONG)
            self.pos = 0
        number, pos = read_varint(self.data, self.pos, bits)
        self._left -= pos - self.pos
        self.pos = pos
        if self._left < 0:
            raise invalid("a varint leads outside its record")
        return number

    def _skip_sized(self, size: int) -> None:
        if not size & 1:
            self._skip(size >> 1)

    def _skip(self, size: int) -> None:
        self._left -= size
        if self._left < 0:
            raise invalid("a key, value or header leads outside its record")
        self.pos += size
        while self.pos > len(self.data):
            self.pos -= len(self.data)
            self.data = self._source.take()
            if not self.data:
                raise invalid("a record leads outside its batch")


def count_frames(header: BatchHeader, source: Source, largest: int = MAX_DECOMPRESSED_MESSAGE_BYTES) -> None:
    """Hold the number of record frames in ``source`` to the header's, by their lengths alone.

    Raises ``KafkaError(INVALID_RECORD)`` when there are more or fewer, one leads outside, or is longer than ``largest``
    or shorter than a record can be; :class:`BoundExceeded`; and what the decoder raises.
    """
    source.bounds.take_items(header.record_count)
    data = source.take()
    pos, limit = 0, len(data)
    sure = limit - VARINT
    try:
        for _ in range(header.record_count):
            if pos > sure:
                data = source.join(data[pos:], VARINT)
                pos, limit = 0, len(data)
                sure = max(limit - VARINT, 0)
            size = data[pos]
            pos += 1
            # Lengths of one and two bytes, that is, records below 8 KiB, are spelled out.
            if size >= 0x80:
                if (byte := data[pos]) < 0x80:
                    size = size & 0x7F | byte << 7
                    pos += 1
                else:
                    size, pos = read_varint(data, pos - 1)
            # Odd means negative.
            if size & 1 or not 2 * MIN_RECORD_SIZE <= size <= 2 * largest:
                raise invalid(f"a record of {(size >> 1) ^ -(size & 1)} bytes")
            pos += size >> 1
            while pos > limit:
                pos -= limit
                data = source.take()
                limit = len(data)
                sure = limit - VARINT
                if not limit:
                    raise invalid("a record leads outside its batch")
    except IndexError:
        raise invalid(f"the header announces {header.record_count} records, and there are fewer") from None
    if pos != limit or source.take():
        raise invalid("there are bytes behind the last record")
