"""The process is killed at its Nth system call of a kind, or that call fails, for N = 1, 2, 3 ... until none is left.

A scripted life of four logs (`script.py`: about 200 operations; appends of all kinds, rolls, DeleteRecords, compaction,
deletion of a log, checkpoints, a clean stop and a second start) runs in a process of its own with `strace` attached,
which injects one fault per run:

* SIGKILL in place of the call;
* EIO or ENOSPC, once, or from that call on.

What the process says it acknowledged is written down here, outside. Afterwards another process opens the directory and
is killed while it recovers; then it is opened for good, and compared:

* every acknowledged record is at its offset, to the byte, acks=1 included (the machine has not died);
* nothing that was refused before it was written is there (L8), no record is there twice, none that was never sent;
* offsets are dense, and in the order of the appends;
* of a compacted log every key has its newest acknowledged value, or a newer one;
* a deleted log is gone, its name free; the start of a log is where it was moved to, or was to be moved to;
* after a failed sync of a segment or of a partition's directory nothing is acknowledged until the next start;
* the process has not died of anything but the signal.
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NamedTuple

import trio

from kproto.errors import KafkaError
from storage.engine import StoreError
from storage.local.engine import LocalStore
from tools.trials.crash_test.outcome import CannotTry, Outcome, Plan
from tools.trials.crash_test.power_cuts import read_from_start
from tools.trials.crash_test.script import GONE, KEYED, KEYS, PLAIN, open_store, records_of, spec_of, value_of

ROOT: Final = Path(__file__).parents[3]
WRITING: Final = ("pwrite64", "pwritev", "write", "fdatasync", "fsync", "ftruncate", "rename", "unlink", "openat",
                  "mkdir")  # fmt: skip
READING: Final = ("pread64", "preadv2", "read", "getdents64")
"""Of these EIO is tried, and nothing else: "cannot read" must not become "is not there"."""

FAULTS: Final = {
    "KILL": "signal=KILL:when={}",
    "EIO": "error=EIO:when={}",
    "EIO from there on": "error=EIO:when={}+",
    "ENOSPC": "error=ENOSPC:when={}",
    "ENOSPC from there on": "error=ENOSPC:when={}+",
}
SECONDS: Final = 60.0
BETWEEN: Final = 41
"""The process that recovers is killed at its first, second ... call of a kind, and after so many at the first again."""


class Case(NamedTuple):
    """One run: which call, which fault, the how many-th."""

    call: str
    fault: str
    number: int

    def __str__(self) -> str:
        return f"{self.call} number {self.number} {self.fault}"


@dataclass
class Ledger:
    """What the process has said, and what strace has seen."""

    acknowledged: dict[str, dict[int, int]] = field(default_factory=dict)  # log -> step -> base offset
    refused: dict[str, set[int]] = field(default_factory=dict)
    starting: int = 0
    started: int = 0
    deleting: bool = False
    dead: str = ""
    status: int = 0

    def note(self, words: str) -> None:
        """One message."""
        kind, _, rest = words.partition(" ")
        match kind, *rest.split(" "):
            case "ack", name, step, offset:
                self.acknowledged.setdefault(name, {})[int(step)] = int(offset)
                self.refused.get(name, set()).discard(int(step))
            case "refused", name, step if step.isdigit():
                self.refused.setdefault(name, set()).add(int(step))
            case "unknown", name, step:
                self.refused.get(name, set()).discard(int(step))
            case "starting", _, offset:
                self.starting = int(offset)
            case "started", _, offset:
                self.started = int(offset)
            case "deleting", _:  # from here on there is another topic of that name, whatever has become of the files
                self.deleting = True
                self.acknowledged.pop(GONE, None)
                self.refused.pop(GONE, None)
            case "died:", *_:
                self.dead = rest
            case "ended", status:
                self.status = int(status)
            case _:
                pass


def with_linux_calls() -> dict[str, str]:
    """The environment of a process whose system calls are looked at: Linux's, which portable paths do without."""
    inherited = {key: value for key, value in os.environ.items() if key != "OTTLA_PORTABLE"}
    return {**inherited, "PYTHONDONTWRITEBYTECODE": "1"}


