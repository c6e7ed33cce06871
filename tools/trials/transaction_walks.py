"""`trials walk-transactions`: random producers, crashes at every step, against a naive coordinator.

The short form is part of the test suite (`broker/tests/coordinators/transactions/test_any_order.py`); this is the long
one, whose last result stands in `docs/transactions.md`. A run is repeated by its seed. The exit status is 1 if one has
failed.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence

from broker.tests.coordinators.transactions.coordinated import Model

RUNS, STEPS = 20_000, 120


def main(arguments: Sequence[str]) -> int:
    """Play as many runs as `arguments` say, and print what they have seen."""
    parser = argparse.ArgumentParser(prog="trials walk-transactions", description=__doc__)
    parser.add_argument("--runs", type=int, default=RUNS, help=f"how many (default {RUNS})")
    parser.add_argument("--steps", type=int, default=STEPS, help=f"steps of each (default {STEPS})")
    parser.add_argument("--seed", type=int, default=0, help="of the first run; each has the next one")
    options = parser.parse_args(arguments)
    begun = time.perf_counter()
    produced = committed = aborted = losses = failed = 0
    for seed in range(options.seed, options.seed + options.runs):
        model = Model(seed, options.steps)
        try:
            model.run()
        except AssertionError as error:
            failed += 1
            sys.stdout.write(f"seed {seed}: {error}\n")
        produced += model.number
        committed += sum(model.must.values())
        aborted += len(model.must) - sum(model.must.values())
        losses += model.coordinator.losses
    seconds = time.perf_counter() - begun
    sys.stdout.write(f"{options.runs} runs of {options.steps} steps from seed {options.seed} in {seconds:.0f} s: ")
    sys.stdout.write(f"{produced} batches, {committed} answered as committed, {aborted} as aborted, ")
    sys.stdout.write(f"{losses} losses of the shard; {failed} failed\n")
    return 1 if failed else 0
