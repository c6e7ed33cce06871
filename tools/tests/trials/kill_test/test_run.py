"""The short form of the kill test, against this broker as it is; and against one that loses something at each start.

`python -m tools.trials kill-test --kills 50 --records 200000` is the long form.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

pytest.importorskip("confluent_kafka")

from tools.trials.brokers import Contender, ottla
from tools.trials.kill_test.checker import summary
from tools.trials.kill_test.command import main, report
from tools.trials.kill_test.run import Plan, run

pytestmark = pytest.mark.skipif(os.name != "posix", reason="SIGKILL is POSIX")

SETTING = "group.initial.rebalance.delay.ms=0"

LOSING = """
import os, pathlib, sys
log = pathlib.Path(sys.argv[1]) / "kill-plain-0" / (20 * "0" + ".log")
if log.exists():
    os.truncate(log, log.stat().st_size // 2)
os.execv(sys.executable, [sys.executable, *sys.argv[2:]])
"""


def test_three_kills(tmp_path: Path) -> None:
    """Every acknowledgement is kept, and the broker serves again within a moment."""
    plan = Plan(kills=3, seconds_between=(0.2, 0.8), seed=3, records=5000, rate=4000.0)
    outcome = run(plan, tmp_path)
    assert not outcome.violations, "\n".join([*report(outcome), *summary(outcome.violations)])
    assert outcome.kills == 3
    assert outcome.records >= plan.records
    assert all(outcome.acknowledged.values()), outcome.acknowledged
    assert outcome.repeated > 0


def test_a_broker_that_loses_half_a_log(tmp_path: Path) -> None:
    """What the unit tests plant is found in a real run too: each start cuts a log in two before it serves."""
    losing = (sys.executable, "-c", LOSING, "{dir}", *ottla(SETTING).command[1:])
    plan = Plan(kills=1, seconds_between=(0.5, 0.5), seed=3, rate=4000.0, contender=Contender("losing", losing))
    found = {violation.rule for violation in run(plan, tmp_path).violations}
    assert "lost" in found


def test_options(capsys: pytest.CaptureFixture[str]) -> None:
    """What cannot be understood is refused before anything is started."""
    with pytest.raises(SystemExit) as exit_:
        main(["--seconds-between", "3-0.2"])
    assert exit_.value.code == 2
    assert "not of the form A-B" in capsys.readouterr().err
