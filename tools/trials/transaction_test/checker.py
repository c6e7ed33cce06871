"""What a history says about the broker: every contradiction, by name.

From all that was sent and seen the checker rebuilds each key's log: at which offset which value stands (markers and
aborted records leave holes there). An operation counts as committed when it is `ok`, or when it is `info` and a part of
it was read by one that is `ok`. Then it looks for

====================  ==============================================================================================
inconsistent-offsets  two values at one offset
duplicate             one value at two offsets
phantom-read          a value that was never sent
lost-write            committed, below what was read of its key, and never read
unseen                committed, and not read by the end, when every log had been read to its end
aborted-read          what an operation that failed had sent (G1a)
precommitted-read     an operation reads what it sends itself, before it can have committed
torn-transaction      a part was read, and another part never
poll-skip             two consecutive reads of a process leave out what is between them
nonmonotonic-poll     two consecutive reads of a process go back
internal-...          the same two within one operation
nonmonotonic-send     what a producer has sent later stands earlier in the log
stale-offsets         a group resumes somewhere else than where its last transaction has left it
G1c                   a cycle of operations each of which has read what the next has written
G0                    a cycle of writes standing behind each other. Kafka does not isolate writes: it is allowed
G1c-with-writes       a cycle of both kinds, likewise allowed
====================  ==============================================================================================

Sends that leave out others' values are no anomaly at all: transactions of several producers interleave in a log.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import Final, NamedTuple

from tools.trials.transaction_test.cycles import components, shortest_cycle
from tools.trials.transaction_test.history import Operation, by_process

ALLOWED: Final = frozenset({"G0", "G1c-with-writes"})
WITNESSES: Final = 8
AROUND: Final = 3


class Anomaly(NamedTuple):
    """Something that must not be, and where: the key and value at which it shows, and the operations it is about."""

    name: str
    key: str
    value: int
    detail: str
    operations: tuple[int, ...] = ()

    def __str__(self) -> str:
        where = f"{self.key} value {self.value}: " if self.key else ""
        about = f" (operations {', '.join(map(str, self.operations))})" if self.operations else ""
        return f"{where}{self.detail}{about}"


class Logs:
    """What the history says about each key's log."""

    def __init__(self, history: Sequence[Operation]) -> None:
        self.writer: dict[tuple[str, int], Operation] = {}
        self.readers: dict[tuple[str, int], list[Operation]] = defaultdict(list)
        self.read: dict[str, set[int]] = defaultdict(set)
        """Values that an `ok` operation has read."""
        self.values: dict[str, dict[int, set[int]]] = defaultdict(lambda: defaultdict(set))
        """Offset -> the values that were seen there, or are known to be there."""
        for operation in history:
            for key, _, value in operation.sends:
                self.writer[key, value] = operation
            for key, _, value in operation.polls:
                self.readers[key, value].append(operation)
                if operation.kind == "ok":
                    self.read[key].add(value)
        for operation in history:
            for key, offset, value in operation.polls:
                self.values[key][offset].add(value)
            if self.committed(operation):
                for key, known, value in operation.sends:
                    if known is not None:
                        self.values[key][known].add(value)
        self.order: dict[str, list[int]] = {}
        self.index: dict[str, dict[int, int]] = {}
        for key, at in self.values.items():
            self.order[key] = list(dict.fromkeys(min(at[offset]) for offset in sorted(at)))
            self.index[key] = {value: place for place, value in enumerate(self.order[key])}

    def committed(self, operation: Operation) -> bool:
        """Whether its sends count."""
        if operation.kind == "info":
            return any(value in self.read[key] for key, _, value in operation.sends)
        return operation.kind == "ok"

    def around(self, key: str, value: int) -> str:
        """The values that stand before and behind one."""
        place = self.index.get(key, {}).get(value)
        if place is None:
            return "not in the log"
        return f"in the log beside {self.order[key][max(0, place - AROUND) : place + AROUND + 1]}"


