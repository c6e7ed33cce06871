"""The page with what a comparison found: how much was asked, what may differ, and what differs for a reason."""

from __future__ import annotations

from collections import Counter

from tools.answers.comparison import Explanation, Report
from tools.answers.site import Answers
from tools.answers.variations import VARIATIONS

INTRODUCTION = """\
# Answers compared with Apache Kafka's

The same hand-made requests are sent to Ottla and to Apache Kafka: every API served, in every version, valid and
broken. The decoded answers are compared field by field; a closed connection and no answer at all are answers too. What
Kafka answered is kept in the repository, so the comparison is part of the test suite and needs no Java:

    python -m tools.trials compare-answers                       # with the recorded answers
    python -m tools.trials compare-answers --only Fetch
    python -m tools.trials compare-answers --kafka 'COMMAND {port} {dir}' --record FILE

This page is written by `python -m tools.trials compare-answers --page FILE`.
"""


def page(answers: Answers, report: Report) -> str:
    """The whole page, in Markdown."""
    per_api = Counter(key.scenario.partition("/")[0] for key in answers)
    scenarios = len({key.scenario for key in answers})
    lines = [
        INTRODUCTION,
        f"**{report.compared:,} answers** in {scenarios} scenarios, "
        f"**{len(report.unexplained)} unexplained differences**.",
        "",
        "| API | answers |",
        "|---|---|",
        *(f"| {api} | {count:,} |" for api, count in sorted(per_api.items())),
        "",
        "## What may differ between any two brokers",
        "",
        "| field | reason |",
        "|---|---|",
        *(f"| `{path}` | {rule.reason} |" for path, rule in VARIATIONS.items()),
        "",
        "## What differs for a reason",
        "",
        "| reason | where | ours | Kafka's |",
        "|---|---|---|---|",
    ]
    for reason, rows in by_reason(report).items():
        where = "<br>".join(f"`{each.scenario}`" for each in rows)
        ours, kafkas = _shown([each.ours for each in rows]), _shown([each.kafkas for each in rows])
        lines.append(f"| {reason} | {where} | {ours} | {kafkas} |")
    return "\n".join(lines) + "\n"


def by_reason(report: Report) -> dict[str, list[Explanation]]:
    """The explanations that explained something, put together where the reason is the same."""
    found: dict[str, list[Explanation]] = {}
    for each in report.explained:
        found.setdefault(each.reason, []).append(each)
    return found


def _shown(values: list[object]) -> str:
    shown = dict.fromkeys("" if value is ... else f"`{value}`" for value in values)
    return ", ".join(value for value in shown if value)
