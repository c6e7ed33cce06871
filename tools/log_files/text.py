"""The lines of `lines.py` for people: one line each, the most telling values first."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Final

from tools.log_files.lines import Line


def rendered(line: Line) -> str:
    """One line of a dump as text."""
    return _RENDERERS[line["type"]](line)


def moment(millis: int) -> str:
    """A timestamp as people write it, with the number that the log holds; the number alone beyond the calendar."""
    try:
        if millis >= 0:
            return f"{millis} ({datetime.fromtimestamp(millis / 1000, UTC):%Y-%m-%d %H:%M:%S.%f}"[:-3] + ")"
    except (ValueError, OverflowError, OSError):
        pass
    return str(millis)


def _file(line: Line) -> str:
    of = f" of {line['topic']}-{line['partition']}" if "topic" in line else ""
    at = f" at offset {line['offset']}" if "offset" in line else ""
    return f"{line['file']}: {line['kind']}{of}{at}, {line['size']} bytes"


def _batch(line: Line) -> str:
    offsets = f"{line['base_offset']}..{line['last_offset']}"
    words = [
        f"batch {offsets} count {line['count']}",
        f"byte {line['position']} size {line['size']}",
        f"crc {line['crc']:08x} {'valid' if line['crc_valid'] else 'INVALID'}",
        f"codec {line['codec']}",
        f"{line['timestamp_type']} max {moment(line['max_timestamp'])}",
        f"leader epoch {line['leader_epoch']}",
    ]
    if line["producer_id"] >= 0:
        words.append(f"producer {line['producer_id']} epoch {line['producer_epoch']}")
        if line["base_sequence"] >= 0:
            words.append(f"sequences {line['base_sequence']}..{line['last_sequence']}")
    words += [name for name in ("transactional", "control") if line[name]]
    if "delete_horizon" in line:
        words.append(f"delete horizon {moment(line['delete_horizon'])}")
    return "  " + ", ".join(words)


def _record(line: Line) -> str:
    head = f"    record {line['offset']} at {moment(line['timestamp'])}"
    if "sequence" in line:
        head += f" sequence {line['sequence']}"
    body = f" key {_quoted(line['key'])} value {_quoted(line['value'])}"
    if line["headers"]:
        body += f" headers {_quoted(line['headers'])}"
    return head + body + _why(line)


def _control(line: Line) -> str:
    head = f"    control {line['offset']} at {moment(line['timestamp'])}"
    return f"{head} {line.get('control', '?')} {_quoted(line.get('value'))}" + _why(line)


def _why(line: Line) -> str:
    return f"  (UNREADABLE: {line['unreadable']})" if "unreadable" in line else ""


def _quoted(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


def _entry(line: Line) -> str:
    if "timestamp" in line:
        return f"  timestamp {moment(line['timestamp'])} offset {line['offset']}"
    return f"  offset {line['offset']} byte {line['position']}"


def _values(line: Line) -> str:
    return "  " + " ".join(f"{name} {value}" for name, value in line.items() if name != "type")


_RENDERERS: Final[Mapping[str, Callable[[Line], str]]] = {
    "file": _file,
    "batch": _batch,
    "record": _record,
    "control": _control,
    "entry": _entry,
    "hole": lambda line: f"  NO BATCH at byte {line['position']}, {line['size']} bytes: {line['reason']}",
    "unreadable": lambda line: f"  UNREADABLE: {line['reason']}",
    "preallocated": lambda line: f"  {line['size']} bytes of zeros, not used yet",
    "aborted": _values,
    "producer": _values,
    "epoch": _values,
    "offset": lambda line: f"  {line['topic']}-{line['partition']} {line['offset']}",
    "dirty_log": lambda line: f"  {line['topic']}-{line['partition']}",
    "topic_id": _values,
    "identity": _values,
    "values": lambda line: f"  {_quoted(line['values'])}",
    "wrong": lambda line: f"  WRONG: {line['sentence']}",
}
