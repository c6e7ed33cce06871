"""One run: the broker, the feed, the applications, and the kills."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any, Final

from tools.trials.brokers import ROOT, Contender, Process, pause
from tools.trials.exactly_once.feed import Feed
from tools.trials.exactly_once.judge import differences, read_committed

PARTITIONS: Final = 2
BROKER_SHARE: Final = 0.5
"""Of all kills, those of the broker."""
SESSION_SECONDS: Final = 2.0
SETTLING_SECONDS: Final = 150.0
STATE: Final = "state.json"
SETTINGS: Final = (
    "group.min.session.timeout.ms=1000", "group.initial.rebalance.delay.ms=0",
    "transaction.abort.timed.out.transaction.cleanup.interval.ms=1000",
)  # fmt: skip
# Its types are there, but not exported in a way that type checkers accept.
admin: Any = import_module("confluent_kafka.admin")


@dataclass(frozen=True)
class Plan:
    """What a run is asked to do."""

    clients: tuple[str, ...]
    records: int
    seconds: float
    seed: int
    contender: Contender
    every: float = 1.0


@dataclass
class Outcome:
    """What came of it."""

    kills: Counter[str] = field(default_factory=Counter)
    copied: dict[str, int] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)
    settled_seconds: float = 0.0


class Application:
    """A copying process, started again whenever it was killed."""

    def __init__(self, client: str, port: int, output: Path) -> None:
        self.client = client
        self._words = [
            sys.executable, "-m", "compat_tests", "copy", client, "--bootstrap", f"127.0.0.1:{port}",
            "--group", f"copies-{client}", "--source", source_of(client), "--target", target_of(client),
            "--transactional-id", f"copies-{client}", "--session-timeout", str(SESSION_SECONDS),
        ]  # fmt: skip
        self._output = output
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it."""
        with self._output.open("ab") as output:
            self._process = subprocess.Popen(
                self._words, stdin=subprocess.PIPE, stdout=output, stderr=output, start_new_session=True, cwd=ROOT
            )

    def kill(self) -> None:
        """SIGKILL it, with the worker process behind it if there is one."""
        if self._process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            assert self._process.stdin is not None
            self._process.stdin.close()
            self._process = None

    def ended(self) -> str:
        """Why it ended by itself; nothing while it runs."""
        if self._process is None or self._process.poll() is None:
            return ""
        return f"{self.client} ended by itself: {self._output.read_text(errors='replace')[-1000:]}"


def source_of(client: str) -> str:
    """The topic that a client's application reads."""
    return f"source-{client.replace('_', '-')}"


def target_of(client: str) -> str:
    """The topic that it writes."""
    return f"target-{client.replace('_', '-')}"


def run(plan: Plan, directory: Path, say: Callable[[str], None]) -> Outcome:
    """Do what is asked for, or what is left of it in this directory.

    Raises BrokerFailed, KafkaException, TimeoutError.
    """
    outcome = Outcome()
    sources = [source_of(client) for client in plan.clients]
    with ExitStack() as stack:
        broker = stack.enter_context(Process(plan.contender, directory / "data", directory / "broker.log"))
        broker.start()
        broker.wait_until()
        bootstrap = f"127.0.0.1:{broker.port}"
        state = directory / STATE
        left = json.loads(state.read_text())["seconds left"] if state.exists() else plan.seconds
        if not state.exists():
            create_topics(bootstrap, [*sources, *map(target_of, plan.clients)])
            save(state, left)
        numbers = {each: sum(map(len, read_committed(bootstrap, each, PARTITIONS))) for each in sources}
        missing = max(0, plan.records // len(sources) - min(numbers.values()))
        say(f"{min(numbers.values()):,} records are in each source, {missing:,} are to come in {left:.0f} s")
        applications = [Application(each, broker.port, directory / f"{each}.log") for each in plan.clients]
        for application in applications:
            stack.callback(application.kill)
            application.start()
        feed = Feed(bootstrap, sources, PARTITIONS, missing, left * 0.95, numbers.__getitem__)
        feed.start()
        kill_again_and_again(broker, applications, plan, left, state, outcome, say)
        feed.join(SETTLING_SECONDS)
        outcome.wrong += [f"the feed: {each}" for each in feed.failed[:3]]
        settle(bootstrap, plan, applications, outcome, say)
        save(state, 0.0)
    return outcome


def kill_again_and_again(
    broker: Process, applications: Sequence[Application], plan: Plan, left: float, state: Path, outcome: Outcome,
    say: Callable[[str], None],
) -> None:  # fmt: skip
    """Every second one kill, and a start at once."""
    chance = random.Random(plan.seed + int(left))
    began = time.monotonic()
    due = 0
    while (passed := time.monotonic() - began) < left:
        due += 1
        pause(max(0.0, began + due * plan.every - time.monotonic()))
        for application in applications:
            if why := application.ended():
                outcome.wrong.append(why)
                application.kill()
                application.start()
        broker.check_alive()
        if chance.random() < BROKER_SHARE:
            broker.kill()
            broker.start()
            outcome.kills["the broker"] += 1
        else:
            victim = chance.choice(applications)
            victim.kill()
            victim.start()
            outcome.kills[victim.client] += 1
        if due % 10 == 0:
            save(state, left - passed)
            say(f"{outcome.kills.total()} kills")
    broker.wait_until()


def settle(
    bootstrap: str, plan: Plan, applications: Sequence[Application], outcome: Outcome, say: Callable[[str], None]
) -> None:
    """Let the applications come to the end of their sources, and compare."""
    began = time.monotonic()
    say("no more kills; the applications come to the end of their sources")
    waiting = list(plan.clients)
    while waiting:
        client = waiting[0]
        source = read_committed(bootstrap, source_of(client), PARTITIONS)
        target = read_committed(bootstrap, target_of(client), PARTITIONS)
        there, here = sum(map(len, source)), sum(map(len, target))
        if here < there and time.monotonic() - began < SETTLING_SECONDS:
            pause(0.5)
            continue
        waiting.pop(0)
        outcome.copied[client] = here
        outcome.wrong += differences(client, source, target)
        say(f"{client}: {here:,} of {there:,} records copied")
    outcome.settled_seconds = time.monotonic() - began
    outcome.wrong += [why for application in applications if (why := application.ended())]


def create_topics(bootstrap: str, names: Sequence[str]) -> None:
    """All topics at once. Raises KafkaException."""
    client = admin.AdminClient({"bootstrap.servers": bootstrap})
    for done in client.create_topics([admin.NewTopic(name, PARTITIONS, 1) for name in names]).values():
        done.result(60)


def save(state: Path, left: float) -> None:
    """Note what is left, for a run that goes on."""
    state.write_text(json.dumps({"seconds left": max(0.0, left)}), encoding="utf-8")
