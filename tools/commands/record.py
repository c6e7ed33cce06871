"""`ottla record`: stand between clients and a cluster, and keep what they say.

    ottla record --to bug.ottla             clients connect to 127.0.0.1:9095, the cluster is at 127.0.0.1:9092
    ottla record --to bug.ottla -b broker:9092 --fault 'drop after=true api=EndTxn times=1'

`ottla proxy` is the same without a file (`proxy.py`). Standard output has one line, `ready HOST:PORT`, once clients can
connect; SIGINT and SIGTERM end it. How a recording looks is said in `tools/recording/recording_file.py`.
"""

from __future__ import annotations

import argparse
import signal
import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from tools.failures import Failed, Misunderstood

if TYPE_CHECKING:
    from tools.client.properties import ClientProperties
    from tools.recording.disturbances import Disturbance
    from tools.recording.recording_file import RecordingWriter

LISTEN: Final = "127.0.0.1:9095"


def main(arguments: Sequence[str]) -> int:
    """Record until a signal comes; 0 then. Raises Failed."""
    options = parser().parse_args(arguments)
    return stand_between(options, options.to)


def parser() -> argparse.ArgumentParser:
    """All words of `ottla record`."""
    made = argparse.ArgumentParser(
        prog="ottla record", description="Stand between clients and a cluster, keep what they say."
    )
    made.add_argument("--to", metavar="FILE", required=True, help="the file to make; it must not be there yet")
    made.add_argument(
        "--with-secrets", action="store_true", help="keep passwords and tokens too, which are masked otherwise"
    )
    add_options(made)
    return made


def add_options(made: argparse.ArgumentParser) -> None:
    """The options of whatever stands between clients and a cluster."""
    from tools.client.properties import add_connection_options

    made.add_argument("--listen", metavar="HOST:PORT", default=LISTEN, help=f"where clients connect (default {LISTEN})")
    made.add_argument(
        "--advertise",
        metavar="HOST",
        help="the name of this machine that replies tell clients (default: that of --listen)",
    )
    made.add_argument(
        "--fault",
        metavar="WORDS",
        action="append",
        default=[],
        help="what is to go wrong, such as 'delay seconds=0.5 api=Fetch share=0.1'; may be repeated",
    )
    add_connection_options(made, with_timeout=False)


def stand_between(options: argparse.Namespace, path: str | None) -> int:
    """Serve clients until a signal comes, and record to `path` if there is one. Raises Failed."""
    import trio

    from tools.client.properties import parse_addresses, properties_of
    from tools.recording.disturbances import parse
    from tools.recording.recording_file import RecordingWriter

    properties = properties_of(options, 30_000)
    [listen, *more] = (
        parse_addresses(options.listen)
        if not options.listen.endswith(":0")
        else [(options.listen.removesuffix(":0").strip("[]"), 0)]
    )
    if more:
        raise Misunderstood("--listen takes one address: each broker of the cluster gets its own after it")
    faults = [parse(words) for words in options.fault]
    writer = None
    if path is not None:
        header = {"began_ms": time.time_ns() // 1_000_000, "bootstrap": properties.addresses}
        writer = RecordingWriter(path, {**header, "masked": not options.with_secrets})
    return trio.run(_serve, properties, listen, faults, options, writer)


async def _serve(
    properties: ClientProperties,
    listen: tuple[str, int],
    faults: list[Disturbance],
    options: argparse.Namespace,
    writer: RecordingWriter | None,
) -> int:
    import trio

    from tools.client.connection import Security
    from tools.recording.proxy import Proxy
    from tools.recording.upstream import Upstream

    proxy = Proxy(
        properties.bootstrap, listen, Upstream(Security.of(properties)),
        writer=writer, faults=faults, with_secrets=getattr(options, "with_secrets", False), advertise=options.advertise,
    )  # fmt: skip
    try:
        with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
            async with trio.open_nursery() as nursery:
                await nursery.start(proxy.run)
                host, port = proxy.address
                print(f"ready {f'[{host}]' if ':' in host else host}:{port}", flush=True)
                await anext(signals)
                nursery.cancel_scope.cancel()
    except* Failed as group:
        raise _first(group) from None
    finally:
        if writer is not None:
            writer.write({"event": "end", "events": writer.events, "connections": proxy.connections})
            writer.close()
    kept = f", {writer.events} events kept" if writer is not None else ""
    print(f"ottla: {proxy.connections} connections{kept}", file=sys.stderr)
    for each in faults:
        print(f"ottla: {each.words}: {each.fault.injected} times", file=sys.stderr)
    return 0


def _first(group: BaseExceptionGroup[Failed]) -> Failed:
    error = group.exceptions[0]
    return _first(error) if isinstance(error, BaseExceptionGroup) else error
