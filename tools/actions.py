"""A verb of several actions: `ottla topics create orders --partitions 3`, and what all actions share.

An action is a row of its module's table `ACTIONS`. Kafka's own spelling works too: `--create --topic orders` is
`create --topic orders`, so a line written for `kafka-topics.sh` needs its first word changed and nothing else. Every
action that asks brokers has the connection options of `tools/client/properties.py`; every one that prints something
has `--json`.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, TypeAlias

from tools.failures import Misunderstood

Options: TypeAlias = argparse.Namespace


class Action(NamedTuple):
    """What an action does, the options it adds to its parser, and its line in the verb's help. One that `connects` asks
    brokers, and has the options for that; one that `prints` has `--json`."""

    run: Callable[[Options], int | None]
    options: Callable[[argparse.ArgumentParser], None]
    summary: str
    connects: bool = True
    prints: bool = True


def verb_parser(program: str, description: str, actions: Mapping[str, Action]) -> argparse.ArgumentParser:
    """The parser of a verb with all its actions."""
    from tools.client.properties import add_connection_options

    parser = argparse.ArgumentParser(prog=program, description=description)
    subparsers = parser.add_subparsers(metavar="ACTION", required=True, title="actions")
    for name, action in actions.items():
        below = subparsers.add_parser(name, help=action.summary, description=sentence(action.summary))
        action.options(below)
        if action.prints:
            below.add_argument("--json", action="store_true", help="print JSON, for programs")
        if action.connects:
            add_connection_options(below)
        below.set_defaults(action=action)
    return parser


def run_action(parser: argparse.ArgumentParser, actions: Mapping[str, Action], arguments: Sequence[str]) -> int:
    """Run the action that the words name, and return the exit status. Raises Failed; prints usage and exits with 2 on
    options it does not know. Without any words it prints which actions there are."""
    words = with_action_first(arguments, actions)
    if not words:
        parser.print_help(sys.stderr)
        return Misunderstood.status
    if words[0] not in actions and not words[0].startswith("-"):
        import difflib

        near = difflib.get_close_matches(words[0], actions, n=1)
        known = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(actions)}"
        raise Misunderstood(f"no action {words[0]!r}; {known}")
    if words[0].startswith("-") and words[0] not in ("-h", "--help"):
        raise Misunderstood(f"the action comes first, then its options; there are {', '.join(actions)}")
    options = parser.parse_args(words)
    action: Action = options.action
    return action.run(options) or 0


def with_action_first(arguments: Sequence[str], actions: Mapping[str, Action]) -> list[str]:
    """`--create --topic orders` as `create --topic orders`; other words as they are."""
    words = list(arguments)
    if words and words[0] not in actions:
        for at, word in enumerate(words):
            if word.startswith("--") and word[2:] in actions:
                return [word[2:], *words[:at], *words[at + 1 :]]
    return words


def sentence(summary: str) -> str:
    """A line of help as a sentence."""
    return f"{summary[0].upper()}{summary[1:]}."


def names_from(positional: Sequence[str], option: Sequence[str] | None) -> list[str]:
    """Names given as words, or as Kafka's repeatable option which may hold several with commas between them."""
    return [*positional, *(name for word in option or () for name in word.split(",") if name)]
