"""The operations about time: what it is for the broker's state, and forward it goes (`passing_time.py`)."""

from __future__ import annotations

from functools import partial
from typing import Any

from broker.control.app import Asked, Operation, Running
from broker.control.fields import BadRequest, Refusal
from broker.control.passing_time import LONGEST_AHEAD, PassingTime


def time_operations(passing: PassingTime) -> tuple[Operation, ...]:
    """Those of a broker whose time this is."""
    return (
        Operation("GET", "/clock", partial(_show, passing), "Says what time it is for the broker's state."),
        Operation(
            "POST",
            "/clock/advance",
            partial(_advance, passing),
            "Moves the clock of the state forward; answers when all that is due by then has happened.",
        ),
    )


async def _show(passing: PassingTime, running: Running, asked: Asked) -> Any:
    return {"now_ms": running.services.clock.wall_millis(), "ahead_ms": passing.ahead}


async def _advance(passing: PassingTime, running: Running, asked: Asked) -> Any:
    fields = await asked.fields()
    seconds = fields.number("seconds", 0.0, LONGEST_AHEAD / 1000)
    fields.done()
    if seconds is None:
        raise BadRequest("'seconds' says how far")
    if running.services.config.shares:
        raise Refusal(409, "brokers that share their logs share their time, which is the database's")
    millis = round(seconds * 1000)
    if passing.ahead + millis > LONGEST_AHEAD:
        raise Refusal(409, "the clock of the state may be a hundred years ahead, and no more")
    try:
        done = await passing.advance(running.services, millis)
    except OSError as error:
        raise Refusal(507, f"where the clock is cannot be written down: {error.strerror}") from error
    return {**await _show(passing, running, asked), "steps": done.steps, "settled": done.settled}