def check(history: Sequence[Operation]) -> list[Anomaly]:
    """Every anomaly, those that are allowed among them."""
    logs = Logs(history)
    return [
        *check_offsets(logs),
        *check_lost(logs, history),
        *check_reads(logs, history),
        *check_processes(logs, history),
        *check_torn(logs, history),
        *check_resumed(history),
        *check_cycles(logs),
    ]


def forbidden(found: Iterable[Anomaly]) -> list[Anomaly]:
    """Those that are not allowed."""
    return [each for each in found if each.name not in ALLOWED]


def check_offsets(logs: Logs) -> Iterator[Anomaly]:
    """`inconsistent-offsets`, `duplicate`."""
    for key, at in logs.values.items():
        places: dict[int, list[int]] = defaultdict(list)
        for offset, values in sorted(at.items()):
            if len(values) > 1:
                yield Anomaly("inconsistent-offsets", key, min(values), f"offset {offset} holds {sorted(values)}")
            for value in values:
                places[value].append(offset)
        for value, offsets in places.items():
            if len(offsets) > 1:
                yield Anomaly("duplicate", key, value, f"is at the offsets {offsets}", _writer(logs, key, value))


def check_lost(logs: Logs, history: Sequence[Operation]) -> Iterator[Anomaly]:
    """`lost-write`, `unseen`."""
    for operation in history:
        if not logs.committed(operation):
            continue
        for key, _, value in operation.sends:
            if value in logs.read[key]:
                continue
            index = logs.index.get(key, {})
            bound = max((index[read] for read in logs.read[key] if read in index), default=-1)
            name = "lost-write" if index.get(value, bound + 1) <= bound else "unseen"
            yield Anomaly(
                name, key, value, f"{operation} was committed; {logs.around(key, value)}", (operation.number,)
            )


def check_reads(logs: Logs, history: Sequence[Operation]) -> Iterator[Anomaly]:
    """What a single operation must not read, and in which order."""
    for operation in history:
        own = {(key, value) for key, _, value in operation.sends}
        last: dict[str, int] = {}
        for key, offset, value in operation.polls:
            writer = logs.writer.get((key, value))
            number = (operation.number,)
            if writer is None:
                yield Anomaly("phantom-read", key, value, f"at {offset}, was never sent", number)
            elif (key, value) in own:
                yield Anomaly("precommitted-read", key, value, f"{operation} reads its own send", number)
            elif writer.kind == "fail":
                both = (writer.number, operation.number)
                yield Anomaly("aborted-read", key, value, f"at {offset}, was aborted by {writer}", both)
            place = logs.index[key].get(value)
            if place is None:
                continue  # another value is at its offset, which is reported
            if key in last and place - last[key] != 1:
                yield _step("internal-", key, value, place - last[key], logs, number)
            last[key] = place


def check_processes(logs: Logs, history: Sequence[Operation]) -> Iterator[Anomaly]:
    """Order over the operations of one process: what its consumer reads next, what its producer has sent before."""
    for operations in by_process(history):
        read: dict[str, tuple[int, int]] = {}
        sent: dict[str, tuple[int, int]] = {}
        for operation in operations:
            if operation.what == "assign":
                if operation.kind != "fail":
                    read = {}
                continue
            seen: set[str] = set()
            for key, _, value in operation.polls:
                place = logs.index[key].get(value)
                if key not in seen and key in read and place is not None and place - read[key][0] != 1:
                    both = (read[key][1], operation.number)
                    yield _step("", key, value, place - read[key][0], logs, both)
                seen.add(key)
                if operation.kind == "ok" and place is not None:
                    read[key] = (place, operation.number)
            if not logs.committed(operation):
                continue
            for key, _, value in operation.sends:
                place = logs.index.get(key, {}).get(value)
                if place is None:
                    continue
                if key in sent and place <= sent[key][0]:
                    both = (sent[key][1], operation.number)
                    detail = f"was sent later and stands earlier; {logs.around(key, value)}"
                    yield Anomaly("nonmonotonic-send", key, value, detail, both)
                sent[key] = (place, operation.number)


