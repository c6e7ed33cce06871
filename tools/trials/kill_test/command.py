"""`trials kill-test`: kill, start again, check. Exit status 0: no violation; 1: some, or too little load to say so."""

from __future__ import annotations

import argparse
import importlib.util
import random
import shlex
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from tools.trials.kill_test.checker import summary
from tools.trials.places import folder

if TYPE_CHECKING:
    from tools.trials.kill_test.run import Outcome

NEEDED = ("confluent_kafka", "psutil")


def main(arguments: Sequence[str]) -> int:
    """Run `python -m tools.trials kill-test`."""
    options = parse(arguments)
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        print(
            f"python -m tools.trials kill-test: needs {' and '.join(missing)}: pip install 'ottla[dev]'",
            file=sys.stderr,
        )
        return 2
    from tools.trials.brokers import Contender, limit_open_files
    from tools.trials.kill_test.run import LoadFailed, Plan, run

    limit_open_files(options.open_files)
    seed = random.SystemRandom().randrange(1 << 32) if options.seed is None else options.seed
    plan = Plan(options.kills, options.seconds_between, seed, options.records, options.rate)
    if options.launch != "ottla":
        plan = replace(plan, contender=Contender("launched", tuple(shlex.split(options.launch))))
    print(f"seed {seed}, {plan.kills} kills, {' '.join(plan.contender.command)}", flush=True)
    directory = Path(tempfile.mkdtemp(prefix="kill-test-", dir=options.directory))
    began = time.monotonic()

    def say(words: str) -> None:
        print(f"{time.monotonic() - began:7.1f} s  {words}", flush=True)

    try:
        outcome = run(plan, directory, say)
    except LoadFailed as error:
        print(f"python -m tools.trials kill-test: {error}\nfiles are in {directory}", file=sys.stderr)
        return 1
    enough = outcome.records >= plan.records
    print("\n".join(report(outcome)))
    if not enough:
        print(f"too little load: {plan.records} records were to be acknowledged", file=sys.stderr)
    if outcome.violations:
        print("\n".join(summary(outcome.violations)))
        print(f"files are in {directory}; the same kills again: --kills {plan.kills} --seed {seed}")
    elif options.keep:
        print(f"files are in {directory}")
    else:
        shutil.rmtree(directory)
    return 0 if enough and not outcome.violations else 1


def report(outcome: Outcome) -> list[str]:
    """The figures of a run, a line each."""
    lines = [f"kills: {outcome.kills}, {outcome.early_kills} of them of a broker that was still starting"]
    kinds = ", ".join(f"{kind} {count:,}" for kind, count in sorted(outcome.acknowledged.items()))
    lines.append(f"acknowledged records: {outcome.records:,} ({kinds})")
    lines.append(
        f"records in the logs: {outcome.stored:,}; batches sent again: {outcome.repeated:,}; "
        f"ends and committed offsets looked at: {outcome.observations:,}; "
        f"topics created or deleted: {outcome.topics:,}"
    )
    for what, seconds in (
        ("from kill to answering", outcome.answering_seconds),
        ("from kill to serving", outcome.serving_seconds),
        ('starting `python -c "import trio"` meanwhile', outcome.yardstick_seconds),
    ):
        if seconds:
            lines.append(f"{what}: p50 {median(seconds):.2f} s, max {max(seconds):.2f} s")
    lines.append(f"violations: {len(outcome.violations)}")
    return lines


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """The options; prints usage and exits with 2 on words it does not know."""
    parser = argparse.ArgumentParser(
        prog="python -m tools.trials kill-test",
        description="Kill a broker again and again under load, and hold it to every acknowledgement it gave.",
    )
    parser.add_argument("--kills", type=int, default=10, help="how many times (default 10)")
    parser.add_argument(
        "--seconds-between",
        type=seconds_between,
        default=(0.2, 3.0),
        metavar="A-B",
        help="kill at a random moment so long after the broker serves (default 0.2-3)",
    )
    parser.add_argument("--seed", type=int, help="of the moments; a random one by default")
    parser.add_argument("--records", type=int, default=0, metavar="MIN", help="at least so many acknowledged records")
    parser.add_argument("--rate", type=float, default=6000.0, help="records per second to send (default 6000)")
    parser.add_argument(
        "--launch",
        default="ottla",
        metavar="ottla|COMMAND",
        help="this Ottla (the default), or a command that runs a broker in the foreground, {port} and {dir} filled in",
    )
    parser.add_argument("--open-files", type=int, metavar="N", help="at most so many files may be open (ulimit -n)")
    parser.add_argument("--directory", type=folder, help="where to keep files while it runs, and after a violation")
    parser.add_argument("--keep", action="store_true", help="keep the files in any case")
    return parser.parse_args(arguments)


def seconds_between(word: str) -> tuple[float, float]:
    """`A-B`, or `A` for always the same. Raises ArgumentTypeError."""
    low, _, high = word.partition("-")
    try:
        found = float(low), float(high or low)
    except ValueError:
        found = (1.0, 0.0)
    if not 0 <= found[0] <= found[1]:
        raise argparse.ArgumentTypeError(f"{word!r} is not of the form A-B, as 0.2-3")
    return found
