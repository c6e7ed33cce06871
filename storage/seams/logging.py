"""The door to the log: an event in a few constant words, and fields. On standard error, for people or for programs.

    log = get_logger(__name__)
    log.warning("connection closed", peer=host, reason=str(error))

On a terminal a line is laid out for reading, elsewhere it is one JSON object; `ottla.log.format` decides otherwise.

**Nothing a peer sends can forge or break a line.** Client ids, topic names, error texts may hold line ends and terminal
escapes. Here they are fields, never parts of the event, and every control character in them is written as `\\x1b` is
here. What is secret (passwords, the values of sensitive configs, SASL messages) is not logged at all.

**Loading structlog takes 25 ms**, a good part of the time that a start may take, so it is loaded by the first line
that is laid out for reading: for a JSON object it would do no more than the standard library does. Asking for a logger,
or for a line below the level, costs next to nothing; even so the paths that every record takes do not log.

**Logging never fails.** A full or closed standard error loses lines, it does not stop a broker.

**What a thousand peers can cause at once is one line.** `RateLimitedLogger` writes the first line of a kind and then
one a second, which says how many it stands for; see there.

Time comes from the injected clock. Levels can be changed while the broker runs, by logger: `root` is the rule, others
are exceptions (Kafka's resource BROKER_LOGGER).
"""

from __future__ import annotations

import contextlib
import sys
import traceback
from collections.abc import Callable, Mapping
from typing import Any, Final, Literal, Protocol, TextIO, TypeAlias

LEVELS: Final = {"debug": 10, "info": 20, "warning": 30, "error": 40}
Level: TypeAlias = Literal["debug", "info", "warning", "error"]
ROOT: Final = "root"


class WallClock(Protocol):
    """As much of a clock as a log line needs."""

    def wall_millis(self) -> int:
        """Milliseconds since 1970-01-01 UTC."""
        ...


class Logger:
    """Writes lines under one name, with fields that all of them share."""

    __slots__ = ("_fields", "_lines", "name")

    def __init__(self, lines: LogLines, name: str, fields: Mapping[str, Any]) -> None:
        self._lines = lines
        self._fields = fields
        self.name = name

    def bind(self, **fields: Any) -> Logger:
        """A logger of the same name with more fields."""
        return Logger(self._lines, self.name, {**self._fields, **fields})

    def debug(self, event: str, /, **fields: Any) -> None:
        """For looking for a fault in the broker."""
        if self._lines.wants(self.name, 10):
            self._lines.write(self.name, "debug", event, {**self._fields, **fields})

    def info(self, event: str, /, **fields: Any) -> None:
        """What an operator would like to have known afterwards."""
        if self._lines.wants(self.name, 20):
            self._lines.write(self.name, "info", event, {**self._fields, **fields})

    def warning(self, event: str, /, **fields: Any) -> None:
        """Something is not as it should be, and was dealt with."""
        if self._lines.wants(self.name, 30):
            self._lines.write(self.name, "warning", event, {**self._fields, **fields})

    def error(self, event: str, /, *, exc_info: BaseException | bool | None = None, **fields: Any) -> None:
        """Something failed that must be looked after. `exc_info` adds a traceback: True, of the one at hand."""
        if self._lines.wants(self.name, 40):
            if exc_info is True:
                exc_info = sys.exc_info()[1]
            if isinstance(exc_info, BaseException):
                fields["exception"] = exc_info
            self._lines.write(self.name, "error", event, {**self._fields, **fields})

    def exception(self, event: str, /, **fields: Any) -> None:
        """An error with the traceback of the exception being handled."""
        self.error(event, exc_info=True, **fields)


