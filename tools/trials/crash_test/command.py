"""`trials crash-test TIER ...`: exit status 0 if no promise was broken, 1 if one was, 2 for words it does not know."""

from __future__ import annotations

import argparse
import importlib
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from storage.seams.logging import process_lines
from tools.trials.brokers import limit_open_files
from tools.trials.crash_test.outcome import CannotTry, Outcome, Plan
from tools.trials.places import folder


class Tier(NamedTuple):
    """Where a tier's function is, what `--count` counts, how many there are by default and in the short form."""

    target: str
    unit: str
    short: int
    full: int | None
    summary: str


TIERS: dict[str, Tier] = {
    "kills": Tier("tools.trials.crash_test.kills:run", "kills", 2, 500, "SIGKILL of a broker under load"),
    "syscalls": Tier(
        "tools.trials.crash_test.syscalls:run", "cases", 9, None, "kill, EIO and ENOSPC at the Nth system call"
    ),
    "exceptions": Tier(
        "tools.trials.crash_test.exceptions:run", "cases", 150, None, "an exception at every line of commit and upkeep"
    ),
    "sync-order": Tier("tools.trials.crash_test.sync_order:run", "requests", 100, 6000, "no answer before the sync"),
    "power-cuts": Tier(
        "tools.trials.crash_test.power_cuts:run", "cuts", 60, 2000, "the power goes, on a disk in memory"
    ),
    "bit-rot": Tier("tools.trials.crash_test.bit_rot:run", "cases", 300, None, "flipped bits, cut files, wrong blocks"),
    "disk-full": Tier(
        "tools.trials.crash_test.disk_full:run", "cycles", 1, 50, "full, freed, going on without a restart"
    ),
}


def main(arguments: Sequence[str]) -> int:
    """Run `python -m tools.trials crash-test`."""
    options = parse(arguments)
    limit_open_files(options.open_files)
    broken = False
    for name in list(TIERS) if "all" in options.tier else options.tier:
        tier = TIERS[name]
        count = options.count or (tier.short if options.short else tier.full)
        began = time.monotonic()
        with without_log():
            outcome = play(name, count, options.seed, tuple(options.set), options.directory, narrator(options.quiet))
        print("\n".join(outcome.lines()))
        if not outcome.skipped:
            print(f"  {time.monotonic() - began:>12,.1f}  seconds", flush=True)
        broken = broken or bool(outcome.violations)
    return 1 if broken else 0


@contextmanager
def without_log() -> Iterator[None]:
    """A store that is damaged a thousand times has a thousand things to say."""
    with open(os.devnull, "w") as nowhere:
        process_lines().configure(stream=nowhere)
        try:
            yield
        finally:
            process_lines().configure()


def narrator(quiet: bool) -> Callable[[str], None]:
    """Says on standard error how far a tier is."""
    began = time.monotonic()

    def say(words: str) -> None:
        if not quiet:
            print(f"{time.monotonic() - began:8.1f} s  {words}", file=sys.stderr, flush=True)

    return say


def play(
    name: str,
    count: int | None,
    seed: int,
    settings: tuple[str, ...],
    directory: str | None,
    say: Callable[[str], None],
) -> Outcome:
    """Play one tier in a directory of its own, which stays if something was found."""
    module, _, function = TIERS[name].target.partition(":")
    run: Callable[[Plan], Outcome] = getattr(importlib.import_module(module), function)
    place = Path(tempfile.mkdtemp(prefix=f"crash-test-{name}-", dir=directory))
    try:
        outcome = run(Plan(count, place, seed, settings, say))
    except CannotTry as error:
        outcome = Outcome(name, skipped=str(error))
    if outcome.violations and any(place.iterdir()):
        outcome.violations.append(f"(files are in {place})")
    else:
        shutil.rmtree(place, ignore_errors=True)
    return outcome


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """The options; prints usage and exits with 2 on words it does not know."""
    width = max(map(len, TIERS))
    tiers = [
        f"  {name:<{width}}  {tier.summary} ({tier.unit}: {tier.full or 'all there are'}, short {tier.short})"
        for name, tier in TIERS.items()
    ]
    parser = argparse.ArgumentParser(
        prog="python -m tools.trials crash-test",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Play accidents and hold the log to every acknowledgement. Counts go to standard output.",
        epilog="\n".join(["tiers:", *tiers, f"  {'all':<{width}}  one after the other"]),
    )
    parser.add_argument("tier", nargs="+", choices=[*TIERS, "all"], metavar="TIER", help="see below")
    parser.add_argument("--count", type=positive, help="how many, in the tier's own unit")
    parser.add_argument("--short", action="store_true", help="the form of the test suite: seconds instead of minutes")
    parser.add_argument("--seed", type=int, default=1, help="of everything that is drawn (default 1)")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="a setting for the broker")
    parser.add_argument(
        "--open-files", type=positive, metavar="N", help="at most so many files may be open (ulimit -n)"
    )
    parser.add_argument("--directory", type=folder, help="where to keep files while it runs, and after a violation")
    parser.add_argument("--quiet", action="store_true", help="do not say how far it is")
    return parser.parse_args(arguments)


def positive(word: str) -> int:
    """A number above 0. Raises ArgumentTypeError."""
    if not word.isdigit() or int(word) == 0:
        raise argparse.ArgumentTypeError(f"{word!r} is not a number above 0")
    return int(word)
