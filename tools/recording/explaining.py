"""A recording printed frame by frame, each field by field."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from kproto.errors import ProtocolError
from kproto.headers import API_VERSIONS, read_request_head, read_response_header, skip_tagged_fields
from kproto.messages import request_type
from kproto.schema.explain import dump
from tools.recording.recording_file import Recording, unpacked


def explain(path: str) -> Iterator[str]:
    """A text for each event of a recording, in order. Raises Misunderstood for a file that is none."""
    keys: dict[tuple[int, int], int] = {}
    recording = Recording(path)
    for event in recording.events():
        yield _title(event)
        if event["event"] == "request":
            keys[event["connection"], event["number"]] = event["key"]
            yield _request(unpacked(event["frame"]))
        elif event["event"] == "reply":
            key = keys.pop((event["connection"], event["number"]), None)
            if key is not None:
                yield _reply(unpacked(event["frame"]), key, event["version"])
    if not recording.whole:
        yield "the recording was cut short here"


def _title(event: dict[str, Any]) -> str:
    words = [f"{event['at']:.6f}", f"connection {event['connection']}", event["event"]]
    words += [f"{name}={event[name]}" for name in ("number", "api", "version", "client") if name in event]
    words += [f"{name}={event[name]}" for name in ("peer", "broker", "from", "fault", "by", "why") if name in event]
    return " ".join(words)


def _request(frame: bytes) -> str:
    view = memoryview(frame)
    try:
        head = read_request_head(view)
        request = request_type(head.api_key)
        at = skip_tagged_fields(view, head.tags_at) if head.api_version >= request.flexible_version else head.tags_at
        return _dump(request, head.api_version, view[at:])
    except (ProtocolError, KeyError):
        return f"{len(frame)} bytes"


def _reply(frame: bytes, key: int, version: int) -> str:
    view = memoryview(frame)
    try:
        response = request_type(key).response_type
        flexible = version >= response.flexible_version and key != API_VERSIONS
        return _dump(response, version, view[read_response_header(view, flexible)[1] :])
    except (ProtocolError, KeyError):
        return f"{len(frame)} bytes"


def _dump(cls: Any, version: int, body: memoryview) -> str:
    if not cls.min_version <= version <= cls.max_version:
        return f"{len(body)} bytes of {cls.kafka_name}, in a version that is not known here"
    return dump(cls, version, body)
