"""A run that is split between processes is one run: its page has the outcomes of all of them, in order."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from compat_tests.matrix import Run

ROOT = Path(__file__).parents[2]
SCENARIOS = ROOT / "compat_tests" / "scenarios"


@pytest.mark.parametrize("split", [["-n", "0"], ["-n", "2", "--dist", "loadfile"]], ids=["whole", "split"])
def test_all_outcomes_are_gathered(split: list[str], tmp_path: Path) -> None:
    """Two modules' outcomes come from two processes, and stand in the order of the sources."""
    # What kcat cannot do starts no broker.
    named = "old_records_go or too_many_records_go or unknown_group or configs_are_described"
    chosen = ["--client", "kcat", "-k", named]
    modules = [str(SCENARIOS / f"test_{name}.py") for name in ("housekeeping", "administration")]
    words = ["-q", "-p", "no:cacheprovider", "--outcomes", str(tmp_path / "run.json"), *chosen, *split, *modules]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *words], cwd=ROOT, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stdout
    found = [(outcome.scenario, outcome.result) for outcome in Run.load(tmp_path / "run.json").outcomes]
    assert found == [
        ("an unknown group is not deleted", "gap"),
        ("a topics configs are described", "gap"),
        ("a brokers configs are described", "gap"),
        ("old records go", "gap"),
        ("too many records go", "gap"),
    ]
