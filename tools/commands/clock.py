"""`ottla clock`: the time of a broker's state, and forward it goes, for tests.

    ottla clock advance 7d --control 'http://127.0.0.1:9481/?token=...'
    OTTLA_CONTROL='http://127.0.0.1:9481/?token=...' ottla clock show

The address is the one that a broker prints which was started with `--control`. On a secured broker, `--user` is a super
user, whose password is in $OTTLA_CONTROL_PASSWORD.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Sequence

from ottla.control import Control, ControlError
from tools.failures import Failed, Misunderstood
from tools.moments import parse_duration, written


def main(arguments: Sequence[str]) -> int:
    """Do what was asked for and return the exit status. Raises Failed."""
    options = parser().parse_args(arguments)
    address = options.control or os.environ.get("OTTLA_CONTROL", "")
    if not address:
        raise Misunderstood("which broker? --control, or $OTTLA_CONTROL, with the address that it has printed")
    try:
        control = Control(address, user=options.user, password=os.environ.get("OTTLA_CONTROL_PASSWORD"))
        answer = (
            control.advance(parse_duration(options.duration) / 1000)
            if options.action == "advance"
            else control.ask("GET", "/clock")
        )
    except ValueError as error:
        raise Misunderstood(str(error)) from None
    except ControlError as error:
        raise Failed(str(error)) from None
    except OSError as error:
        raise Failed(f"{address.partition('?')[0]} cannot be reached: {error.strerror or error}") from None
    if options.json:
        print(json.dumps(answer))
    else:
        print(f"{written(answer['now_ms'])}, {answer['ahead_ms'] / 1000:g} s ahead of the world")
    if not answer.get("settled", True):
        raise Failed("not all that is due has happened; the broker's log says why")
    return 0


def parser() -> argparse.ArgumentParser:
    """All words of `ottla clock`."""
    made = argparse.ArgumentParser(prog="ottla clock", description="The time of a broker's state, for tests.")
    actions = made.add_subparsers(dest="action", metavar="ACTION", required=True, title="actions")
    advance = actions.add_parser("advance", help="let time pass: sessions end, records and offsets expire, now")
    advance.add_argument("duration", help="how long, such as 90s, 15m, 2h, 7d or PT1H30M")
    for below in (advance, actions.add_parser("show", help="say what time it is for the broker's state")):
        below.add_argument("--control", metavar="URL", help="the address that the broker prints (else $OTTLA_CONTROL)")
        below.add_argument("--user", help="a super user, whose password is in $OTTLA_CONTROL_PASSWORD")
        below.add_argument("--json", action="store_true", help="print JSON, for programs")
    return made
