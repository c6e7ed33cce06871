"""What became of every scenario with every client, as a table on the terminal, in Markdown or in JSON.

A cell is `pass`, `FAIL`, `gap` (the client cannot, with the reason from its folder) or `skip` (this machine or broker
cannot). The JSON of several runs, one for each broker, makes the page docs/compatibility.md.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

Result = Literal["pass", "FAIL", "gap", "skip"]
# The worst of a scenario's variants is what its cell shows.
WORST_FIRST: tuple[Result, ...] = ("FAIL", "gap", "skip", "pass")
MARKS: Mapping[str, str] = {"pass": "yes", "FAIL": "**no**", "gap": "-", "skip": "?", "": ""}


@dataclass(frozen=True)
class Outcome:
    """One run of one scenario with one client."""

    theme: str
    scenario: str
    promise: str
    client: str
    result: Result
    reason: str = ""


@dataclass(frozen=True)
class Run:
    """All outcomes against one broker, named for people."""

    broker: str
    outcomes: Sequence[Outcome]

    def cells(self) -> dict[tuple[str, str], Outcome]:
        """(scenario, client) to the worst of its outcomes."""
        worst: dict[tuple[str, str], Outcome] = {}
        for outcome in self.outcomes:
            key = (outcome.scenario, outcome.client)
            if key not in worst or WORST_FIRST.index(outcome.result) < WORST_FIRST.index(worst[key].result):
                worst[key] = outcome
        return worst

    def save(self, path: Path) -> None:
        """Write as JSON."""
        path.write_text(json.dumps({"broker": self.broker, "outcomes": [asdict(each) for each in self.outcomes]}))

    @classmethod
    def load(cls, path: Path) -> Run:
        """Read what `save` wrote."""
        saved = json.loads(path.read_text())
        return cls(saved["broker"], [Outcome(**outcome) for outcome in saved["outcomes"]])


def unique(names: Iterable[str]) -> list[str]:
    """In order of first appearance."""
    return list(dict.fromkeys(names))


def terminal(run: Run) -> list[str]:
    """The lines of a table for a terminal, the reasons of gaps and skips below it."""
    clients = unique(outcome.client for outcome in run.outcomes)
    cells = run.cells()
    scenarios = unique(outcome.scenario for outcome in run.outcomes)
    first = max(len(name) for name in [*scenarios, "scenario"])
    lines = [" ".join([f"{'scenario':<{first}}", *clients])]
    for scenario in scenarios:
        row = [cells.get((scenario, client)) for client in clients]
        marks = [f"{cell.result if cell else '':<{len(client)}}" for cell, client in zip(row, clients, strict=True)]
        lines.append(" ".join([f"{scenario:<{first}}", *marks]).rstrip())
    return lines


def markdown(runs: Sequence[Run]) -> str:
    """A page: a table for each theme, a column for each client and broker, then the reasons."""
    clients = unique(outcome.client for run in runs for outcome in run.outcomes)
    themes = unique(outcome.theme for run in runs for outcome in run.outcomes)
    cells = [run.cells() for run in runs]
    lines: list[str] = []
    for theme in themes:
        promises: dict[str, str] = {}
        for run in runs:
            for outcome in run.outcomes:
                if outcome.theme == theme:
                    promises.setdefault(outcome.scenario, outcome.promise)
        lines += [f"## {theme}", "", "| | " + " | ".join(clients) + " |", "| --- |" + " --- |" * len(clients)]
        for scenario, promise in promises.items():
            columns = [
                "/".join(unique(MARKS[found[scenario, client].result if (scenario, client) in found else ""]
                                for found in cells))
                for client in clients
            ]
            lines.append(f"| {promise} | " + " | ".join(columns) + " |")
        lines.append("")
    reasons = {
        client: unique(
            outcome.reason for run in runs for outcome in run.outcomes
            if outcome.client == client and outcome.result in ("gap", "skip") and outcome.reason
        )
        for client in clients
    }
    if any(reasons.values()):
        lines += ["## Reasons", ""]
        for client, because in reasons.items():
            lines += [f"* **{client}**: {'; '.join(because)}."] if because else []
        lines.append("")
    return "\n".join(lines)
