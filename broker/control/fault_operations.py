"""The operations about faults: make one, list them, take one or all away. What a fault is stands in `faults.py`.

    POST /faults  {"what": "error", "error": "NOT_LEADER_OR_FOLLOWER", "api": "Produce", "topic": "orders", "times": 2}

What the members mean stands in `describing.py`.
"""

from __future__ import annotations

from typing import Any, Final

from broker.control.app import Asked, Operation, Running
from broker.control.describing import described
from broker.control.faults import MOST
from broker.control.fields import Refusal
from storage.engine import StoreError


async def make(running: Running, asked: Asked) -> Any:
    """One more fault; its report."""
    target, effect, rhythm, said = described(await asked.fields())
    if effect.is_of_the_disk and running.faults.of_the_disk is not None:
        raise Refusal(409, "the disk misbehaves already; take that fault away first")
    if len(running.faults) >= MOST:
        raise Refusal(409, f"there are {MOST} faults already; take some away")
    try:
        return running.faults.add(target, effect, rhythm, said).report()
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


OPERATIONS: Final = (
    Operation("POST", "/faults", make, "Makes a fault: what happens, to which requests, how often."),
    Operation("GET", "/faults", show, "Lists the faults in force, the last that have ended, and counts of each kind."),
    Operation("DELETE", "/faults", take_all_away, "Takes all faults away."),
    Operation("GET", "/faults/{id}", show_one, "Shows one fault, and how often it was injected."),
    Operation("DELETE", "/faults/{id}", take_away, "Takes one fault away; what it holds goes on."),
)
