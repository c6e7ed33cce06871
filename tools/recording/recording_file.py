"""A recording as a file: JSON, a line for each thing that happened, gzip over all of them (`zcat FILE | head`).

The first line says what it is:

    {"format": "ottla-recording", "version": 1, "began_ms": 1790000000000, "bootstrap": ["host:9092"],
     "masked": true, "about": {"what a line means": ...}}

Each line after it is one event, in the order in which the recorder saw them; `at` is seconds since the beginning.

| event | members |
| --- | --- |
| open | `connection` (a number), `peer`, `broker` (the address behind), `node` (its id, -1 if not known yet) |
| request | `connection`, `number` (of its requests, from 1 on), `api`, `key`, `version`, `correlation`, `client`, |
| | `frame`, `message` |
| reply | `connection`, `number` (of the request that it answers), `api`, `version`, `frame`, `message` |
| token | `connection`, `number`, `from` (client or broker), `frame`: SASL behind SaslHandshake 0 |
| fault | `connection`, `number`, `fault`: what was done to it |
| close | `connection`, `by`: client, broker, fault, recorder; `why`, where there is something to say |
| end | `events`, `connections`; a file without it was cut short |

`frame` is the frame in base64 without its length, as it came: before addresses in a reply were replaced, and with what
is secret masked. `message` is the same for people (`plain.py`); where it could not be decoded there is `undecoded`, the
reason, instead.

A line is written when the event happens and reaches the file within a second, so a recorder that is killed leaves all
but the last moment. Readers pass over members that they do not know.
"""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, Final

from tools.failures import Failed, Misunderstood

FORMAT: Final = "ottla-recording"
VERSION: Final = 1
MOST_LINE_BYTES: Final = 1 << 30

ABOUT: Final = {
    "open": "a client has connected",
    "request": "a frame from the client; frame is base64, message the same for people",
    "reply": "a frame from the broker, before addresses in it were replaced",
    "token": "a frame of SASL without a header",
    "fault": "what was done on purpose",
    "close": "a connection has ended",
    "end": "the recorder was stopped; without it the file was cut short",
}


class RecordingWriter:
    """Writes events. `flush` brings what was written to the file, `close` ends it."""

    def __init__(self, path: str, header: dict[str, Any]) -> None:
        """Make the file, and write the first line. Raises Failed if it cannot be made, or is there already."""
        try:
            self._file: IO[bytes] = Path(path).open("xb")  # noqa: SIM115  (closed by `close`)
        except FileExistsError:
            raise Misunderstood(f"{path} is there already: name a new file, or remove it") from None
        except OSError as error:
            raise Failed(f"{path} cannot be written: {error.strerror}") from None
        self._path = path
        self._gzip = zlib.compressobj(6, zlib.DEFLATED, 31)
        self._unflushed = False
        self.events = 0
        self._line({"format": FORMAT, "version": VERSION, **header, "about": ABOUT})
        self.flush()

    def write(self, event: dict[str, Any]) -> None:
        """One more event. Takes time in proportion to its size. Raises Failed."""
        self.events += 1
        self._line(event)

    def _line(self, value: dict[str, Any]) -> None:
        data = self._gzip.compress(json.dumps(value, separators=(",", ":")).encode() + b"\n")
        self._unflushed = True
        self._put(data)

    def flush(self) -> None:
        """Let a reader of the file see all events so far. Raises Failed."""
        if self._unflushed:
            self._unflushed = False
            self._put(self._gzip.flush(zlib.Z_SYNC_FLUSH))
            self._file.flush()

    def close(self) -> None:
        """End the file. Raises Failed."""
        try:
            self._put(self._gzip.flush(zlib.Z_FINISH))
        finally:
            self._file.close()

    def _put(self, data: bytes) -> None:
        try:
            self._file.write(data)
        except OSError as error:
            raise Failed(f"{self._path} cannot be written: {error.strerror}") from None


class Recording:
    """A recording to be read. `header` is the first line."""

    def __init__(self, path: str) -> None:
        """Raises Misunderstood for a file that is none."""
        self._path = path
        self.whole = False
        """Whether its end was read."""
        try:
            first = next(self._lines(), None)
        except (OSError, zlib.error) as error:
            raise Misunderstood(f"{path} cannot be read: {error}") from None
        if not isinstance(first, dict) or first.get("format") != FORMAT:
            raise Misunderstood(f"{path} is no recording: its first line does not say so")
        if first.get("version") != VERSION:
            raise Misunderstood(
                f"{path} is a recording of version {first.get('version')}; here version {VERSION} is known"
            )
        self.header: dict[str, Any] = first

    def events(self) -> Iterator[dict[str, Any]]:
        """The events in order; those of a file that was cut short as far as they go."""
        lines = self._lines()
        next(lines)
        for line in lines:
            if line.get("event") == "end":
                self.whole = True
                return
            yield line

    def _lines(self) -> Iterator[dict[str, Any]]:
        gunzip = zlib.decompressobj(31)
        rest = b""
        try:
            with Path(self._path).open("rb") as file:
                while block := file.read(1 << 16):
                    while block:
                        rest += gunzip.decompress(block, 1 << 20)
                        block = gunzip.unconsumed_tail
                        *lines, rest = rest.split(b"\n")
                        yield from map(json.loads, lines)
                        if len(rest) > MOST_LINE_BYTES:
                            raise Misunderstood(f"{self._path} has a line of more than {MOST_LINE_BYTES} bytes")
        except ValueError as error:
            raise Misunderstood(f"{self._path} has a line that is no JSON: {error}") from None


def packed(frame: bytes | memoryview) -> str:
    """A frame as it stands in a line."""
    return base64.b64encode(frame).decode()


def unpacked(text: str) -> bytes:
    """The frame of a line. Raises ValueError."""
    return base64.b64decode(text, validate=True)
