"""`ottla compat`: ask any broker what Kafka was asked, have real clients use it, and say what differs.

    ottla compat -b localhost:9092 --to report                       everything
    ottla compat -b localhost:9092 --to report --clients none        the recorded answers only
    ottla compat -b localhost:9092 --to report --only Fetch --only Produce
    ottla compat -b broker:9093 -F client.properties --to report --explained known.json

The folder then has `index.html`, `compat.json`, `junit.xml`, and the output of each client that played. The exit
status is 0 if nothing differs without an explanation, 1 if something does. The broker is left with the topics, groups
and settings that were made on it: point it at one whose data may go.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Sequence
from datetime import datetime
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from tools.answers.comparison import Explanation
from tools.client.properties import ClientProperties, add_connection_options, properties_of
from tools.failures import Failed, Misunderstood
from tools.output.progress import bars, progress

if TYPE_CHECKING:
    from tools.compat.findings import ClientResult, Findings

OURS = "ottla"
NONE, ALL = "none", "all"


def main(arguments: Sequence[str]) -> int:
    """Compare; 0 if nothing differs without an explanation, else 1. Raises Failed."""
    options = parser().parse_args(arguments)
    properties = properties_of(options)
    clients = _clients(options.clients)
    from tools.compat.asking import wanted
    from tools.compat.target import look_at

    explanations = _explanations(options.explained)
    scenarios = [] if options.no_answers else wanted(options.only)
    if options.only and not scenarios and not clients:
        raise Misunderstood(f"there is no API, and no scenario, like {', '.join(options.only)}")
    target = look_at(properties)
    _make(options.to)
    if scenarios and (delay := target.settings.get("group.initial.rebalance.delay.ms")) not in (None, "0"):
        print(f"the broker's group.initial.rebalance.delay.ms is {delay}: groups take their time", file=sys.stderr)
    if options.prepare:
        from tools.compat.playing import prepare

        prepare(clients)
    from tools.compat.asking import ask, either
    from tools.compat.circumstances import circumstances
    from tools.compat.findings import AnswersResult, Findings, compared, to_be_asked_again, with_unsteady
    from tools.compat.page import sentence

    answers = AnswersResult()
    if scenarios:
        with progress("answers", len(scenarios)) as advance:
            asked = ask(target, scenarios, advance)
        known = [*circumstances(target, asked.recorded), *explanations]
        answers = compared(asked, target, known)
        if doubtful := to_be_asked_again(asked, answers):
            with progress("asked again", len(doubtful)) as advance:
                again = either(asked, ask(target, doubtful, advance))
            answers = with_unsteady(compared(again, target, known), answers)
    found = Findings(target, options.name or target.name, answers, _play(properties, clients, options, explanations))
    _write(found, options.to)
    print(sentence(found))
    for each in found.clients:
        if each.missing:
            print(f"{each.name} did not play: {each.missing}")
    print(options.to / "index.html")
    return 0 if found.alike else 1


def parser() -> argparse.ArgumentParser:
    """All words of `ottla compat`."""
    from tools.compat.playing import CLIENTS

    made = argparse.ArgumentParser(
        prog="ottla compat", description="Say how a broker differs from Apache Kafka.",
        epilog="It makes topics, groups and settings at the broker and does not remove them.",
    )  # fmt: skip
    add_connection_options(made)
    made.add_argument("--to", type=Path, required=True, metavar="DIR", help="the folder for page, JSON and JUnit's XML")
    made.add_argument(
        "--clients", default=ALL, metavar="NAME,...",
        help=f"which clients play: {', '.join(CLIENTS)}; {ALL} (that are here), or {NONE}",
    )  # fmt: skip
    made.add_argument(
        "--prepare", action="store_true",
        help="first fetch and build what clients outside Python need, by Maven, npm and Go",
    )  # fmt: skip
    made.add_argument("--no-answers", action="store_true", help="leave the recorded answers of Kafka out")
    made.add_argument(
        "--only", action="append", default=[], metavar="WORD",
        help="APIs and scenarios with that in their names; may be repeated",
    )  # fmt: skip
    made.add_argument(
        "--explained", action="append", default=[], metavar="FILE",
        help=f"a JSON list of differences that are known, or {OURS}, for Ottla's own; may be repeated",
    )  # fmt: skip
    made.add_argument("--name", help="what the broker is called on the page")
    return made


def _clients(text: str) -> list[str]:
    """The clients that play. Raises Misunderstood."""
    from tools.compat.playing import CLIENTS

    if text == NONE:
        return []
    chosen = list(CLIENTS) if text == ALL else [word.strip().replace("-", "_") for word in text.split(",")]
    for each in chosen:
        if each not in CLIENTS:
            raise Misunderstood(f"there is no client {each}; there are {', '.join(CLIENTS)}")
    if find_spec("pytest") is None:
        raise Misunderstood("the clients play under pytest: pip install 'ottla[compat]', or use --clients none")
    return chosen


def _explanations(names: Iterable[str]) -> list[Explanation]:
    """What is known to differ. Raises Misunderstood."""
    found: list[Explanation] = []
    for name in names:
        if name == OURS:
            from tools.answers.explained import EXPLAINED

            found += EXPLAINED
        else:
            found += _read_explanations(Path(name))
    return found


def _read_explanations(path: Path) -> list[Explanation]:
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise Misunderstood(f"{path}: {getattr(error, 'strerror', None) or error}") from None
    wanted = "a list of objects with scenario, reason and, if wanted, path, here and kafka"
    if not isinstance(rows, list):
        raise Misunderstood(f"{path} has to be {wanted}")
    found = []
    for row in rows:
        if not isinstance(row, dict) or not row.keys() >= {"scenario", "reason"}:
            raise Misunderstood(f"{path} has to be {wanted}, and not {json.dumps(row)[:100]}")
        exact = (row.get("here", ...), row.get("kafka", ...))
        found.append(Explanation(str(row["scenario"]), str(row.get("path", "*")), str(row["reason"]), *exact))
    return found


def _make(folder: Path) -> None:
    """The folder, if it is not there. Raises Misunderstood."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise Misunderstood(f"--to {folder}: {error.strerror}") from None


def _play(
    properties: ClientProperties, clients: Sequence[str], options: argparse.Namespace, explained: Sequence[Explanation]
) -> list[ClientResult]:
    """Have clients play, with a bar for each. Raises Misunderstood."""
    if not clients:
        return []
    from tools.compat.playing import play

    with bars(clients) as advance:
        return play(properties, clients, options.only, options.to, explained, advance)


def _write(found: Findings, folder: Path) -> None:
    """Page, JSON and XML. Raises Failed."""
    from tools.compat import files
    from tools.compat.page import render

    when = datetime.now().astimezone()
    texts = {
        "index.html": render(found, when),
        "compat.json": files.as_json(found, when),
        "junit.xml": files.as_junit(found),
    }
    for name, text in texts.items():
        try:
            (folder / name).write_text(text, encoding="utf-8")
        except OSError as error:
            raise Failed(f"{folder / name}: {error.strerror}") from None
