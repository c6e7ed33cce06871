"""A command of several verbs: one verb, one module, one row of a table.

A verb's function takes the arguments after the verb and returns an exit status: 0 done, 1 it failed, 2 it was asked
for something it cannot understand (argparse's own status, and that of a configuration error); `tools/failures.py` has
the exceptions that mean these. Signals are settled in `ottla/__main__.py`, a lost standard output in
`tools/standard_output.py`. The module is imported when its verb is called and not before: how fast a broker starts is a
feature, and the command's help should not load one.

A verb whose module has a function `parser`, which makes its ArgumentParser, is completed by shells
(`tools/completion.py`).
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from itertools import groupby
from typing import NamedTuple


class Verb(NamedTuple):
    """The place of a verb's function, as `module:function`, its line in the command's help, the heading above it."""

    target: str
    summary: str
    heading: str = ""


def run(command: str, verbs: Mapping[str, Verb], arguments: Sequence[str]) -> int:
    """Run `arguments`, the words after `command`, and return the exit status."""
    if "_ARGCOMPLETE" in os.environ:
        from tools.completion import complete

        complete(command, {name: verb.target.partition(":")[0] for name, verb in verbs.items()})
    from tools.standard_output import with_guarded_output

    called = " ".join((command, *(word for word in arguments[:1] if word in verbs)))
    return with_guarded_output(called, arguments, lambda: _run(command, verbs, arguments))


def _run(command: str, verbs: Mapping[str, Verb], arguments: Sequence[str]) -> int:
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
    from tools.failures import Failed

    try:
        return function_of(verb)(rest) or 0
    except Failed as failed:
        sys.stdout.flush()
        print(f"{command} {name}: {failed}", file=sys.stderr)
        return failed.status


def function_of(verb: Verb) -> Callable[[list[str]], int | None]:
    """The function of a verb; imports its module."""
    module, _, function = verb.target.partition(":")
    found: Callable[[list[str]], int | None] = getattr(importlib.import_module(module), function)
    return found


def overview(command: str, verbs: Mapping[str, Verb]) -> str:
    """The help of the whole command: a line for each verb, under its heading."""
    width = max(map(len, verbs))
    lines = [f"usage: {command} VERB [...]"]
    for heading, rows in groupby(verbs.items(), lambda row: row[1].heading):
        lines += ["", *([heading] if heading else [])]
        lines += [f"  {name:<{width}}  {verb.summary}" for name, verb in rows]
    lines += ["", f"{command} VERB --help lists the options of a verb; {command} --version prints the version."]
    return "\n".join(lines)


def _unknown(command: str, verbs: Mapping[str, Verb], name: str) -> str:
    """One sentence for a verb that is not there, with the nearest one that is."""
    import difflib

    near = difflib.get_close_matches(name, verbs, n=1)
    return f"no verb {name!r}" + (f"; did you mean {near[0]!r}?" if near else f"; {command} --help lists them")