class Player:
    """The process that forks one that plays, and strace for it."""

    def __init__(self, module: str = "tools.trials.crash_test.script") -> None:
        self._orders, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._orders.settimeout(SECONDS)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", module, str(theirs.fileno())],
                cwd=ROOT, pass_fds=[theirs.fileno()], env=with_linux_calls(),
            )  # fmt: skip

    def play(self, what: str, directory: Path, strace: list[str]) -> tuple[Ledger, str]:
        """Have `what` played in `directory` under strace with these arguments; what was said, and the trace."""
        ledger = Ledger()
        trace = directory.with_suffix(".trace")
        self._orders.send(f"{what} {directory}".encode())
        pid = int(self._orders.recv(100).split()[1])
        tracer = subprocess.Popen(
            ["strace", "-y", "-s", "48", "-o", str(trace), *strace, "-p", str(pid)],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
        )  # fmt: skip
        try:
            wait_for_tracer(pid, tracer)
            self._orders.send(b"go")
            while not (words := self._orders.recv(600).decode()).startswith("ended"):
                ledger.note(words)
            ledger.note(words)
            tracer.communicate(timeout=SECONDS)
        finally:
            tracer.kill()
            tracer.communicate()
        return ledger, trace.read_text(errors="replace")

    def close(self) -> None:
        """No more."""
        self._orders.close()
        self._process.wait(SECONDS)


def wait_for_tracer(pid: int, tracer: subprocess.Popen[bytes]) -> None:
    """Return when strace is attached. Raises CannotTry."""
    status = Path(f"/proc/{pid}/status")
    deadline = time.monotonic() + SECONDS
    while "TracerPid:\t0\n" in status.read_text():
        if tracer.poll() is not None or time.monotonic() > deadline:
            assert tracer.stderr is not None
            raise CannotTry(f"strace cannot attach to a process: {tracer.stderr.read().decode().strip()}")
        time.sleep(0.0005)


def require_strace() -> None:
    """Raises CannotTry where there is none."""
    if shutil.which("strace") is None:
        raise CannotTry("strace, which injects the faults, is not installed")


def in_memory(directory: Path) -> Path:
    """A place on a file system in memory if there is one: here nothing depends on the platter, and a lot on time."""
    shared = Path("/dev/shm")
    return shared if shared.is_dir() and os.access(shared, os.W_OK) else directory


def run(plan: Plan, module: str = "tools.trials.crash_test.script") -> Outcome:
    """All cases, or `plan.count` of them, evenly spread; `module` plays them. Raises CannotTry."""
    require_strace()
    outcome = Outcome("syscalls", {"cases": 0})
    player = Player(module)
    place = Path(tempfile.mkdtemp(prefix="crash-syscalls-", dir=in_memory(plan.directory)))
    try:
        if plan.count is None:
            for case in every_case(outcome):
                play_case(case, player, place, outcome)
                if outcome.counts["cases"] % 100 == 0:
                    plan.say(f"{outcome.counts['cases']} cases, at {case}")
        else:
            for case in sample(player, place, plan.count):
                play_case(case, player, place, outcome)
    finally:
        shutil.rmtree(place)
        player.close()
    outcome.require(outcome.counts.get("faults injected", 0) > 0, "strace injected no fault: the test is broken")
    return outcome


def every_case(outcome: Outcome) -> Iterator[Case]:
    """Of each call and fault N = 1, 2, 3 ... until a run was not touched."""
    for call in (*WRITING, *READING):
        for fault in FAULTS if call in WRITING else ("EIO", "EIO from there on"):
            number = 0
            before = -1
            while outcome.counts.get("faults injected", 0) > before:
                before = outcome.counts.get("faults injected", 0)
                number += 1
                yield Case(call, fault, number)


