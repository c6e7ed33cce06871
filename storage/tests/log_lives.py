"""Lives of a log in particular places, and for as long as one likes.

    .venv/bin/python -m storage.tests.log_lives --seconds 1200

lets the machines of `log_machine.py` and those of this file live in turns. It stops at the first life that ends in a
difference and prints its steps (`--shrink` looks for the shortest such life), and in any case says how much was done.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import os
import random
import shutil
import sys
import tempfile
import time
import traceback
from typing import Any
from unittest import mock

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule, run_state_machine_as_test

from storage.local import log
from storage.seams.logging import process_lines
from storage.testing.disks.simulated import SimulatedDisk
from storage.testing.log_model import described, known_producers
from storage.tests.local.local_lab import HurriedDisk
from storage.tests.log_machine import COUNTED, LocalMachine, LogMachine
from storage.tests.object.object_machine import ObjectMachine

PHASES = (Phase.generate, Phase.shrink)
SNAPSHOT_WORTH = 600
"""Bytes: the logs here are small, and shall have snapshots at checkpoints all the same."""


class PowerCutMachine(LocalMachine):
    """On a disk that forgets, in a power cut, what was not synced."""

    engine = "local, on a simulated disk"

    def __init__(self) -> None:
        super().__init__()
        self.disk = SimulatedDisk()

    @property
    def root(self) -> str:
        return "/data"

    def appended(self, base: int, must_roll: bool) -> None:
        before = list(self.model.bases)
        super().appended(base, must_roll)
        if before and self.model.bases != before:
            self.run(self._upkeep, 1)  # which syncs what is in the old segment
            self.model.durable = max(self.model.durable, base)

    @precondition(lambda self: self.model.complete)
    @rule(number=st.integers(0, 1 << 30))
    def power_cut(self, number: int) -> None:
        """What was acknowledged as durable is there, and nothing that was not appended."""
        assert isinstance(self.disk, SimulatedDisk)
        model = self.model
        self.disk = self.disk.after_power_cut(random.Random(number))
        self.older = {}
        self.store = self.make()
        self.run(self.store.open)
        end = self.run(self._end)
        model.cut(end)
        model.bases = self.bases_on_disk()
        model.durable = min(model.durable, model.end)
        for writer in self.writers:
            if writer.producer_id in known_producers(model.history):
                known = described(model.history, writer.producer_id)
                writer.epoch, writer.sequence = known.producer_epoch, known.last_sequence + 1
            else:
                writer.epoch = writer.sequence = 0
        self.look()

    async def _end(self) -> int:
        return self.log.log_end_offset


class DirectoryMachine(LocalMachine):
    """In a real directory."""

    engine = "local, in a directory"

    def __init__(self) -> None:
        super().__init__()
        self.path = tempfile.mkdtemp(prefix="log-machine-")
        self.disk = HurriedDisk()

    @property
    def root(self) -> str:
        return f"{self.path}/data"

    def open_again(self) -> None:
        self.store = None
        gc.collect()  # as the death of the process does
        super().open_again()

    async def _look(self) -> None:
        await super()._look()
        ours = [path for path in open_files() if path.startswith(self.directory)]
        assert len(ours) <= len(self.store.descriptors), f"no more files are open than are counted: {ours}"

    def teardown(self) -> None:
        if self.store is not None:
            self.store.data.give_up()
        shutil.rmtree(self.path, ignore_errors=True)


MACHINES: dict[str, type[LogMachine]] = {
    "memory": LogMachine,
    "local": LocalMachine,
    "power-cuts": PowerCutMachine,
    "directory": DirectoryMachine,
    "object": ObjectMachine,
}


def open_files() -> list[str]:
    """The files that this process has open; none where the system does not tell."""
    found = []
    if os.path.isdir("/proc/self/fd"):
        for name in os.listdir("/proc/self/fd"):
            with contextlib.suppress(OSError):
                found.append(os.readlink(f"/proc/self/fd/{name}"))
    return found


def live(machine: type[LogMachine], *, lives: int, steps: int, **more: Any) -> None:
    """So many lives of so many steps each. Raises what the machine raises."""
    chosen = settings(
        max_examples=lives,
        stateful_step_count=steps,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        report_multiple_bugs=False,
        **more,
    )
    with mock.patch.multiple(log, SNAPSHOT_WORTH=SNAPSHOT_WORTH, SNAPSHOT_BYTES=50):
        run_state_machine_as_test(machine, settings=chosen)


def main() -> int:
    """Live until the time is up, the engines in turns."""
    parser = argparse.ArgumentParser(prog="python -m storage.tests.log_lives", description=__doc__.split("\n")[0])
    parser.add_argument("--seconds", type=float, default=1200.0, help="how long (default 1200)")
    parser.add_argument("--steps", type=int, default=60, help="steps of a life at most (default 60)")
    parser.add_argument("--shrink", action="store_true", help="look for the shortest life that differs (takes minutes)")
    parser.add_argument("--engine", choices=[*MACHINES, "all"], default="all")
    options = parser.parse_args()
    process_lines().configure(level="error")
    chosen = list(MACHINES) if options.engine == "all" else [options.engine]
    deadline = time.monotonic() + options.seconds
    status = 0
    try:
        while time.monotonic() < deadline:
            for name in chosen:
                live(MACHINES[name], lives=20 if name == "memory" else 60, steps=options.steps, database=None,
                     phases=PHASES if options.shrink else PHASES[:1])  # fmt: skip
    except Exception as error:
        print("".join(f"{note}\n" for note in getattr(error, "__notes__", ())))
        frames = [frame for frame in traceback.extract_tb(error.__traceback__) if "site-packages" not in frame.filename]
        print("".join(traceback.format_list(frames)), *traceback.format_exception_only(error))
        status = 1
    for what, count in sorted(COUNTED.items()):
        print(f"{count:12,}  {what}")
    print("a difference was found" if status else "no difference")
    return status


if __name__ == "__main__":
    sys.exit(main())
