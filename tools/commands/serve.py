"""`ottla serve`: run a broker in this process until it is stopped.

What other programs can rely on:

* With `--control` it first says on standard output where it takes commands, `control http://HOST:PORT/?token=TOKEN`.
* Standard output carries one line, `ready HOST:PORT`, once every coordinator answers and the listener accepts; the
  same line is in the file named by `--ready-file`, which appears in one step and is gone again when the broker stops
  (`announcing.py`). Everything else is log and goes to standard error.
* The exit status is 0 after a stop that was asked for, and 2 when the broker cannot start as configured: one sentence
  on standard error then says which setting, port or directory is the reason. It is 1, with one sentence, when the
  broker cannot go on, or a stop had to be cut short because a thread could not be called back: most likely the disk
  does not answer.
* With `--secure` the listener encrypts and asks clients who they are; what they need for that is said on standard error
  (`securing.py`).
* SIGTERM and SIGINT stop it gracefully, within ten seconds whatever happens; another one of them ends it at once, by
  that signal, and so does one before it was ready. With `--exit-with-parent` the end of standard input stops it too,
  which comes when the process that holds the other end of the pipe is gone, for whatever reason; and lines of it are
  commands (`lifeline.py`).
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
from collections.abc import Sequence
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING

from ottla import __version__
from tools.commands.announcing import Announcement

if TYPE_CHECKING:
    from collections.abc import Mapping

    from broker.config.settings import BrokerConfig
    from storage.progress import Progress
    from tools.commands.page_beside import PageBeside
    from tools.commands.securing import Secured

CANNOT_START = 2
FAULT = 1

METRICS_PORT = 9404
"""Where the JMX exporter of a Kafka broker usually listens."""

PAGE_PORT = 9480
CONTROL_ADDRESS = "9481"

LAST_RESORT_SECONDS = 9.5
"""From the beginning of a stop to when the process ends in any case."""


def main(arguments: Sequence[str]) -> int:
    """Run the broker that `arguments`, the words after `serve`, describe; return the exit status."""
    options = parse(arguments)
    from broker import server
    from broker.config.settings import ConfigError

    secured: Secured | None = None
    try:
        if options.secure:
            config, secured = load_secured(options)
        else:
            config = load(options, host=options.host, port=options.port)
        ready = Announcement(options.ready_file, config.node_id if options.kafka_ready_lines else None)
        page = page_beside(options, config, secured)
    except (ConfigError, OSError, ModuleNotFoundError) as error:
        return refuse(error)
    beside = None
    if options.exit_with_parent:
        from tools.commands.lifeline import Lifeline

        beside = Lifeline().run
    try:
        server.run(
            config,
            ready=partial(announce, secured, ready, page),
            metrics=(lambda host, port: None) if page is None else page.know_metrics,
            control=announce_control,
            beside=beside,
            backup=options.begin_with,
            progress=lambda: _progress(config.ottla_log_format),
            stopping=lambda: end_in_time(ready),
            described={
                "version": __version__,
                "pid": os.getpid(),
                "data": where(config),
            },
        )
    except ConfigError as error:
        return refuse(error)
    except Exception as error:
        return give_up(error)
    finally:
        ready.withdraw()
        if page is not None:
            page.stop()
    return 0


def where(config: BrokerConfig) -> str | None:
    """Where data is kept, for the log."""
    if config.ottla_objects is not None:
        return config.ottla_objects.partition("?")[0]
    return None if config.memory else os.path.abspath(config.data_directory)


def load(
    options: argparse.Namespace,
    settings: Mapping[str, str] = MappingProxyType({}),
    *,
    host: str | None = None,
    port: int | None = None,
) -> BrokerConfig:
    """The configuration that `options` describe, with `settings` beneath those of the command line. Raises
    ConfigError."""
    from broker.config.loading import load_config

    config = load_config(
        options.properties,
        {**settings, **settings_of(options)},
        host=host,
        port=port,
        data=options.data,
        memory=options.memory,
        variables=options.environment,
        strict=options.strict,
        environment=os.environ,
    )
    if options.page is not None and not config.ottla_metrics_listener:  # which the page reads
        return load(options, {**settings, "ottla.metrics.listener": "0"}, host=host, port=port)
    return config


def load_secured(options: argparse.Namespace) -> tuple[BrokerConfig, Secured]:
    """The configuration of `--secure`, after making what that needs. Raises ConfigError."""
    from broker.config.settings import ConfigError
    from tools.commands.securing import CannotSecure, given_beside, secure

    plain = load(options)
    if plain.memory:
        raise ConfigError("--secure keeps certificates in the directory of the data, and there is none with --memory")
    if beside := given_beside(plain.static):
        raise ConfigError(f"--secure makes these settings itself, so they cannot be given: {', '.join(beside)}")
    host = options.host or "127.0.0.1"
    try:
        secured = secure(plain.data_directory, host)
    except CannotSecure as error:
        raise ConfigError(str(error)) from error
    return load(options, secured.settings(host, 9092 if options.port is None else options.port)), secured


def page_beside(options: argparse.Namespace, config: BrokerConfig, secured: Secured | None) -> PageBeside | None:
    """The page that `--page` asks for. Raises ConfigError where it could not reach the broker, ModuleNotFoundError
    where it could not be."""
    if options.page is None:
        return None
    from broker.config.settings import ConfigError
    from tools.commands.page_beside import PageBeside

    if secured is None and config.listeners[0].protocol != "PLAINTEXT":
        raise ConfigError(
            f"--page is a client, and does not know how to be let in by {config.listeners[0]}; start ottla page with "
            "--command-config by itself"
        )
    return PageBeside(options.page)


def announce(secured: Secured | None, ready: Announcement, page: PageBeside | None, host: str, port: int) -> None:
    """Say how clients connect where that is not plain, and then that the broker is ready."""
    if secured is not None:
        print(secured.for_clients(host, port), file=sys.stderr, flush=True)
    ready.make(host, port)
    if page is not None:
        page.start(host, port, None if secured is None else str(secured.folder / "client.properties"))


def announce_control(host: str, port: int, token: str) -> None:
    """Say where this broker takes commands, and by which token."""
    from tools.commands.announcing import print_or_lose

    host = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    print_or_lose(f"control http://{f'[{host}]' if ':' in host else host}:{port}/?token={token}\n")


def _progress(log_format: str) -> Progress:
    from tools.commands.recovery_bar import recovery_progress

    return recovery_progress(log_format)


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """The options of `ottla serve`; prints usage and exits with 2 on words it does not know."""
    return parser().parse_args(arguments)


def parser() -> argparse.ArgumentParser:
    """All words of `ottla serve`."""
    made = argparse.ArgumentParser(
        prog="ottla serve",
        description="Run a broker. Apache Kafka's own server.properties of a combined-mode node is understood.",
        epilog="Settings on the command line go over those in variables (KAFKA_NUM_PARTITIONS for num.partitions), and "
        "these over the file's. Without --data, --memory or log.dirs, data is kept in the folder ottla-data under the "
        "current one.",
    )
    made.add_argument("properties", nargs="?", metavar="server.properties", help="a Kafka configuration file")
    made.add_argument("--host", help="address to listen on (default 127.0.0.1)")
    made.add_argument("--port", type=port, help="port to listen on, 0 for a free one (default 9092)")
    place = made.add_mutually_exclusive_group()
    place.add_argument("--data", metavar="DIR", help="folder that keeps all data; made if missing")
    place.add_argument("--memory", action="store_true", help="keep data in memory and forget it at the end")
    made.add_argument(
        "--from",
        dest="begin_with",
        metavar="BACKUP",
        help="begin with what is in a backup, a file or a folder; there must be no data yet",
    )
    made.add_argument(
        "--cluster",
        metavar="URL",
        help="be one of several brokers that share this PostgreSQL database, postgresql://user@host/database; needs "
        "--objects",
    )
    made.add_argument(
        "--objects", metavar="URL", help="where the brokers of a cluster keep records, such as s3://bucket/prefix"
    )
    made.add_argument("--node-id", type=node_id, metavar="N", help="the number of this broker in its cluster")
    made.add_argument(
        "--set",
        action="append",
        default=[],
        type=setting,
        metavar="KEY=VALUE",
        help="a setting under Kafka's name, over what the file says; may be repeated",
    )
    made.add_argument(
        "--no-environment",
        dest="environment",
        action="store_false",
        help="take no settings from variables such as KAFKA_LISTENERS",
    )
    made.add_argument("--strict", action="store_true", help="refuse to start with a setting that no broker knows")
    made.add_argument(
        "--metrics",
        nargs="?",
        const=METRICS_PORT,
        type=port,
        metavar="PORT",
        help=f"serve metrics, health and readiness over HTTP to this machine (default port {METRICS_PORT})",
    )
    made.add_argument(
        "--page",
        nargs="?",
        const=PAGE_PORT,
        type=port,
        metavar="PORT",
        help=f"also serve a page to look at it in a browser, to this machine (default port {PAGE_PORT})",
    )
    made.add_argument(
        "--control",
        nargs="?",
        const=CONTROL_ADDRESS,
        metavar="[HOST:]PORT",
        help="take commands of tests over HTTP (faults, the clock), by the token that is printed "
        f"(default port {CONTROL_ADDRESS}, of this machine)",
    )
    made.add_argument(
        "--secure",
        action="store_true",
        help="encrypt, and ask clients who they are: makes certificates and a user, and says how to connect",
    )
    made.add_argument(
        "--emulate",
        metavar="RELEASE",
        help="answer clients as this older release of Kafka does, 2.8 to 4.4 (ottla.emulate)",
    )
    made.add_argument("--ready-file", metavar="FILE", help="also write the ready line to this file")
    made.add_argument(
        "--kafka-ready-lines",
        action="store_true",
        help="print the lines of a Kafka that is ready as well, for what waits for them in a container's output",
    )
    made.add_argument("--exit-with-parent", action="store_true", help="stop when standard input ends")
    return made


def settings_of(options: argparse.Namespace) -> dict[str, str]:
    """The settings that the words stand for."""
    settings = dict(options.set)
    for key, value in (("ottla.cluster", options.cluster), ("ottla.objects", options.objects)):
        if value is not None:
            settings[key] = value
    if options.node_id is not None:
        settings["node.id"] = str(options.node_id)
    if options.emulate is not None:
        settings["ottla.emulate"] = options.emulate
    if options.metrics is not None:
        settings["ottla.metrics.listener"] = str(options.metrics)
    if options.control is not None:
        settings["ottla.control.listener"] = options.control
    return settings


def port(word: str) -> int:
    """A TCP port, 0 to 65535. Raises ArgumentTypeError with a sentence otherwise."""
    if not word.isdecimal() or int(word) > 65535:
        raise argparse.ArgumentTypeError(f"{word!r} is not a port; ports are 0 to 65535")
    return int(word)


def node_id(word: str) -> int:
    """A broker's number, 0 or more. Raises ArgumentTypeError with a sentence otherwise."""
    if not word.isdecimal() or int(word) > 2**31 - 1:
        raise argparse.ArgumentTypeError(f"{word!r} is not a node id; node ids are 0 to {2**31 - 1}")
    return int(word)


