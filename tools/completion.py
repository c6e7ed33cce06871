"""What a shell offers behind Tab: verbs, actions, options, and the names of topics and groups that are there now.

The library `argcomplete` (extra `cli`) speaks with bash, zsh and fish; it is given the parser of one verb, so no other
verb's module is loaded. `ottla completion SHELL` prints the line that a shell needs once. An option or word whose
metavar is in `ASKED` is completed by asking the cluster that the line so far means, for a second at the most; if it
does not answer, nothing is offered.
"""

from __future__ import annotations

import argparse
import importlib
import os
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tools.client.cluster import Cluster

ASK_SECONDS = 1.0


def complete(command: str, modules: Mapping[str, str]) -> None:
    """Answer the shell, whose line is in the environment, and end the process; return if the library is missing.

    `modules`: verb -> its module.
    """
    try:
        import argcomplete
    except ImportError:
        return
    line, point = os.environ.get("COMP_LINE", ""), int(os.environ.get("COMP_POINT") or 0)
    words = line[:point].split()
    behind = line[: len(line) - len(line.lstrip())] + line.lstrip()[len(words[0]) if words else 0 :].lstrip()
    if len(words) > 2 or (len(words) == 2 and line[:point].endswith(" ")):
        parser = verb_parser(words[1], modules)
        # argcomplete takes the first word for the program: to it the verb is one.
        os.environ.update(COMP_LINE=behind, COMP_POINT=str(max(0, point - (len(line) - len(behind)))))
    else:
        parser = argparse.ArgumentParser(prog=command)
        parser.add_argument("verb", choices=list(modules))
    for action in actions_of(parser):
        if action.metavar in ASKED:
            setattr(action, "completer", asking(ASKED[str(action.metavar)]))  # noqa: B010  # argcomplete's own way
    argcomplete.autocomplete(parser)


def verb_parser(name: str, modules: Mapping[str, str]) -> argparse.ArgumentParser:
    """The parser of a verb; one without options if it has none to show."""
    module = importlib.import_module(modules[name]) if name in modules else None
    make: Callable[[], argparse.ArgumentParser] | None = getattr(module, "parser", None)
    return make() if make is not None else argparse.ArgumentParser(prog=name)


def actions_of(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    """All options and words of a parser and of the parsers below it."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for below in action.choices.values():
                yield from actions_of(below)
        else:
            yield action


def asking(names_of: Callable[[Cluster], list[str]]) -> Callable[..., list[str]]:
    """A completer that asks the cluster which the options so far mean."""

    def completer(prefix: str, parsed_args: Any, **_: object) -> list[str]:
        from tools.client.cluster import Cluster
        from tools.client.properties import ClientProperties, properties_of
        from tools.failures import Failed

        try:
            properties = ClientProperties(properties_of(parsed_args).given, ASK_SECONDS)
            with Cluster(properties) as cluster:
                return [name for name in names_of(cluster) if name.startswith(prefix)]
        except (Failed, AttributeError):
            return []

    return completer


def _topics(cluster: Cluster) -> list[str]:
    from tools.client.topics import topic_names

    return topic_names(cluster)


def _groups(cluster: Cluster) -> list[str]:
    from tools.client.groups import list_groups

    return [group.id for group in list_groups(cluster)]


ASKED: Mapping[str, Callable[[Cluster], list[str]]] = {"TOPIC": _topics, "GROUP": _groups}
