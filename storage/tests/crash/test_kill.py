"""A writer that is killed loses nothing whose append was acknowledged."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
from pathlib import Path

from storage.engine import LogSpec
from storage.log_config import LogConfig
from storage.tests.local.local_lab import Place, values_of

ROOT = Path(__file__).parents[3]
KILLS = 6


def run_until_killed(directory: Path, seed: int) -> list[tuple[int, int, int]]:
    """Start the writer, kill it after some acknowledgements; returns them: (partition, base offset, count)."""
    acknowledged = []
    command = [sys.executable, str(Path(__file__).with_name("writer.py")), str(directory), str(seed)]
    process = subprocess.Popen(command, cwd=ROOT, env={"PYTHONPATH": str(ROOT)}, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        limit = random.Random(seed).randrange(20, 600)
        for line in process.stdout:
            partition, base_offset, count = map(int, line.split())
            acknowledged.append((partition, base_offset, count))
            if len(acknowledged) >= limit:
                break
    finally:
        process.send_signal(signal.SIGKILL)
        rest = process.stdout.read() if process.stdout is not None else ""  # from where the loop stopped, mid-buffer
        process.wait(timeout=30)
        if process.stdout is not None:
            process.stdout.close()
    for line in rest.splitlines(keepends=True):
        if line.endswith("\n"):
            partition, base_offset, count = map(int, line.split())
            acknowledged.append((partition, base_offset, count))
    assert acknowledged, "the writer has not even begun"
    return acknowledged


async def test_a_killed_writer_loses_nothing(tmp_path: Path) -> None:
    """Killed again and again at random moments: offsets are dense, each acknowledged record is at its offset."""
    place = Place(tmp_path / "data")
    ends = dict.fromkeys(range(3), 0)
    for seed in range(KILLS):
        for partition, base_offset, count in run_until_killed(place.path, seed):
            assert base_offset >= ends[partition], "an offset was given out twice"
            ends[partition] = base_offset + count
        killed = place.as_killed()  # the next writer recovers by itself
        async with killed.open() as store:
            for partition, end in ends.items():
                log = store.log(LogSpec("killed", bytes(15) + b"\1", partition, LogConfig()))
                assert log.log_end_offset >= end
                expected = [b"%d" % offset for offset in range(log.log_start_offset, log.log_end_offset)]
                found = await values_of(store, log)
                assert found[len(found) - len(expected) :] == expected
