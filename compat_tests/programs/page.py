"""The page docs/programs.md: what each program does on each broker, and why not where it does not."""

from __future__ import annotations

from collections.abc import Sequence

from compat_tests.matrix import MARKS, Run, unique

INTRODUCTION = """\
# Programs beside a broker

What people run beside a broker, unmodified, each as its manual says. `make programs` fetches them, once,
and runs them on Ottla; it takes some minutes. `OTTLA_KAFKA_COMMAND` is a command that starts Apache Kafka, with which
`pytest compat_tests/programs --programs --launch kafka` asks it the same.

**yes**: it does as the sentence says. **?**: not run, for the reason below. **no**: it does not.

This page is written by `python -m compat_tests programs-page docs/programs.md --from JSON ...`.
"""


def page(runs: Sequence[Run]) -> str:
    """In Markdown; a column for each broker."""
    brokers = [run.broker for run in runs]
    lines = [INTRODUCTION]
    lines += [
        f"| program | version | what it does | {' | '.join(brokers)} |",
        "| --- | --- | --- |" + " --- |" * len(runs),
    ]
    cells = [run.cells() for run in runs]
    promises = {(outcome.client, outcome.scenario): outcome.promise for run in runs for outcome in run.outcomes}
    for (program, scenario), promise in promises.items():
        version = next((run.versions[program] for run in runs if run.versions.get(program)), "")
        marks = [MARKS[found[scenario, program]] if (scenario, program) in found else "?" for found in cells]
        lines.append(f"| {program} | {version} | {promise} | {' | '.join(marks)} |")
    reasons = unique(
        f"* {outcome.client}, {outcome.scenario}, on {run.broker}: {outcome.reason}"
        for run in runs
        for outcome in run.outcomes
        if outcome.result in ("skip", "FAIL")
    )
    return "\n".join([*lines, *(["", *reasons] if reasons else []), ""])
