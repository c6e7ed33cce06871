"""SIGKILL: `python -m tools.trials kill-test` as one of the tiers (`tools/trials/kill_test` says what it does)."""

from __future__ import annotations

import importlib.util

from tools.trials.crash_test.outcome import CannotTry, Outcome, Plan

NEEDED = ("confluent_kafka", "psutil")
RATE = 2000.0
"""Records per second. The more kills, the longer the logs that are read and compared in the end."""


def run(plan: Plan) -> Outcome:
    """Kill a broker under load so many times. Raises CannotTry."""
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        raise CannotTry(f"the load needs {' and '.join(missing)}, which are not installed")
    from tools.trials.brokers import ottla
    from tools.trials.kill_test import run as kill_test

    outcome = Outcome("kills")
    contender = ottla("group.initial.rebalance.delay.ms=0", *plan.settings)
    asked = kill_test.Plan(kills=plan.count or 500, seconds_between=(0.2, 1.2), seed=plan.seed, rate=RATE,
                           contender=contender)  # fmt: skip
    try:
        came = kill_test.run(asked, plan.directory, plan.say)
    except kill_test.LoadFailed as error:
        outcome.violate(f"the load failed, nothing is known: {error}")
        return outcome
    outcome.count("kills", came.kills)
    outcome.count("of them while the broker was still starting", came.early_kills)
    outcome.count("acknowledged records", came.records)
    outcome.count("records in the logs", came.stored)
    outcome.count("batches sent again", came.repeated)
    outcome.count("ends and committed offsets looked at", came.observations)
    for violation in came.violations:
        outcome.violate(str(violation))
    return outcome
