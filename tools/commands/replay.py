"""`ottla replay`: hold a recorded conversation with another broker, and say what it answers otherwise.

    ottla replay bug.ottla -b 127.0.0.1:9092
    ottla replay bug.ottla -b 127.0.0.1:9092 --make-topics --json

The exit status is 0 if the answers agree but for what any two brokers may differ in (`tools/recording/comparing.py`), 1
if there are other differences, 2 if the file is no recording. Each difference is printed with the request that shows
it; `--json` prints one object for each, and one for the counts.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tools.recording.replaying import Found, Outcome


def main(arguments: Sequence[str]) -> int:
    """Replay, print; 0 if the answers agree, else 1. Raises Failed."""
    import trio

    from tools.client.connection import Security
    from tools.client.properties import properties_of
    from tools.recording.recording_file import Recording
    from tools.recording.replaying import Replay
    from tools.recording.upstream import Upstream

    options = parser().parse_args(arguments)
    properties = properties_of(options)
    recording = Recording(options.recording)

    def told(found: Found) -> None:
        print(json.dumps(_plain(found)) if options.json else _said(found), flush=True)

    upstream = Upstream(Security.of(properties))
    replay = Replay(recording, upstream, properties.bootstrap[0], patience=properties.timeout, told=told)

    async def run() -> Outcome:
        return await replay.run(make_topics=options.make_topics)

    outcome = trio.run(run)
    counts = _counts(outcome)
    print(json.dumps(counts) if options.json else _summary(outcome))
    return 1 if outcome.differences else 0


def parser() -> argparse.ArgumentParser:
    """All words of `ottla replay`."""
    from tools.client.properties import add_connection_options

    made = argparse.ArgumentParser(
        prog="ottla replay", description="Hold a recorded conversation with another broker, and compare the answers."
    )
    made.add_argument("recording", metavar="FILE", help="what `ottla record` has made")
    made.add_argument(
        "--make-topics",
        action="store_true",
        help="first make the topics that were there when the recording began, with as many partitions",
    )
    made.add_argument("--json", action="store_true", help="print JSON, one object a line, for programs")
    add_connection_options(made)
    return made


def _plain(found: Found) -> dict[str, Any]:
    from tools.recording.comparing import shown

    difference = found.difference
    return {
        "connection": found.connection, "number": found.number, "api": found.api, "version": found.version,
        "path": difference.path, "then": shown(difference.then), "now": shown(difference.now), "request": found.request,
    }  # fmt: skip


def _said(found: Found) -> str:
    from tools.recording.comparing import shown

    difference = found.difference
    request = json.dumps(found.request)
    return (
        f"{found.api} v{found.version}, request {found.number} of connection {found.connection}: {difference.path}\n"
        f"    then: {shown(difference.then)}\n    now:  {shown(difference.now)}\n"
        f"    asked: {request if len(request) <= 500 else request[:497] + '...'}"
    )


def _counts(outcome: Outcome) -> dict[str, Any]:
    return {
        "requests": outcome.requests, "compared": outcome.compared, "not_compared": outcome.not_compared,
        "differences": outcome.differences, "explained": outcome.explained, "whole": outcome.whole,
    }  # fmt: skip


def _summary(outcome: Outcome) -> str:
    if not outcome.whole:
        print("ottla replay: the recording was cut short; it was replayed as far as it goes", file=sys.stderr)
    explained = ", ".join(f"{rule} {count}" for rule, count in sorted(outcome.explained.items()))
    return (
        f"{outcome.requests} requests, {outcome.compared} replies compared, {outcome.differences} differences"
        + (f", {outcome.not_compared} replies not known here" if outcome.not_compared else "")
        + (f" (explained: {explained})" if explained else "")
    )
