"""The findings as one page of HTML that needs nothing beside it: it can be mailed, or kept with a build."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from kproto.messages import APIS
from kproto.release import RELEASE
from tools.compat import showing
from tools.compat.findings import Difference, Findings
from tools.failures import Misunderstood

TEMPLATES: Final = Path(__file__).parent / "templates"
MOST_FIELDS: Final = 12
"""Of one answer are shown; all are in the JSON."""


def render(found: Findings, when: datetime) -> str:
    """The page. Raises Misunderstood without Jinja."""
    try:
        from jinja2 import Environment, FileSystemLoader
    except ImportError:
        raise Misunderstood("the page is written by Jinja: pip install 'ottla[compat]'") from None
    from ottla import __version__

    environment = Environment(loader=FileSystemLoader(TEMPLATES), autoescape=True, trim_blocks=True, lstrip_blocks=True)
    environment.globals.update(
        value=showing.value,
        numbers=showing.numbers,
        decoded=showing.decoded,
        hexadecimal=showing.hexadecimal,
    )
    judged = {each.key for each in found.answers.apis}
    return environment.get_template("compat.html").render(
        found=found,
        answers=found.answers,
        release=RELEASE,
        version=__version__,
        when=when.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        sentence=sentence(found),
        groups={why: by_scenario(found, why) for why in (False, True)},
        steps=Counter((each.api, each.explained is not None) for each in found.answers.differences),
        unserved=[api.name for key, api in APIS.items() if key not in judged] if len(judged) > 1 else [],
        skipped=skipped(found),
        most=MOST_FIELDS,
    )


def sentence(found: Findings) -> str:
    """What was found, in one sentence."""
    parts = []
    if found.answers.apis:
        unserved = sum(each.served is None for each in found.answers.apis)
        differing = len(found.answers.unexplained)
        parts.append(
            f"{found.answers.compared:,} answers compared, {differing:,} requests answered differently"
            + (f"; {unserved} APIs are not served" if unserved else "")
        )
    played = [each for each in found.clients if not each.missing]
    if played:
        runs = sum(each.count("pass") + each.count("FAIL") for each in played)
        failures = sum(len(each.failures) for each in played)
        parts.append(f"{runs} scenarios of {len(played)} clients played, {failures} come out differently")
    return "; ".join(parts) or "nothing was compared"


def by_scenario(found: Findings, explained: bool) -> Mapping[str, Mapping[str, list[Difference]]]:
    """API -> scenario -> differences, with or without an explanation."""
    groups: dict[str, dict[str, list[Difference]]] = {}
    for each in found.answers.differences:
        if (each.explained is not None) == explained:
            groups.setdefault(each.api, {}).setdefault(each.scenario, []).append(each)
    return dict(sorted(groups.items()))


def skipped(found: Findings) -> dict[str, list[str]]:
    """Reason -> the clients' scenarios that were not played for it."""
    reasons: dict[str, list[str]] = {}
    for client in found.clients:
        for run in client.runs:
            if run.result == "skip":
                names = reasons.setdefault(run.reason, [])
                if run.scenario not in names:
                    names.append(run.scenario)
    return reasons
