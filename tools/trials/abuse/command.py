"""`trials abuse`: every attack, what a second client felt of it, what the broker took. Exit status 1: a goal missed."""

from __future__ import annotations

import argparse
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import psutil

from broker.observe.turns import HELD, LONG_ROUND
from kproto.messages.api_versions import ApiVersionsRequest
from tools.trials.abuse import connections, largest_lists, members, records, replies, strangers
from tools.trials.abuse.attack import PATIENCE_SECONDS, Attack, Site
from tools.trials.abuse.figures import (
    HEADING,
    LONGEST_TURN_MS,
    LONGEST_WAIT_MS,
    MOST_MEMORY_MB,
    Felt,
    longest,
    save,
    saved,
    table,
)
from tools.trials.abuse.witness import Witness
from tools.trials.brokers import Contender, Process, kafka, ottla, pause
from tools.trials.wire.client import WireClient
from tools.trials.wire.requests import Refusal

SAMPLE_SECONDS = 0.01
SETTLE_SECONDS = 1.0
UNDISTURBED_SECONDS = 0.5


def main(arguments: Sequence[str]) -> int:
    """Play the attacks and print what came of each, or the table of what was saved."""
    options = parse(arguments)
    if options.table:
        print("\n".join(table(*map(saved, options.table))))
        return 0
    contenders: list[Contender | None] = [None] if options.address else [ottla("ottla.log.format=json")]
    if options.kafka:
        contenders.append(kafka(options.kafka))
    missed = 0
    for contender in contenders:
        name = contender.name if contender else options.address
        print(f"\n{name}\n{HEADING}")
        found: list[Felt] = []
        for attack in chosen(contender, options):
            felt = played(attack, contender, options)
            found.append(felt)
            missed += not felt.good and (contender is None or contender.name == "ottla")
            print(felt.line, flush=True)
            if options.save:
                save(found, Path(f"{options.save}.{name}.json"))
    goals = f"{LONGEST_WAIT_MS:g} ms, {MOST_MEMORY_MB:g} MB above the budget, turns of {LONGEST_TURN_MS:g} ms"
    print(f"\n{missed} of Ottla's beyond the goals: {goals}")
    return 1 if missed else 0


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """The options; prints usage and exits with 2 on words it does not know."""
    parser = argparse.ArgumentParser(prog="trials abuse", description="Attack a broker, and see what others feel.")
    parser.add_argument("words", nargs="*", help="only attacks whose names hold one of these")
    parser.add_argument("--kafka", metavar="COMMAND", help="also against Kafka: '... {port} {dir} {settings}'")
    parser.add_argument("--address", metavar="HOST:PORT", help="against this broker of this machine, which runs")
    parser.add_argument("--save", metavar="NAME", help="write the figures to NAME.BROKER.json")
    parser.add_argument("--table", nargs=2, type=Path, metavar="FILE", help="print the table of two saved files")
    parser.add_argument("--no-lists", action="store_true", help="without the generated attacks")
    return parser.parse_args(arguments)


def chosen(contender: Contender | None, options: argparse.Namespace) -> list[Attack]:
    """The attacks to play; those made from the list of served APIs need a broker that says what it serves."""
    found = [*members.ATTACKS, *replies.ATTACKS, *connections.ATTACKS, *records.ATTACKS, *strangers.ATTACKS]
    if not options.no_lists:
        with running(contender, options, ()) as (port, _, _):
            found += largest_lists.attacks(served(port))
    return [each for each in found if not options.words or any(word in each.name for word in options.words)]


