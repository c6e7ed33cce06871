"""Any number of producers in any order, with crashes, losses of the shard and refused appends at every step.

The long form is `python -m tools.trials walk-transactions`; its last result stands in docs/transactions.md.
"""

from __future__ import annotations

import pytest

from broker.coordinators.transactions.machine import TransactionsMachine
from broker.tests.coordinators.transactions.coordinated import Model

RUNS, STEPS = 100, 120


@pytest.mark.parametrize("part", range(4))
def test_what_was_answered_holds(part: int) -> None:
    """X1, X2: a commit that was answered counts once, whatever comes; an abort never counts; no transaction hangs."""
    for seed in range(part * RUNS, (part + 1) * RUNS):
        Model(seed, STEPS).run()


def test_every_decision_of_a_shard_is_tried() -> None:
    """M10: a decision that is new is to be tried here as well."""
    assert {name for name in vars(TransactionsMachine) if name.startswith("decide_")} == {
        "decide_init",
        "decide_add",
        "decide_end",
        "decide_complete",
        "decide_expired",
    }
