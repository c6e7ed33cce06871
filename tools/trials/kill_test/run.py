"""One run: start, load, kill and start again, end, read, check."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from kproto.ids import TopicPartition
from tools.trials.brokers import BrokerFailed, Contender, ottla
from tools.trials.kill_test.broker_process import PROBE, KilledBroker
from tools.trials.kill_test.checker import Records, Violation, check_log
from tools.trials.kill_test.consumption import check_consumption
from tools.trials.kill_test.ledger import Ledger, LedgerWriter, TopicCreated, TopicDeleted
from tools.trials.kill_test.registers import check_registers
from tools.trials.kill_test.topics import check_topics
from tools.trials.kill_test.workload import PLACES, PLAIN, ROLLING
from tools.trials.wire import requests as wire
from tools.trials.wire.client import WireClient

ROOT = Path(__file__).parents[3]
EARLY_KILL_SHARE = 0.125
"""Of all starts, those that are killed before they come to an end."""

EARLY_KILL_SECONDS = (0.02, 0.4)
LOAD_END_SECONDS = 600.0
LEADING_SECONDS = 10.0
YARDSTICK_EVERY = 5
ROLLING_CONFIGS = {"ottla": {"internal.segment.bytes": "65536"}, "": {"segment.bytes": "1048576"}}
"""How to have small segments: as small as wanted, or as small as every Kafka allows."""


class LoadFailed(Exception):
    """The load did not do what it is for: nothing is known about the broker."""


@dataclass(frozen=True)
class Plan:
    """What a run is asked to do. `records` is how many are to be acknowledged at least, `rate` how many a second the
    load is to send."""

    kills: int = 10
    seconds_between: tuple[float, float] = (0.2, 3.0)
    seed: int = 0
    records: int = 0
    rate: float = 6000.0
    contender: Contender = field(default_factory=lambda: ottla("group.initial.rebalance.delay.ms=0"))


@dataclass
class Outcome:
    """What came of it."""

    kills: int = 0
    early_kills: int = 0
    acknowledged: dict[str, int] = field(default_factory=dict)
    stored: int = 0
    repeated: int = 0
    observations: int = 0
    topics: int = 0
    answering_seconds: list[float] = field(default_factory=list)
    serving_seconds: list[float] = field(default_factory=list)
    yardstick_seconds: list[float] = field(default_factory=list)
    violations: list[Violation] = field(default_factory=list)

    @property
    def records(self) -> int:
        """Acknowledged records that count, of all kinds."""
        return sum(self.acknowledged.values())


def run(plan: Plan, directory: Path, say: Callable[[str], None] = lambda _: None) -> Outcome:
    """Do what `plan` asks for, with all files in `directory`. Raises LoadFailed."""
    outcome = Outcome()
    probes, answers = directory / "probes.ledger", directory / "load.ledger"
    broker = KilledBroker(plan.contender, directory, LedgerWriter(probes))
    logs: dict[TopicPartition, Records] = {}
    load: LoadProcess | None = None
    try:
        broker.start()
        broker.wait_until_it_answers()
        _create_topics(broker, plan)
        broker.wait_until_it_serves()
        load = LoadProcess(broker.port, answers, directory / "load.log", plan.rate)
        _kill_again_and_again(broker, load, plan, outcome, say)
        say("the load comes to its end")
        load.finish(plan.records)
        say("reading what is in the logs")
        logs = _read_logs(broker, (*PLACES, PROBE))
        broker.stop()
        broker.start()
        broker.wait_until_it_answers()
        outcome.violations += compare_restarted(logs, _read_logs(broker, tuple(logs)))
        broker.stop()
    except BrokerFailed as error:
        outcome.violations.append(Violation("died", "", -1, -1, str(error)))
    except wire.Refusal as error:
        outcome.violations.append(Violation("unreadable", "", -1, -1, str(error)))
    finally:
        if load is not None:
            load.kill()
        with suppress(BrokerFailed):
            broker.kill()
        broker.close_ledger()
    ledger = Ledger().read(probes)
    if logs:
        say("checking")
        ledger.read(answers)
        outcome.violations += check_log(ledger, logs)
        outcome.violations += check_registers(ledger)
        outcome.violations += check_consumption(ledger, logs)
        outcome.violations += check_topics(ledger)
    if plan.contender.name == "ottla":
        outcome.violations += (Violation("traceback", "", -1, -1, line) for line in broker.tracebacks())
    outcome.acknowledged = ledger.acknowledged_by_kind()
    outcome.stored = sum(map(len, logs.values()))
    outcome.repeated = len(ledger.resent)
    outcome.observations = len(ledger.ends) + len(ledger.committed)
    outcome.topics = sum(isinstance(entry, TopicCreated | TopicDeleted) for entry in ledger.topics)
    return outcome


def _create_topics(broker: KilledBroker, plan: Plan) -> None:
    with WireClient(broker.port) as client:
        wire.create_topic(client, PROBE.topic, 1, {})
        wire.create_topic(client, PLAIN, 2, {})
        wire.create_topic(client, ROLLING, 2, ROLLING_CONFIGS.get(plan.contender.name, ROLLING_CONFIGS[""]))


def _kill_again_and_again(
    broker: KilledBroker, load: LoadProcess, plan: Plan, outcome: Outcome, say: Callable[[str], None]
) -> None:
    chance = random.Random(plan.seed)

    def kill_and_start() -> float:
        broker.check_alive()
        broker.kill()
        outcome.kills += 1
        killed = time.monotonic()
        broker.start()
        return killed

    while outcome.kills < plan.kills:
        time.sleep(chance.uniform(*plan.seconds_between))
        killed = kill_and_start()
        while outcome.kills < plan.kills and chance.random() < EARLY_KILL_SHARE:
            time.sleep(chance.uniform(*EARLY_KILL_SECONDS))
            killed = kill_and_start()
            outcome.early_kills += 1
        broker.wait_until_it_answers()
        outcome.answering_seconds.append(time.monotonic() - killed)
        broker.wait_until_it_serves()
        outcome.serving_seconds.append(time.monotonic() - killed)
        load.check_alive()
        if len(outcome.serving_seconds) % YARDSTICK_EVERY == 1:
            outcome.yardstick_seconds.append(_yardstick())
        say(f"{outcome.kills} kills, serving again after {outcome.serving_seconds[-1]:.2f} s")


def _yardstick() -> float:
    """Seconds that a Python takes, here and now, to start and load an event loop: what no broker in it can be below."""
    began = time.monotonic()
    subprocess.run([sys.executable, "-c", "import trio"], check=True)
    return time.monotonic() - began


def _read_logs(broker: KilledBroker, places: Sequence[TopicPartition]) -> dict[TopicPartition, Records]:
    """Everything. A broker that has just started may say for a while that it does not lead a partition yet."""
    deadline = time.monotonic() + LEADING_SECONDS
    while True:
        try:
            with WireClient(broker.port) as client:
                return {place: wire.read_log(client, place) for place in places}
        except wire.Refusal as refusal:
            if not refusal.code.retriable or time.monotonic() > deadline:
                raise
            time.sleep(0.1)


def compare_restarted(before: dict[TopicPartition, Records], after: dict[TopicPartition, Records]) -> list[Violation]:
    """`changed`: what a clean stop and a start have changed, which must be nothing. Named by the first difference."""
    found = []
    for place, records in before.items():
        again = after[place]
        if records == again:
            continue
        pairs = zip(records, again, strict=False)
        at = next((n for n, (one, two) in enumerate(pairs) if one != two), min(len(records), len(again)))
        detail = f"{len(records)} records before the clean stop, {len(again)} after it, and the first difference here"
        found.append(Violation("changed", *place, at, detail))
    return found


class LoadProcess:
    """The load, started and asked to end."""

    def __init__(self, port: int, ledger: Path, output: Path, rate: float) -> None:
        self._output = output
        words = ["--port", str(port), "--ledger", str(ledger), "--rate", str(rate)]
        with output.open("wb") as errors:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tools.trials.kill_test.load", *words],
                cwd=ROOT,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )
        assert self._process.stdout is not None
        if self._process.stdout.readline() != "ready\n":
            self._process.wait()
            self.check_alive()

    def check_alive(self) -> None:
        """Raises LoadFailed when the load has ended by itself."""
        if (status := self._process.poll()) is not None:
            words = self._output.read_text(errors="replace")[-3000:]
            raise LoadFailed(f"the load ended with status {status}:\n{words}")

    def finish(self, records: int) -> None:
        """Let it come to its end. Raises LoadFailed."""
        try:
            self._process.communicate(f"{records}\n", LOAD_END_SECONDS)
        except subprocess.TimeoutExpired:
            raise LoadFailed(f"the load does not come to its end within {LOAD_END_SECONDS:g} s") from None
        if self._process.returncode:
            self.check_alive()

    def kill(self) -> None:
        """Make sure that it is gone."""
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                with suppress(OSError):
                    stream.close()