def sample(player: Player, place: Path, count: int) -> list[Case]:
    """So many cases, evenly spread over those that a life without faults says there are."""
    with emptied(place / "sound") as directory:
        _, trace = player.play("play", directory, ["-e", f"trace={','.join((*WRITING, *READING))}"])
    calls = re.findall(r"^(\w+)\(", trace, re.MULTILINE)
    cases = [
        Case(call, fault, number)
        for call in (*WRITING, *READING)
        for fault in (FAULTS if call in WRITING else ("EIO", "EIO from there on"))
        for number in range(1, calls.count(call) + 1)
    ]
    count = min(count, len(cases))
    return [cases[index * len(cases) // count] for index in range(count)]


@contextmanager
def emptied(directory: Path) -> Iterator[Path]:
    """A directory that is gone afterwards."""
    directory.mkdir()
    try:
        yield directory
    finally:
        shutil.rmtree(directory)


def play_case(case: Case, player: Player, place: Path, outcome: Outcome) -> None:
    """One fault, one kill during recovery, one comparison."""
    outcome.count("cases")
    injection = f"inject={case.call}:{FAULTS[case.fault].format(case.number)}"
    with emptied(place / f"case{outcome.counts['cases']}") as directory:
        calls = sorted({case.call, "fdatasync", "fsync", "sendto"})
        ledger, trace = player.play("play", directory, ["-e", f"trace={','.join(calls)}", "-e", injection])
        killed = "+++ killed by SIGKILL +++" in trace
        if killed or "(INJECTED)" in trace:
            outcome.count("faults injected")
            outcome.count(f"{case.call}: {case.fault}")
        outcome.require(not ledger.dead, f"{case}: the process died of {ledger.dead}")
        if (words := acknowledged_after_failed_sync(trace)) is not None:
            outcome.violate(f"{case}: {words}")
        outcome.count("acknowledged batches", sum(map(len, ledger.acknowledged.values())))
        at = outcome.counts["cases"] % BETWEEN + 1
        recovery = f"inject={','.join(WRITING)}:signal=KILL:when={at}"
        again, trace = player.play("recover", directory, ["-e", f"trace={','.join(WRITING)}", "-e", recovery])
        outcome.require(not again.dead, f"{case}: recovering, the process died of {again.dead}")
        if "+++ killed by SIGKILL +++" in trace:
            outcome.count("kills during recovery")
        for words in trio.run(compare, directory, ledger):
            outcome.violate(f"{case}: {words}")


_SYNC_FAILED = re.compile(r"^(?:fdatasync\(\d+<(?P<file>[^>]*\.log)>|fsync\(\d+<(?P<dir>[^>]*-\d+)>).*= -1 E")
_SENT = re.compile(r'^sendto\(\d+<[^>]*>, "(?P<words>[^"]*)"')


def acknowledged_after_failed_sync(trace: str) -> str | None:
    """What was acknowledged by a store whose sync had failed."""
    failed = ""
    for line in trace.splitlines():
        if _SYNC_FAILED.match(line):
            failed = failed or line
        elif (sent := _SENT.match(line)) is not None:
            if sent["words"].startswith("open"):
                failed = ""
            elif failed and sent["words"].startswith("ack"):
                return f"{sent['words']!r} after {failed}"
    return None


async def compare(directory: Path, ledger: Ledger) -> list[str]:
    """Open the directory and hold it to the ledger; what is wrong, in sentences."""
    store = open_store(str(directory))
    try:
        await store.open()
    except StoreError as error:
        return [f"the store does not open: {error}"]
    wrong: list[str] = []
    try:
        for name in (*PLAIN, KEYED, GONE):
            generation = 2 if name == GONE and ledger.deleting else 1
            try:
                found, start = await contents(store, name, generation)
            except KafkaError as error:
                wrong.append(f"{name} cannot be read: {error}")
                continue
            wrong += judge(name, found, start, ledger)
    finally:
        await store.close()
    return wrong


Found = list[tuple[int, str, int, int]]
"""(offset, log, step, index) of each record, as its value says."""


async def contents(store: LocalStore, name: str, generation: int) -> tuple[Found, int]:
    """The records of a log, each held against what it says it is, and the log's start. Raises KafkaError."""
    log = store.log(spec_of(name, generation))
    found = []
    for offset, value in await read_from_start(store, log):
        names = re.match(rb"(\w+-\d)/(\d+)/(\d+):", value)
        if names is None or value != value_of(names[1].decode(), int(names[2]), int(names[3])):
            found.append((offset, "", -1, -1))
        else:
            found.append((offset, names[1].decode(), int(names[2]), int(names[3])))
    return found, log.log_start_offset


def judge(name: str, found: Found, start: int, ledger: Ledger) -> list[str]:
    """One log."""
    wrong = [f"{name}: the record at {offset} is not what was sent" for offset, log, *_ in found if log != name]
    steps = [(step, index) for _, _, step, index in found]
    if steps != sorted(set(steps)):
        wrong.append(f"{name}: records are there twice, or not in the order of the appends")
    offsets = [offset for offset, *_ in found]
    acknowledged = ledger.acknowledged.get(name, {})
    if name == KEYED:
        newest = {step // 3 % KEYS: step for step, _ in steps}
        for step in acknowledged:
            if newest.get(step // 3 % KEYS, -1) < step:
                wrong.append(f"{name}: neither the acknowledged step {step} nor a newer one of its key is there")
        return wrong
    if offsets != list(range(start, start + len(offsets))):
        wrong.append(f"{name}: offsets have gaps")
    if name == PLAIN[0] and not ledger.started <= start <= max(ledger.starting, ledger.started):
        wrong.append(f"{name}: starts at {start}, was moved to {ledger.started} (asked for: {ledger.starting})")
    there = {offset: (step, index) for offset, _, step, index in found}
    for step, base in acknowledged.items():
        for index in range(records_of(step)):
            if base + index >= start and there.get(base + index) != (step, index):
                wrong.append(f"{name}: step {step} was acknowledged at {base}, there is {there.get(base + index)}")
    kept = {step for step, _ in steps}
    wrong += [f"{name}: step {step} was refused and is there" for step in ledger.refused.get(name, set()) & kept]
    return wrong
