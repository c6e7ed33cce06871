"""A command of several verbs: one verb, one module, one row of a table.

A verb's function takes the arguments after the verb and returns an exit status: 0 done, 1 it failed, 2 it was asked
for something it cannot understand (argparse's own status, and that of a configuration error). The module is imported
when its verb is called and not before: how fast a broker starts is a feature, and the command's help should not load
one.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple


class Verb(NamedTuple):
    """The place of a verb's function, as `module:function`, and its line in the command's help."""

    target: str
    summary: str


def run(command: str, verbs: Mapping[str, Verb], arguments: Sequence[str]) -> int:
    """Run `arguments`, the words after `command`, and return the exit status."""
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print(overview(command, verbs))
        return 0 if arguments else 2
    name, rest = arguments[0], list(arguments[1:])
    if name in ("-V", "--version"):
        from ottla import __version__

        print(f"ottla {__version__}")
        return 0
    verb = verbs.get(name)
    if verb is None:
        print(f"{command}: {_unknown(command, verbs, name)}", file=sys.stderr)
        return 2
    module, _, function = verb.target.partition(":")
    called: Callable[[list[str]], int | None] = getattr(importlib.import_module(module), function)
    return called(rest) or 0


def overview(command: str, verbs: Mapping[str, Verb]) -> str:
    """The help of the whole command: a line for each verb."""
    width = max(map(len, verbs))
    lines = [f"usage: {command} VERB [...]", ""]
    lines += [f"  {name:<{width}}  {verb.summary}" for name, verb in verbs.items()]
    lines += ["", f"{command} VERB --help lists the options of a verb; {command} --version prints the version."]
    return "\n".join(lines)


def _unknown(command: str, verbs: Mapping[str, Verb], name: str) -> str:
    """One sentence for a verb that is not there, with the nearest one that is."""
    import difflib

    near = difflib.get_close_matches(name, verbs, n=1)
    return f"no verb {name!r}" + (f"; did you mean {near[0]!r}?" if near else f"; {command} --help lists them")