def _step(prefix: str, key: str, value: int, step: int, logs: Logs, operations: tuple[int, ...]) -> Anomaly:
    name = f"{prefix}poll-skip" if step > 1 else f"{prefix}nonmonotonic-poll"
    return Anomaly(
        name, key, value, f"came {step} places behind the read before; {logs.around(key, value)}", operations
    )


def check_torn(logs: Logs, history: Sequence[Operation]) -> Iterator[Anomaly]:
    """`torn-transaction`, of any kind of end: all or nothing."""
    for operation in history:
        if operation.what != "txn" or len(operation.sends) < 2:
            continue
        seen = [value in logs.read[key] for key, _, value in operation.sends]
        if any(seen) and not all(seen):
            key, _, value = operation.sends[seen.index(False)]
            detail = f"of {operation} {sum(seen)} of {len(seen)} values were read, and this one never"
            yield Anomaly("torn-transaction", key, value, detail, (operation.number,))


def check_resumed(history: Sequence[Operation]) -> Iterator[Anomaly]:
    """`stale-offsets`: a lane's group resumes behind its last `ok` operation, or behind an unknown one after it."""
    possible: dict[tuple[int, str], set[int]] = {}
    for operation in history:
        if operation.what == "assign" and operation.resumed and operation.kind == "ok":
            for key, position in operation.positions.items():
                allowed = possible.get((operation.lane, key))
                if allowed is not None and position not in allowed:
                    detail = f"resumes at {position}, and its last transactions left {sorted(allowed)}"
                    yield Anomaly("stale-offsets", key, -1, detail, (operation.number,))
                possible[operation.lane, key] = {position}
        elif operation.kind != "fail":
            ends = {key: offset + 1 for key, offset, _ in operation.polls}
            for key, end in ends.items():
                if operation.kind == "ok":
                    possible[operation.lane, key] = {end}
                else:
                    possible.setdefault((operation.lane, key), {-1}).add(end)


def check_cycles(logs: Logs) -> Iterator[Anomaly]:
    """`G0`, `G1c` and the two mixed."""
    reads: dict[int, set[int]] = defaultdict(set)
    writes: dict[int, set[int]] = defaultdict(set)
    for (key, value), readers in logs.readers.items():
        writer = logs.writer.get((key, value))
        if writer is not None:
            reads[writer.number].update(reader.number for reader in readers if reader is not writer and reader.sends)
    for key, order in logs.order.items():
        for before, after in pairwise(order):
            one, other = logs.writer.get((key, before)), logs.writer.get((key, after))
            if one is not None and other is not None and one is not other:
                writes[one.number].add(other.number)
    both = {number: reads.get(number, set()) | writes.get(number, set()) for number in {*reads, *writes}}
    for name, graph in (("G1c", reads), ("G0", writes), ("G1c-with-writes", both)):
        for component in components(graph):
            cycle = shortest_cycle(graph, component)
            yield Anomaly(name, "", -1, f"{len(component)} operations, for instance", tuple(cycle[:12]))


def _writer(logs: Logs, key: str, value: int) -> tuple[int, ...]:
    writer = logs.writer.get((key, value))
    return () if writer is None else (writer.number,)


def summary(found: Iterable[Anomaly]) -> list[str]:
    """Lines to print: each kind with its count and its first witnesses."""
    by_name: dict[str, list[Anomaly]] = defaultdict(list)
    for each in found:
        by_name[each.name].append(each)
    lines = []
    for name, those in sorted(by_name.items()):
        allowed = ", which is allowed" if name in ALLOWED else ""
        lines.append(f"{name}: {len(those)}{allowed}")
        lines += [] if allowed else [f"  {each}" for each in those[:WITNESSES]]
    return lines