class RateLimitedLogger:
    """One line a second for each kind: where one cause can end three thousand connections, it does not write as many.
    With `burst`, so many of them.

    The first line of a kind is written at once. Of those in the second after it the last one is held back; the next
    line of the kind, or `flush` when the second is over, counts it and the others in its field `left_out`. So the log
    shows at once that something happens, and with the next `flush` how often.

    A kind is a word that the code knows (the event, unless `kind` is given), never one that a peer chooses: there are
    as many kinds as the code has. `now` returns monotonic seconds. The owner calls `flush` now and then while `holds`.
    """

    __slots__ = ("_burst", "_held", "_logger", "_now", "_until", "_written")

    def __init__(self, logger: Logger, now: Callable[[], float], *, burst: int = 1) -> None:
        self._logger = logger
        self._now = now
        self._burst = burst
        self._written: dict[str, int] = {}  # kind -> how many in the second that is not over
        self._until: dict[str, float] = {}  # kind -> when it may be written again
        self._held: dict[str, tuple[Callable[..., None], str, dict[str, Any], int]] = {}  # the last one, how many

    @property
    def holds(self) -> bool:
        """Whether a line waits for its second to be over."""
        return bool(self._held)

    def debug(self, event: str, /, *, kind: str = "", **fields: Any) -> None:
        """As Logger.debug. Lines that the level leaves out count as written."""
        self._line(self._logger.debug, event, kind, fields)

    def info(self, event: str, /, *, kind: str = "", **fields: Any) -> None:
        """As Logger.info."""
        self._line(self._logger.info, event, kind, fields)

    def warning(self, event: str, /, *, kind: str = "", **fields: Any) -> None:
        """As Logger.warning."""
        self._line(self._logger.warning, event, kind, fields)

    def error(self, event: str, /, *, kind: str = "", **fields: Any) -> None:
        """As Logger.error."""
        self._line(self._logger.error, event, kind, fields)

    def flush(self) -> None:
        """Write what was held back for a second."""
        now = self._now()
        for kind in [kind for kind in self._held if now >= self._until[kind]]:
            write, event, fields, count = self._held.pop(kind)
            self._write(kind, now, write, event, fields, count - 1)

    def _line(self, write: Callable[..., None], event: str, kind: str, fields: dict[str, Any]) -> None:
        kind = kind or event
        now = self._now()
        count = self._held[kind][3] if kind in self._held else 0
        if now < self._until.get(kind, now):
            if self._written[kind] < self._burst:
                self._written[kind] += 1
                write(event, **fields)
                return
            self._held[kind] = (write, event, fields, count + 1)
        else:
            self._held.pop(kind, None)
            self._write(kind, now, write, event, fields, count)

    def _write(
        self, kind: str, now: float, write: Callable[..., None], event: str, fields: dict[str, Any], left_out: int
    ) -> None:
        self._until[kind] = now + 1.0
        self._written[kind] = 1
        write(event, **fields, **({"left_out": left_out} if left_out else {}))


class LogLines:
    """Where lines go, in which form, from which level on. The process has one (`get_logger`); tests make their own."""

    def __init__(self) -> None:
        self._stream: TextIO | None = None
        self._format = "auto"
        self._clock: WallClock | None = None
        self._levels = {ROOT: LEVELS["info"]}
        self._names = {ROOT}
        self._render: Callable[[dict[str, Any]], str] | None = None

    def configure(
        self,
        *,
        level: str = "info",
        form: str = "auto",
        clock: WallClock | None = None,
        stream: TextIO | None = None,
    ) -> None:
        """Set everything. `level` is a key of LEVELS, `form` one of auto, text, json; lines go to `stream`, or to
        what is standard error when they are written."""
        self._levels = {ROOT: LEVELS[level]}
        self._format, self._clock, self._stream, self._render = form, clock, stream, None

    def logger(self, name: str) -> Logger:
        """A logger called `name`; the same words everywhere, usually `__name__`."""
        self._names.add(name)
        return Logger(self, name, {})

    def names(self) -> list[str]:
        """ROOT, and every logger that was asked for so far, in alphabetical order."""
        return [ROOT, *sorted(self._names - {ROOT})]

    def level(self, name: str) -> str:
        """The level in force for a logger."""
        number = self._levels.get(name, self._levels[ROOT])
        return next(word for word, value in LEVELS.items() if value == number)

    def levels(self) -> dict[str, str]:
        """The levels that were set, logger to level, ROOT included."""
        words = {value: word for word, value in LEVELS.items()}
        return {name: words[value] for name, value in self._levels.items()}

    def set_levels(self, levels: Mapping[str, str]) -> None:
        """Replace all levels by `levels`, logger to level. ROOT, if missing, keeps its level."""
        root = self._levels[ROOT]
        self._levels = {ROOT: root} | {name: LEVELS[level] for name, level in levels.items()}

    def wants(self, name: str, level: int) -> bool:
        """Whether a line of this level would be written."""
        levels = self._levels
        return level >= (levels[ROOT] if len(levels) == 1 else levels.get(name, levels[ROOT]))

    def write(self, name: str, level: str, event: str, fields: Mapping[str, Any]) -> None:
        """Write one line, whatever its level."""
        stream = self._stream if self._stream is not None else sys.stderr
        # At the end of an interpreter there may be none; a reader that went away breaks the pipe.
        with contextlib.suppress(OSError, ValueError, AttributeError):
            if self._clock is None:
                from storage.seams.clock import SystemClock

                self._clock = SystemClock()
            if self._render is None:
                self._render = _renderer(self._format, stream)
            line = {"timestamp": _utc(self._clock.wall_millis()), "level": level, "logger": name, "event": event}
            line |= {f"{key}_" if key in line else key: value for key, value in fields.items()}
            stream.write(self._render(line) + "\n")
            stream.flush()


