"""`docs/kafka-tools.md`: every option of every tool, and the scenario that shows it, or why there is none.

A scenario shows an option of a tool if the name of the tool, that of its command where it has some, and the option
stand in the scenario's function or in what that function uses of its module. That is read from the source, so the page
needs neither Java nor a broker; a run of all scenarios of the tools looks whether it is true (`used` in `adapter.py`).
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from compat_tests.clients.kafka_tools.adapter import HELP, VERSION
from compat_tests.clients.kafka_tools.options import LEFT_OUT, OPTIONS

SCENARIOS = Path(__file__).parents[2] / "scenarios"
ALWAYS = {"--bootstrap-server": "every scenario", HELP: "tools say what they are", VERSION: "tools say what they are"}
"""Options that scenarios use without writing them."""
OVER_TLS = {"--command-config": "tools get in with settings"}
"""The same, where no other scenario shows the option."""

HEAD = """# Kafka's command-line tools

The tools of Apache Kafka, unmodified, on Ottla. Each option that a tool's `--help` lists is a row. *Shown by* names the
scenario (`compat_tests/scenarios/test_*tool*.py`) that uses it; without one the row says why. `make kafka-tools` runs
them, all in one process of Java, so that it takes a few minutes. The list is held against what the tools print
themselves.

This page is written by `python -m compat_tests tools-page docs/kafka-tools.md`.
"""


def page() -> str:
    """The page, in Markdown."""
    parts = [HEAD]
    for tool, options in OPTIONS.items():
        parts.append(f"\n## {tool}\n\n| option | works | shown by |\n| --- | --- | --- |\n")
        for option in options:
            reason = LEFT_OUT.get((tool, option))
            by = shown_by(tool, option)
            parts.append(f"| `{option}` | {'yes' if by else 'no'} | {by or reason or 'NOTHING'} |\n")
    return "".join(parts)


def untested() -> list[tuple[str, str]]:
    """Options that neither a scenario shows nor a reason explains."""
    return [
        (tool, option)
        for tool, options in OPTIONS.items()
        for option in options
        if not shown_by(tool, option) and (tool, option) not in LEFT_OUT
    ]


def shown_by(tool: str, option: str) -> str:
    """The scenario that shows an option, in words; empty if there is none."""
    if (tool, option) in LEFT_OUT:
        return ""
    if option in ALWAYS:
        return ALWAYS[option]
    written = (name for name, words in scenarios() if {*tool.split(), option} <= words)
    return next(written, OVER_TLS.get(option, ""))


@cache
def scenarios() -> list[tuple[str, frozenset[str]]]:
    """(scenario, the texts that it uses), of every scenario of the tools."""
    found: list[tuple[str, frozenset[str]]] = []
    for file in sorted(SCENARIOS.glob("test_*tool*.py")):
        tree = ast.parse(file.read_text(encoding="utf-8"))
        named = {name: node for node in tree.body for name in _names(node)}
        for name, node in named.items():
            if name.startswith("test_"):
                words = frozenset(_texts(node, named, set()))
                found.append((name.removeprefix("test_").replace("_", " "), words))
    return found


def _names(node: ast.stmt) -> Iterator[str]:
    """What a statement of a module gives a name to."""
    if isinstance(node, ast.FunctionDef):
        yield node.name
    elif isinstance(node, ast.Assign):
        yield from (target.id for target in node.targets if isinstance(target, ast.Name))


def _texts(node: ast.AST, named: dict[str, ast.stmt], seen: set[str]) -> Iterator[str]:
    """The constant texts in a piece of source, and in what of its module it uses, except for other scenarios."""
    for each in ast.walk(node):
        if isinstance(each, ast.Constant) and isinstance(each.value, str):
            yield each.value
        elif isinstance(each, ast.Name) and each.id in named and each.id not in seen:
            seen.add(each.id)
            yield from _texts(named[each.id], named, seen)
