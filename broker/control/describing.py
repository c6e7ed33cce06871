"""What is said of a fault becomes its target, its effect and its rhythm.

    {"what": "error", "error": "NOT_LEADER_OR_FOLLOWER", "api": "Produce", "topic": "orders", "times": 2}

`what` is an effect, with its parameters beside it; the other members are the target and the rhythm. A member that the
effect does not have is refused, and so is a target that no request could fit. The same is said of a fault of a broker
(as JSON, `fault_operations.py`) and of one of the proxy (in words, `tools/recording/disturbances.py`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from broker.control.faults import LONGEST_SECONDS, Effect, Kind, Rhythm, Target
from broker.control.fields import BadRequest, Fields
from broker.control.parts import Named
from broker.handlers import HANDLERS
from kproto.errors import ErrorCode
from kproto.release.apis import APIS

MOST_REQUESTS: Final = 1 << 31
BY_NAME: Final = {APIS[key].name.lower(): key for key in HANDLERS}


def described(fields: Fields, apis: Mapping[str, int] = BY_NAME) -> tuple[Target, Effect, Rhythm, dict[str, Any]]:
    """Which requests, what happens to them, how often, and the members that say so. `apis`: those that can suffer, by
    their names in small letters. Raises BadRequest."""
    effect, said = _effect(fields)
    target, about = _target(fields, effect, apis)
    rhythm, how_often = _rhythm(fields)
    fields.done()
    if effect.is_of_the_disk and (about or how_often):
        raise BadRequest(f"a {effect.kind} is the whole broker's, until it is taken away")
    return target, effect, rhythm, {**said, **about, **how_often}


def _effect(fields: Fields) -> tuple[Effect, dict[str, Any]]:
    what = fields.text("what")
    if what not in [str(kind) for kind in Kind]:
        raise BadRequest(f"'what' must be one of {', '.join(Kind)}")
    kind = Kind(what)
    if kind is Kind.ERROR:
        code = _error(fields.text("error"))
        after = bool(fields.truth("after"))
        return Effect(kind, code, after=after), {"what": what, "error": code.name, "after": after}
    if kind in (Kind.DELAY, Kind.THROTTLE, Kind.SLOW_DISK):
        seconds = fields.number("seconds", 0.0, LONGEST_SECONDS)
        if seconds is None:
            raise BadRequest(f"{what!r} needs 'seconds'")
        return Effect(kind, seconds=seconds), {"what": what, "seconds": seconds}
    if kind is Kind.DROP:
        after = bool(fields.truth("after"))
        return Effect(kind, after=after), {"what": what, "after": after}
    return Effect(kind), {"what": what}


def _error(name: str | None) -> ErrorCode:
    if name is None or name not in ErrorCode.__members__ or name == "NONE":
        raise BadRequest("'error' must be the name of an error code of Kafka's, such as NOT_LEADER_OR_FOLLOWER")
    return ErrorCode[name]


def _target(fields: Fields, effect: Effect, apis: Mapping[str, int]) -> tuple[Target, dict[str, Any]]:
    api, topic, partition = fields.text("api"), fields.text("topic"), fields.integer("partition", 0, (1 << 31) - 1)
    group, transactional_id = fields.text("group"), fields.text("transactional_id")
    client_id = fields.text("client_id")
    key = None
    if api is not None:
        key = apis.get(api.lower())
        if key is None:
            raise BadRequest("'api' must be one that is served, by Kafka's name, such as Produce")
        if effect.apis is not None and key not in effect.apis:
            raise BadRequest(f"{APIS[key].name} has no {effect.kind}")
    if partition is not None and topic is None:
        raise BadRequest("a 'partition' is one of a 'topic'")
    named = Named(topic, partition, group, transactional_id)
    said = {"api": None if key is None else APIS[key].name, **named._asdict(), "client_id": client_id}
    return Target(key, named, client_id), {name: value for name, value in said.items() if value is not None}


def _rhythm(fields: Fields) -> tuple[Rhythm, dict[str, Any]]:
    skip, times = fields.integer("skip", 0, MOST_REQUESTS), fields.integer("times", 1, MOST_REQUESTS)
    share, seed = fields.number("share", 0.0, 1.0), fields.integer("seed", 0, MOST_REQUESTS)
    if seed is not None and share is None:
        raise BadRequest("a 'seed' is for a 'share'")
    said = {"skip": skip, "times": times, "share": share, "seed": seed}
    rhythm = Rhythm(skip or 0, times, 1.0 if share is None else share, seed or 0)
    return rhythm, {name: value for name, value in said.items() if value is not None}