def setting(word: str) -> tuple[str, str]:
    """`key=value` split at its first `=`. Raises ArgumentTypeError with a sentence otherwise."""
    key, separator, value = word.partition("=")
    if not separator or not key.strip():
        raise argparse.ArgumentTypeError(f"{word!r} is not of the form key=value")
    return key.strip(), value.strip()


def refuse(error: Exception) -> int:
    """Say in one line why the broker does not start, and return the status that says so too."""
    print(f"ottla serve: {error}", file=sys.stderr)
    return CANNOT_START


def give_up(error: Exception) -> int:
    """Say why the broker does not go on: everything in the log, and one line; return the status that says so too."""
    from broker.network.connection import leaf
    from storage.seams.logging import get_logger

    reason = leaf(error) if isinstance(error, BaseExceptionGroup) else error
    get_logger("server").error("the broker cannot go on", exc_info=error)
    print(f"ottla serve: the broker cannot go on: {type(reason).__name__}: {reason}", file=sys.stderr)
    return FAULT


def end_in_time(announcement: Announcement) -> None:
    """A stop begins: another signal ends the process at once, and so does the time, for a thread that waits for a disk
    cannot be called back."""
    for number in (signal.SIGTERM, signal.SIGINT):
        # The first process of a container outlives a signal that it does not handle.
        signal.signal(number, signal.SIG_DFL if os.getpid() != 1 else lambda number, _frame: os._exit(128 + number))

    def last_resort() -> None:
        announcement.withdraw()
        print(
            f"ottla serve: the stop was not over after {LAST_RESORT_SECONDS:g} s, most likely because the disk does "
            "not answer; nothing acknowledged is lost, the next start checks the ends of the logs",
            file=sys.stderr,
            flush=True,
        )
        os._exit(FAULT)

    timer = threading.Timer(LAST_RESORT_SECONDS, last_resort)
    timer.daemon = True
    timer.start()
