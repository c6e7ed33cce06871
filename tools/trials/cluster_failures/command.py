"""`trials cluster-failures`: one row of the matrix after the other, or random ones, over one cluster.

Exit status 0: every promise was kept; 1: one was not, or a row did not come to its end.
"""

from __future__ import annotations

import argparse
import random
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from confluent_kafka.admin import AdminClient, NewTopic

from tools.trials.brokers import pause
from tools.trials.cluster_failures.audit import audit
from tools.trials.cluster_failures.load import PARTITIONS, Load, judge, read_everything
from tools.trials.cluster_failures.page import Result, page
from tools.trials.cluster_failures.rows import ROWS, Row
from tools.trials.cluster_failures.stage import Stage
from tools.trials.places import folder

BEFORE, AFTER = 2.0, 3.0
"""Seconds of load before and after each failure."""


def main(arguments: Sequence[str]) -> int:
    """Run `python -m tools.trials cluster-failures`."""
    options = parse(arguments)
    rows = [row for row in ROWS if not options.row or row.name in options.row]
    if options.rounds:
        chance = random.Random(options.seed)
        rows = [chance.choice(ROWS[1:-1]) for _ in range(options.rounds)]
    directory = Path(tempfile.mkdtemp(prefix="cluster-failures-", dir=options.directory))
    began = time.monotonic()

    def say(words: str) -> None:
        print(f"{time.monotonic() - began:7.1f} s  {words}", flush=True)

    say(f"files are in {directory}")
    results: list[Result] = []
    with Stage(directory) as stage:
        say("the cluster runs")
        for number, row in enumerate(rows):
            result = _play(stage, number, row)
            results.append(result)
            verdict = result.verdict
            say(
                f"{row.name}: {verdict.acknowledged} acknowledged, {verdict.failed} failed; lost {verdict.lost}, "
                f"doubled {verdict.doubled}, reordered {verdict.reordered}, misplaced {verdict.misplaced}; "
                f"{verdict.silence:.1f} s without an answer; {result.objects}"
            )
        again = _read_again(stage, results)
        say(f"brokers that remember nothing read {len(results) - len(again)} of {len(results)} topics as they should")
    if options.page:
        Path(options.page).write_text(page(results), encoding="utf-8")
    bad = [result.row.name for result in results if not result.is_sound] + again
    say(f"{len(results)} rows, {len(bad)} with a broken promise{': ' if bad else ''}{', '.join(bad)}")
    return 1 if bad else 0


def _play(stage: Stage, number: int, row: Row) -> Result:
    """One failure under load, and what came of it."""
    topic = f"row-{number}"
    admin = AdminClient({"bootstrap.servers": stage.bootstrap, "log_level": 0})
    for made in admin.create_topics([NewTopic(topic, num_partitions=PARTITIONS)], operation_timeout=30).values():
        made.result()
    load = Load(stage.bootstrap, topic)
    load.start()
    pause(BEFORE)
    row.happen(stage)
    pause(AFTER)
    load.stop()
    verdict = judge(load.written, read_everything(stage.bootstrap, topic))
    return Result(row, verdict, audit(stage), topic, load.written)


def _read_again(stage: Stage, results: Sequence[Result]) -> list[str]:
    """Names of the rows whose records are not all there when no broker remembers anything."""
    for process in stage.brokers.processes:
        process.kill()
    for process in stage.brokers.processes:
        process.start()
    for process in stage.brokers.processes:
        process.wait_until(stage.brokers.all_are_shown)
    return [
        result.row.name
        for result in results
        if not judge(result.written, read_everything(stage.bootstrap, result.topic)).is_sound
    ]


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """The options; prints usage and exits with 2 on words it does not know."""
    parser = argparse.ArgumentParser(
        prog="python -m tools.trials cluster-failures",
        description="Do to a cluster's parts what can happen to them, while clients write; count what was lost.",
    )
    parser.add_argument("--row", action="append", metavar="NAME", help="this row only; may be repeated")
    parser.add_argument("--rounds", type=int, default=0, metavar="N", help="N rows by chance instead of each once")
    parser.add_argument("--seed", type=int, default=1, help="of the rows by chance (default 1)")
    parser.add_argument("--page", metavar="FILE", help="write the result there, as a page")
    parser.add_argument("--directory", type=folder, help="where to keep files")
    return parser.parse_args(arguments)
