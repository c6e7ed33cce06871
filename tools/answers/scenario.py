"""A situation worth comparing: what an API is asked in it, for every version of that API.

`@scenario(ProduceRequest)` registers the function below it for all versions served; `since` and `until` narrow them.
The function's name is the scenario's, and its docstring may say what is special about it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial

from broker.handlers import SERVED_VERSIONS
from kproto.errors import ProtocolError
from kproto.schema.declare import Request
from tools.answers.site import Answers, Key, NotServed, Site
from tools.answers.stage import Stage

Play = Callable[[Stage], None]
STOPPED = "(stopped)"
"""The step under which a scenario that could not be played to its end says why."""


@dataclass(frozen=True)
class Scenario:
    """A registered function, and the versions of `api` it is played in."""

    name: str
    api: type[Request]
    versions: range
    play: Play

    @property
    def module(self) -> str:
        """The last part of the name of the module that says what is asked."""
        function = self.play.func if isinstance(self.play, partial) else self.play
        return function.__module__.rpartition(".")[2]


_registered: dict[str, Scenario] = {}


def scenario(api: type[Request], *, since: int | None = None, until: int | None = None) -> Callable[[Play], Play]:
    """Register a function as a scenario of `api`."""

    def register(play: Play) -> Play:
        add_scenario(play.__name__.replace("_", "-"), api, play, since=since, until=until)
        return play

    return register


def add_scenario(
    name: str, api: type[Request], play: Play, *, since: int | None = None, until: int | None = None
) -> None:
    """Register what `play` does under a name of its own."""
    oldest, newest = SERVED_VERSIONS[api.api_key]
    versions = range(max(oldest, since or 0), min(newest, newest if until is None else until) + 1)
    full = f"{api.__name__.removesuffix('Request')}/{name}"
    assert full not in _registered, f"two scenarios {full}"
    _registered[full] = Scenario(full, api, versions, play)


def registered() -> list[Scenario]:
    """All scenarios, in the order in which their modules were imported."""
    return list(_registered.values())


def perform(
    scenarios: Iterable[Scenario], site: Site, progress: Callable[[str, float], None] = lambda name, seconds: None
) -> Answers:
    """Play scenarios on a broker, one after the other, in all their versions that it serves.

    `progress` is called with each scenario's name, and how many seconds it took.
    """
    answers: Answers = {}
    for each in scenarios:
        began = time.monotonic()
        for version in each.versions:
            if not site.serves(each.api.api_key, version):
                continue
            stage = Stage(site, each.name, each.api, version, answers)
            try:
                each.play(stage)
            except NotServed as lacking:
                site.left_out[Key(each.name, version, "")] = str(lacking)
            except (AssertionError, AttributeError, LookupError, TypeError, ValueError, ProtocolError) as error:
                # Most likely a reply was missing what the next step needs, and that is an answer as well.
                stage.write_down(STOPPED, f"{type(error).__name__}: {error}")
            finally:
                stage.close()
        progress(each.name, time.monotonic() - began)
    return answers
