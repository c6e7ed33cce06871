"""`trials compare-answers`: ask Ottla and Apache Kafka the same, and compare what they say field by field.

With `--kafka COMMAND` both are asked now, and `--record FILE` keeps Kafka's answers; otherwise Ottla is compared with
answers recorded before. The exit status is 0 if every difference is explained, 1 if one is not.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from kproto.release import RELEASE
from tools.answers import scenarios
from tools.answers.comparison import Report, alike, compare, described
from tools.answers.explained import EXPLAINED
from tools.answers.recording import RECORDED, foreign_versions, read_answers, write_answers
from tools.answers.scenario import STOPPED, Scenario, perform
from tools.answers.site import Answers
from tools.trials.differential.contenders import running_kafka, running_ottla
from tools.trials.differential.page import page

SLOW_SECONDS = 5.0


def main(arguments: Sequence[str]) -> int:
    """Run the comparison that `arguments` describe and return the exit status."""
    options = parse(arguments)
    wanted = [each for each in scenarios.load() if options.only is None or matches(each, options.only)]
    if not wanted:
        print(f"no scenario of {', '.join(options.only)}")
        return 2
    began = time.perf_counter()
    with running_ottla() as site:
        ours = perform(wanted, site, tell_slow)
    print(f"Ottla: {len(ours)} answers in {time.perf_counter() - began:.1f} s")
    report = compare(ours, theirs(options, wanted), EXPLAINED)
    if options.page is not None:
        options.page.write_text(page(ours, report), encoding="utf-8")
    print(summary(report, options.verbose))
    return 1 if report.unexplained else 0


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """The options of `python -m tools.trials compare-answers`."""
    parser = argparse.ArgumentParser(prog="python -m tools.trials compare-answers", description=__doc__)
    source = parser.add_mutually_exclusive_group()
    source.add_argument("--kafka", metavar="COMMAND", help="how to start Apache Kafka, with {port} and {dir} in it")
    source.add_argument("--recorded", type=Path, default=RECORDED, metavar="FILE", help="Kafka's recorded answers")
    parser.add_argument("--record", type=Path, metavar="FILE", help="with --kafka: keep its answers here")
    parser.add_argument(
        "--only", nargs="+", metavar="API", help="these APIs, as in Fetch, or scenarios, as in Fetch/sessions"
    )
    parser.add_argument("--page", type=Path, metavar="FILE", help="write what was found as a page in Markdown")
    parser.add_argument("--verbose", action="store_true", help="show explained differences one by one")
    options = parser.parse_args(arguments)
    if options.record is not None and options.kafka is None:
        parser.error("--record keeps the answers of a broker that --kafka starts")
    if options.kafka is None and not options.recorded.exists():
        parser.error(f"there are no recorded answers in {options.recorded}")
    return options


def matches(scenario: Scenario, wanted: Sequence[str]) -> bool:
    """Whether `--only` asks for a scenario."""
    name = scenario.name.lower()
    return any(each.lower() in (name, name.partition("/")[0]) for each in wanted)


def tell_slow(name: str, seconds: float) -> None:
    """Name a scenario that takes its time, for the person who waits."""
    if seconds >= SLOW_SECONDS:
        print(f"  {name}: {seconds:.0f} s", file=sys.stderr, flush=True)


def theirs(options: argparse.Namespace, wanted: Sequence[Scenario]) -> Answers:
    """Kafka's answers, asked now or recorded."""
    if options.kafka is None:
        names = {each.name for each in wanted}
        return {key: answer for key, answer in read_answers(options.recorded).items() if key.scenario in names}
    began = time.perf_counter()
    with running_kafka(options.kafka) as site:
        found = perform(wanted, site, tell_slow)
    print(f"Kafka: {len(found)} answers in {time.perf_counter() - began:.1f} s")
    stopped = {key.scenario: f"{key}: {answer}" for key, answer in found.items() if key.step == STOPPED}
    if stopped:
        print("scenarios that Kafka does not let be played to the end:", *stopped.values(), sep="\n  ")
    if options.record is not None:
        foreign = [] if options.only else foreign_versions(found)
        if foreign:
            raise SystemExit(f"{RELEASE} was to be recorded, but this Kafka lists {', '.join(foreign)}")
        kept = read_answers(options.record) if options.only and options.record.exists() else {}
        names = {each.name for each in wanted}
        good = {key: answer for key, answer in found.items() if key.scenario not in stopped}
        write_answers(options.record, {k: v for k, v in kept.items() if k.scenario not in names} | good)
    return found


def summary(report: Report, verbose: bool = False) -> str:
    """What a comparison found, for people."""
    lines = [described(group) for group in alike(report.unexplained)]
    for why, found in report.explained.items():
        lines.append(f"explained, {len(found)} times: {why.scenario} | {why.path}\n    {why.reason}")
        lines += [described(group) for group in alike(found)] if verbose else []
    explained = sum(map(len, report.explained.values()))
    lines.append(
        f"{report.compared} answers compared, {explained} differences explained, {len(report.unexplained)} unexplained"
    )
    return "\n".join(lines)