def played(attack: Attack, contender: Contender | None, options: argparse.Namespace) -> Felt:
    """Play one attack against a fresh broker, or the one that runs."""
    with running(contender, options, attack.settings) as (port, broker, output):
        site = Site(port, served(port))
        with Witness(port, site.topic()) as witness, Memory(broker) as memory:
            verdict = ""
            steps = attack.attacker(site)
            undisturbed, said_before = 0.0, 0
            try:
                next(steps)
                witness.take()
                pause(UNDISTURBED_SECONDS)
                undisturbed = witness.take()[1]
                memory.begin()
                said_before = output.stat().st_size if output else 0
                verdict = in_time(steps, site)
            except Refusal as refusal:
                verdict = f"cannot be tried: {refusal}"
            finally:
                site.close()
            pause(SETTLE_SECONDS)
            metadata, durable, _ = witness.take()
            said = partial(longest, output=output, start=said_before)
            return Felt(
                attack=attack.name,
                metadata_ms=metadata,
                durable_ms=durable,
                memory_mb=memory.peak_megabytes,
                undisturbed_ms=undisturbed,
                turn_ms=said(HELD),
                round_ms=said(LONG_ROUND),
                budget_mb=attack.budget_mb,
                verdict=verdict or answers(port),
            )


def in_time(steps: Iterator[None], site: Site) -> str:
    """Go on with an attack until it ends or the patience does; what it complained of."""
    said: list[str] = []

    def go_on() -> None:
        try:
            for _ in steps:
                pass
        except AssertionError as error:
            said.append(f"not so: {error}")
        except Refusal as refusal:
            said.append(f"refused: {refusal}")
        except OSError as error:
            if not site.over.is_set():
                said.append(f"{type(error).__name__}")

    thread = threading.Thread(target=go_on, daemon=True)
    thread.start()
    thread.join(PATIENCE_SECONDS)
    if thread.is_alive():
        site.close()
        thread.join(10)
        return f"not over after {PATIENCE_SECONDS:g} s"
    return said[0] if said else ""


def answers(port: int) -> str:
    """Empty if the broker still answers a new client."""
    try:
        served(port)
    except OSError:
        return "the broker does not answer any more"
    return ""


def served(port: int) -> dict[int, tuple[int, int]]:
    """What the broker says it serves."""
    with WireClient(port, timeout=10) as client:
        request = ApiVersionsRequest(client_software_name="abuse", client_software_version="1")
        reply: Any = client.call(request, 3)
    return {each.api_key: (each.min_version, each.max_version) for each in reply.api_keys}


@contextmanager
def running(
    contender: Contender | None, options: argparse.Namespace, settings: tuple[str, ...]
) -> Iterator[tuple[int, psutil.Process, Path | None]]:
    """A broker: its port, its process, and what Ottla prints."""
    if contender is None:
        port = int(options.address.rpartition(":")[2])
        yield port, listening(port), None
        return
    with tempfile.TemporaryDirectory(prefix="abuse-") as folder:
        output = Path(folder) / "output"
        given = replace(contender, settings=(*contender.settings, *settings))
        with Process(given, Path(folder) / "data", output) as broker:
            broker.start()
            broker.wait_until()
            try:
                yield broker.port, psutil.Process(broker.pid), output if contender.name == "ottla" else None
            finally:
                with suppress(Exception):
                    broker.stop(10)


def listening(port: int) -> psutil.Process:
    """The process of this machine that listens there."""
    for each in psutil.net_connections("tcp"):
        if each.status == psutil.CONN_LISTEN and each.laddr.port == port and each.pid:
            return psutil.Process(each.pid)
    sys.exit(f"trials abuse: no process of this machine listens on port {port}")


class Memory:
    """Watches how much memory a process takes, in a thread of its own. A context manager."""

    def __init__(self, process: psutil.Process) -> None:
        self._process = process
        self._least = self._most = self._now()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def begin(self) -> None:
        """Count from here."""
        self._least = self._most = self._now()

    @property
    def peak_megabytes(self) -> float:
        """The most that it took beyond what it had when `begin` was called."""
        return (self._most - self._least) / 1e6

    def _now(self) -> int:
        processes = [self._process, *self._process.children(recursive=True)]
        return sum(int(each.memory_info().rss) for each in processes)

    def _watch(self) -> None:
        while not self._over.wait(SAMPLE_SECONDS):
            with suppress(psutil.Error):
                self._most = max(self._most, self._now())

    def __enter__(self) -> Memory:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
