"""What has become of a commit, as it is kept in its row for a broker that asks again.

A plain outcome is one base offset for each run (`obj.bases`). Any other is JSON (`obj.outcomes`): a list with an entry
for each run, which is a base offset, or a list with an entry for each append:

    ["taken", base_offset]    ["repeated", base_offset, last_offset]
    ["refused", error code, message]    ["wrong end", expected, actual]
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from kproto.errors import ErrorCode, KafkaError
from storage.engine import WrongEnd
from storage.object.control_plane import AppendOutcome, Repeated, RunOutcome, Taken


def pack(outcomes: Sequence[RunOutcome]) -> bytes:
    """As it is kept."""
    runs: list[Any] = []
    for outcome in outcomes:
        if outcome.appends is None:
            runs.append(outcome.base_offset)
        else:
            runs.append([_packed(append) for append in outcome.appends])
    return json.dumps(runs, separators=(",", ":")).encode()


def unpack(data: bytes) -> list[RunOutcome]:
    """As it was answered, but for the positions of the logs."""
    return [
        RunOutcome(run, None, None)
        if isinstance(run, int)
        else RunOutcome(-1, [_unpacked(append) for append in run], None)
        for run in json.loads(data)
    ]


def _packed(append: AppendOutcome) -> list[Any]:
    if isinstance(append, Taken):
        return ["taken", append.base_offset]
    if isinstance(append, Repeated):
        return ["repeated", append.base_offset, append.last_offset]
    if isinstance(append, WrongEnd):
        return ["wrong end", append.expected, append.actual]
    return ["refused", int(append.code), append.message]


def _unpacked(append: list[Any]) -> AppendOutcome:
    kind, *values = append
    if kind == "taken":
        return Taken(*values)
    if kind == "repeated":
        return Repeated(*values)
    if kind == "wrong end":
        return WrongEnd(*values)
    assert kind == "refused", f"an outcome of an unknown kind: {kind}"
    code, message = values
    return KafkaError(ErrorCode(code), message)
