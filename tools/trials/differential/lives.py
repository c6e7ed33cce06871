"""`trials compare-lives`: a broker that was reset is a new one, and one that was restored the one that was saved.

In every answer: both are asked with the scenarios whose answers Kafka's recording holds, drawn at random. One broker is

1. used by some scenarios, whatever they leave behind: topics, groups, transactions, settings, users, ACLs, quotas;
2. copied, and asked by others;
3. brought back to the copy, and asked by the same: the answers are the same;
4. reset, and asked by the same once more: the answers are those of a new broker beside it.

With what is asked in the second step, the third also finds what of it was left. What the broker keeps to itself, as
members that have not been assigned anything yet, is gone with a life, as with a restart (docs/testing.md): scenarios
that list all groups are asked after a reset only.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import ottla
from tools.answers import scenarios
from tools.answers.comparison import Difference, alike, compare, described
from tools.answers.scenario import Scenario, perform
from tools.answers.site import Answers, Site
from tools.answers.stage import wait_for_coordinators
from tools.trials.brokers import Contender, Process, quiet_port
from tools.trials.differential.contenders import SETTINGS, texts_of

TOKEN = "token-of-this-trial"


class Commanded(NamedTuple):
    """A broker to be asked, and to be commanded."""

    site: Site
    control: ottla.Control


def main(arguments: Sequence[str]) -> int:
    """Compare lives as `arguments` say and return the exit status: 1 if answers differ."""
    options = parse(arguments)
    seed = options.seed if options.seed is not None else random.SystemRandom().randrange(1 << 32)
    print(f"seed {seed}, {options.count} scenarios for each step, {'memory' if options.memory else 'data'}")
    for number in range(options.rounds):
        began = time.monotonic()
        compared, found = compare_lives(seed + number, options.count, memory=options.memory)
        print(f"round {number}: {compared} answers compared, {len(found)} differ, {time.monotonic() - began:.0f} s")
        if found:
            print("\n".join(described(group) for group in alike(found)))
            return 1
    return 0


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """The options of `python -m tools.trials compare-lives`."""
    parser = argparse.ArgumentParser(prog="python -m tools.trials compare-lives", description=__doc__)
    parser.add_argument("--seed", type=int, help="what is drawn by; a new one if none is given")
    parser.add_argument("--rounds", type=int, default=10, help="draws (10)")
    parser.add_argument("--count", type=int, default=40, help="scenarios for each step (40)")
    parser.add_argument("--memory", action="store_true", help="keep data in memory, not in a directory")
    return parser.parse_args(arguments)


def compare_lives(seed: int, count: int, *, memory: bool) -> tuple[int, list[Difference]]:
    """One draw: how many answers were compared, and where they differ."""
    chance = random.Random(seed)
    drawn = chance.sample(scenarios.load(), 2 * count)
    before, asked = drawn[:count], drawn[count:]
    lasting = [each for each in asked if not _is_about_all_groups(each)]
    with running(memory) as one, running(memory) as new:
        perform(before, one.site)
        name = one.control.snapshot()
        saved = ask(lasting, one)
        one.control.restore(name)
        restored = ask(lasting, one)
        one.control.reset()
        wait_for_coordinators(one.site)
        reset = ask(asked, one)
        fresh = ask(asked, new)
    reports = [compare(restored, saved, ()), compare(reset, fresh, ())]
    return sum(each.compared for each in reports), [found for each in reports for found in each.unexplained]


def ask(asked: Sequence[Scenario], broker: Commanded) -> Answers:
    """The answers to these scenarios."""
    return perform(asked, broker.site)


def _is_about_all_groups(scenario: Scenario) -> bool:
    return scenario.name.startswith(("ListGroups", "ListTransactions"))


@contextmanager
def running(memory: bool) -> Iterator[Commanded]:
    """A broker that takes commands, with the settings of all comparisons."""
    with tempfile.TemporaryDirectory(prefix="compare-lives-") as folder:
        control = quiet_port()
        place = ("--memory",) if memory else ("--data", "{dir}")
        words = (sys.executable, "-m", "ottla", "serve", "--no-environment", "--exit-with-parent", *place)
        settings = (*SETTINGS, f"ottla.control.listener={control}", f"ottla.control.token={TOKEN}")
        with Process(
            Contender("ottla", words, settings, "--set"), Path(folder) / "data", Path(folder) / "output"
        ) as broker:
            broker.start()
            broker.wait_until()
            site = Site.here(broker.port, texts_of(f"{folder}/data", broker.port), 0.0)
            wait_for_coordinators(site)
            yield Commanded(site, ottla.Control(f"http://127.0.0.1:{control}/?token={TOKEN}"))
