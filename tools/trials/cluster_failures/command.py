"""`trials cluster-failures`: one row of the matrix after the other, or random ones, over one cluster.

**Rounds by chance** (`--rounds N --series DIR`) come in batches, each over a cluster of its own, whose last round fails
the database over, and whose brokers in the end read everything again. A batch that is sound is written down in
`DIR/rounds`, one line of JSON for each round; a call goes on behind what is there. Rounds follow from the seed alone.

Exit status 0: every promise was kept; 1: one was not, or a row did not come to its end.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
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

BATCH = 10
"""Rounds by chance that one cluster has."""

Say = Callable[[str], None]


def main(arguments: Sequence[str]) -> int:
    """Run `python -m tools.trials cluster-failures`."""
    options = parse(arguments)
    began = time.monotonic()

    def say(words: str) -> None:
        print(f"{time.monotonic() - began:7.1f} s  {words}", flush=True)

    if options.rounds:
        place = Path(options.series or tempfile.mkdtemp(prefix="cluster-failures-", dir=options.directory))
        return _play_rounds(place, options.rounds, options.seed, began + options.seconds, say)
    rows = [row for row in ROWS if not options.row or row.name in options.row]
    directory = Path(tempfile.mkdtemp(prefix="cluster-failures-", dir=options.directory))
    results, bad = _play_all(directory, rows, say)
    if options.page:
        Path(options.page).write_text(page(results), encoding="utf-8")
    return 1 if bad else 0


def _play_rounds(place: Path, rounds: int, seed: int, until: float, say: Say) -> int:
    """So many rounds by chance, or as many as there is time for; the exit status."""
    known = place / "rounds"
    done = len(known.read_text().splitlines()) if known.exists() else 0
    bad: list[str] = []
    while done < rounds and time.monotonic() < until and not bad:
        batch = rounds_of(seed, done // BATCH)[: rounds - done]
        directory = place / f"batch-{done // BATCH + 1:03}"
        shutil.rmtree(directory, ignore_errors=True)  # one that was interrupted
        directory.mkdir()
        results, bad = _play_all(directory, batch, say)
        if not bad:
            with known.open("a") as file:
                for result in results:
                    verdict = result.verdict
                    counted = {"acknowledged": verdict.acknowledged, "failed": verdict.failed}
                    file.write(json.dumps({"row": result.row.name, **counted, "silence": verdict.silence}) + "\n")
            done += len(results)
            shutil.rmtree(directory, ignore_errors=True)
    lines = [json.loads(line) for line in known.read_text().splitlines()] if known.exists() else []
    for name, count in sorted(Counter(line["row"] for line in lines).items()):
        say(f"{name}: {count} rounds, longest silence {max(e['silence'] for e in lines if e['row'] == name):.1f} s")
    say(
        f"{done} of {rounds} rounds of seed {seed} were sound, {sum(e['acknowledged'] for e in lines):,} records"
        + (f"; broken in the batch after them, see {place}" if bad else "")
    )
    return 1 if bad else 0


def rounds_of(seed: int, batch: int) -> list[Row]:
    """What a batch of rounds is made of; the failover comes last, since there is one standby."""
    chance = random.Random(f"{seed}/{batch}")
    return [*(chance.choice(ROWS[1:-1]) for _ in range(BATCH - 1)), ROWS[-1]]


def _play_all(directory: Path, rows: Sequence[Row], say: Say) -> tuple[list[Result], list[str]]:
    """These rows over one cluster: what came of them, and the names of those with a broken promise."""
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
    bad = [result.row.name for result in results if not result.is_sound] + again
    say(f"{len(results)} rows, {len(bad)} with a broken promise{': ' if bad else ''}{', '.join(bad)}")
    return results, bad


def _play(stage: Stage, number: int, row: Row) -> Result:
    """One failure under load, and what came of it."""
    topic = f"row-{number}"
    admin = AdminClient({"bootstrap.servers": stage.bootstrap, "log_level": 0})
    for made in admin.create_topics([NewTopic(topic, num_partitions=PARTITIONS)], operation_timeout=30).values():
        made.result()
    load = Load(stage.bootstrap, topic)
    load.start()
    load.wait_until_acknowledged()
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
    parser.add_argument("--series", type=folder, metavar="DIR", help="where rounds are kept, and go on")
    parser.add_argument("--seconds", type=float, default=86_400.0, help="begin no batch of rounds after so long")
    parser.add_argument("--seed", type=int, default=1, help="of the rows by chance (default 1)")
    parser.add_argument("--page", metavar="FILE", help="write the result there, as a page")
    parser.add_argument("--directory", type=folder, help="where to keep files")
    return parser.parse_args(arguments)
