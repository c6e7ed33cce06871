"""The operations about faults: make one, list them, take one or all away. What a fault is stands in `faults.py`.

    POST /faults  {"what": "error", "error": "NOT_LEADER_OR_FOLLOWER", "api": "Produce", "topic": "orders", "times": 2}

`what` is an effect, with its parameters beside it; the other members are the target and the rhythm. A member that the
effect does not have is refused, and so is a target that no request could fit.
"""

from __future__ import annotations

from typing import Any, Final

from broker.control.app import Asked, BadRequest, Fields, Operation, Refusal, Running
from broker.control.faults import LONGEST_SECONDS, MOST, Effect, Kind, Rhythm, Target
from broker.control.parts import Named
from broker.handlers import HANDLERS
from kproto.errors import ErrorCode
from kproto.release.apis import APIS
from storage.engine import StoreError

MOST_REQUESTS: Final = 1 << 31
BY_NAME: Final = {APIS[key].name.lower(): key for key in HANDLERS}


async def make(running: Running, asked: Asked) -> Any:
    """One more fault; its report."""
    fields = await asked.fields()
    effect, said = _effect(fields)
    target, about = _target(fields, effect)
    rhythm, how_often = _rhythm(fields)
    fields.done()
    if effect.is_of_the_disk:
        if about or how_often:
            raise BadRequest(f"a {effect.kind} is the whole broker's, until it is taken away")
        if running.faults.of_the_disk is not None:
            raise Refusal(409, "the disk misbehaves already; take that fault away first")
    if len(running.faults) >= MOST:
        raise Refusal(409, f"there are {MOST} faults already; take some away")
    try:
        return running.faults.add(target, effect, rhythm, {**said, **about, **how_often}).report()
    except StoreError as error:
        raise Refusal(409, str(error)) from error


async def show(running: Running, asked: Asked) -> Any:
    """All faults in force, the last that have ended, and counts."""
    return running.faults.report()


async def show_one(running: Running, asked: Asked) -> Any:
    """One of them, in force or remembered."""
    return _known(running, asked).report()


async def take_away(running: Running, asked: Asked) -> Any:
    """One away; what it has done."""
    fault = _known(running, asked)
    running.faults.remove(fault.number)
    return fault.report()


async def take_all_away(running: Running, asked: Asked) -> Any:
    """All away; what they have done."""
    running.faults.clear()
    return running.faults.report()


def _known(running: Running, asked: Asked) -> Any:
    number = asked.path["id"]
    fault = running.faults.get(int(number)) if number.isdecimal() and len(number) < 10 else None
    if fault is None:
        raise Refusal(404, f"there is no fault {number[:20]}")
    return fault


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


def _target(fields: Fields, effect: Effect) -> tuple[Target, dict[str, Any]]:
    api, topic, partition = fields.text("api"), fields.text("topic"), fields.integer("partition", 0, (1 << 31) - 1)
    group, transactional_id = fields.text("group"), fields.text("transactional_id")
    client_id = fields.text("client_id")
    key = None
    if api is not None:
        key = BY_NAME.get(api.lower())
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


OPERATIONS: Final = (
    Operation("POST", "/faults", make, "Makes a fault: what happens, to which requests, how often."),
    Operation("GET", "/faults", show, "Lists the faults in force, the last that have ended, and counts of each kind."),
    Operation("DELETE", "/faults", take_all_away, "Takes all faults away."),
    Operation("GET", "/faults/{id}", show_one, "Shows one fault, and how often it was injected."),
    Operation("DELETE", "/faults/{id}", take_away, "Takes one fault away; what it holds goes on."),
)