_LINES: Final = LogLines()


def get_logger(name: str) -> Logger:
    """A logger of this process. Usable before `configure`: lines from INFO on then go to standard error."""
    return _LINES.logger(name)


def configure(*, level: str = "info", form: str = "auto", clock: WallClock | None = None) -> None:
    """Say how this process logs: the values of `ottla.log.level` and `ottla.log.format`, and the broker's clock."""
    _LINES.configure(level=level, form=form, clock=clock)


def process_lines() -> LogLines:
    """The process's own, for what shows or changes levels."""
    return _LINES


# ---------------------------------------------------------------------------------------------------------------------
# One line


def _renderer(form: str, stream: TextIO) -> Callable[[dict[str, Any]], str]:
    """The function that makes a line of its fields. Loads structlog if people are to read it."""
    terminal = stream.isatty()
    if form == "text" or (form == "auto" and terminal):
        from structlog.dev import ConsoleRenderer

        console = ConsoleRenderer(colors=terminal and sys.platform != "win32")

        def text(fields: dict[str, Any]) -> str:
            error = fields.pop("exception", None)
            line = console(None, "", {key: visible(value) for key, value in fields.items()})
            # Indented, so that no line of an exception's message can pass for a line of ours.
            return str(line) + "".join(f"\n    {part}" for part in _traceback(error))

        return text

    import json

    def in_json(fields: dict[str, Any]) -> str:
        if "exception" in fields:
            fields["exception"] = "\n".join(_traceback(fields["exception"]))
        # Characters beyond ASCII are escaped too: no reader of a log then needs to agree with us about encodings.
        return json.dumps(fields, default=_plain, ensure_ascii=True)

    return in_json


def visible(value: Any) -> Any:
    """`value` with nothing in it that moves a terminal's cursor, ends a line or hides what stands beside it."""
    if value is None or isinstance(value, bool | int | float):
        return value
    text = value if isinstance(value, str) else _plain(value)
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else _escaped(char) for char in text)


def _escaped(char: str) -> str:
    code = ord(char)
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _plain(value: Any) -> str:
    """Text for what JSON has no word for. A field that cannot tell about itself must not cost the line."""
    if isinstance(value, BaseException):
        return f"{type(value).__name__}: {value}"
    try:
        return repr(value)
    except Exception as error:
        return f"<{type(value).__name__} without repr: {type(error).__name__}>"


def _traceback(error: Any) -> list[str]:
    if error is None:
        return []
    if not isinstance(error, BaseException):
        return [str(visible(error))]
    lines = "".join(traceback.format_exception(error)).splitlines()
    return [str(visible(line)) for line in lines]


def _utc(millis: int) -> str:
    """ISO 8601 in UTC with milliseconds."""
    from datetime import UTC, datetime

    return datetime.fromtimestamp(millis // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%S") + f".{millis % 1000:03d}Z"
