"""`ottla page`: look at a cluster in a browser, this broker or any Kafka.

    ottla page --bootstrap-server localhost:9092
    ottla page -F client.properties --metrics localhost:9404       on a secured cluster, with the broker's metrics

It prints the address to open, with the token that lets in. Then it serves until it is stopped. What it may see and do
is what the user of the client properties may.
"""

from __future__ import annotations

import argparse
import signal
from collections.abc import Sequence
from typing import TYPE_CHECKING

import trio

from tools.client.properties import add_connection_options, properties_of
from tools.commands.lifeline import stop_at_end_of_input
from tools.commands.serve import PAGE_PORT, port
from tools.failures import Failed

if TYPE_CHECKING:
    from broker.network.listener import Listener
    from tools.client.properties import ClientProperties

LONGEST_WAIT = 10.0
"""Seconds that a view waits for a broker."""


def main(arguments: Sequence[str]) -> int:
    """Serve the page until a signal comes; returns the exit status. Raises Failed."""
    options = parser().parse_args(arguments)
    properties = properties_of(options)
    properties.timeout = min(properties.timeout, LONGEST_WAIT)
    try:
        from broker.network.listener import Listener, ListenError
        from tools.page import app as _  # noqa: F401
    except ModuleNotFoundError as error:
        raise Failed(f"the page needs {error.name}, which pip install 'ottla[page]' installs") from error
    try:
        listener = Listener("page", options.host, options.port)
    except ListenError as error:
        raise Failed(str(error)) from None
    if options.exit_with_parent:
        stop_at_end_of_input()
    trio.run(serve, listener, properties, options.metrics, options.name)
    return 0


def parser() -> argparse.ArgumentParser:
    """All words of `ottla page`."""
    made = argparse.ArgumentParser(prog="ottla page", description="Look at a cluster in a browser.")
    made.add_argument("--host", default="127.0.0.1", help="address to listen on (default 127.0.0.1: this machine only)")
    made.add_argument(
        "--port", type=port, default=PAGE_PORT, help=f"port to listen on, 0 for a free one (default {PAGE_PORT})"
    )
    made.add_argument(
        "--name",
        action="append",
        default=[],
        help="a name by which browsers reach the page, if it is none of this machine's own; may be repeated",
    )
    made.add_argument(
        "--metrics", metavar="HOST:PORT", help="where a broker's metrics are: Ottla's, or a JMX exporter's"
    )
    made.add_argument("--exit-with-parent", action="store_true", help="stop when standard input ends")
    add_connection_options(made)
    return made


async def serve(listener: Listener, properties: ClientProperties, metrics: str | None, names: Sequence[str]) -> None:
    """The page, until SIGTERM or SIGINT."""
    from broker.web.guard import new_token, own_hosts
    from broker.web.serving import HttpServer
    from storage.seams.entropy import SystemEntropy
    from tools.page.app import Page
    from tools.page.clusters import Clusters
    from tools.page.guard import Guard
    from tools.page.metrics import Metrics

    clusters = Clusters(properties)
    page = Page(clusters, None if metrics is None else Metrics(metrics))
    host = f"[{listener.host}]" if ":" in listener.host else listener.host
    token = new_token(SystemEntropy())
    server = HttpServer(Guard(page.app(), token, own_hosts(listener.host, listener.port, names)), listener)
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(server.run)
            nursery.start_soon(page.watch)
            shown = names[0] if names else host
            print(f"the page is at http://{shown}:{listener.port}/?token={token}", flush=True)
            await anext(signals)
            nursery.cancel_scope.cancel()
    listener.close()
    clusters.close()
