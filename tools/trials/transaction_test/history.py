"""A history: operations in the order in which they ended, one line of JSON each, so that it can be looked at and kept.

A *key* is one partition of a topic, written `topic/partition`; a *value* is an integer, sent to its key once and never
again. An operation's number is its place in the history.

====================  ==============================================================================================
field                 meaning
====================  ==============================================================================================
`process`             who did it: a client's life. After a crash its lane goes on as another process
`lane`                the thread, which keeps its transactional id and its group over all its lives
`kind`                `ok`: done. `fail`: certainly not done. `info`: unknown
`what`                `txn`: a transaction. `poll`: outside of one. `assign`: the consumer now reads other keys
`sends`               (key, offset or None, value): in the order in which they were handed over
`polls`               (key, offset, value): in the order in which they came
`positions`           of `assign`: key -> where reading begins; `resumed` when it is what the group had committed
`began`, `ended`      seconds of one clock for all lanes
====================  ==============================================================================================
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal

Kind = Literal["ok", "fail", "info"]
What = Literal["txn", "poll", "assign"]
Send = tuple[str, int | None, int]
Poll = tuple[str, int, int]


@dataclass
class Operation:
    """One operation, ended."""

    process: int
    kind: Kind
    what: What
    sends: list[Send] = field(default_factory=list)
    polls: list[Poll] = field(default_factory=list)
    positions: dict[str, int] = field(default_factory=dict)
    resumed: bool = False
    lane: int = 0
    began: float = 0.0
    ended: float = 0.0
    error: str = ""
    number: int = -1

    def __str__(self) -> str:
        return f"operation {self.number} ({self.what} of process {self.process}, {self.kind})"


class HistoryWriter:
    """Appends operations to a file, a new one unless it is to go on; any thread may."""

    def __init__(self, path: Path, *, go_on: bool = False) -> None:
        # Whatever becomes of the run, each line counts.
        self._file = path.open("a" if go_on else "w", encoding="utf-8", buffering=1)
        self._lock = threading.Lock()
        self.count = 0

    def write(self, operation: Operation) -> None:
        """Add one that has ended. Nothing once the file has: a lane may have been left behind."""
        fields = asdict(operation)
        del fields["number"]
        line = json.dumps(fields, separators=(",", ":"))
        with self._lock:
            if not self._file.closed:
                self._file.write(f"{line}\n")
                self.count += 1

    def close(self) -> None:
        """End the file."""
        with self._lock:
            self._file.close()


def read_history(path: Path) -> list[Operation]:
    """The operations of a file. Raises OSError, ValueError."""
    with path.open(encoding="utf-8") as lines:
        return numbered(_operation(line) for line in lines)


def numbered(operations: Iterable[Operation]) -> list[Operation]:
    """The same, each with its place."""
    found = list(operations)
    for number, operation in enumerate(found):
        operation.number = number
    return found


def _operation(line: str) -> Operation:
    fields = json.loads(line)
    try:
        fields["sends"] = [(key, offset, value) for key, offset, value in fields["sends"]]
        fields["polls"] = [(key, offset, value) for key, offset, value in fields["polls"]]
        return Operation(**fields)
    except (KeyError, TypeError) as error:
        raise ValueError(f"no operation: {line[:100]}") from error


def by_process(history: Iterable[Operation]) -> Iterator[list[Operation]]:
    """The operations of each process, in order."""
    found: dict[int, list[Operation]] = {}
    for operation in history:
        found.setdefault(operation.process, []).append(operation)
    yield from found.values()
