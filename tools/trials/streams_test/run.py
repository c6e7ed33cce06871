"""One run: brokers that are killed in turn, the application above, the lines that go in, the counts that come out."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any, Final

from confluent_kafka import Consumer, Producer, TopicPartition

from tools.trials.brokers import Process, pause
from tools.trials.streams_test.judge import differences

LINES: Final = "lines"
COUNTS: Final = "counts"
PARTITIONS: Final = 4
VOCABULARY: Final = 300
WORDS: Final = (1, 8)
SETTLING_SECONDS: Final = 120.0
AFTER_SECONDS: Final = 3.0
"""How long it is looked whether more counts come than should."""
SETTINGS: Final = (
    "group.initial.rebalance.delay.ms=0", "transaction.abort.timed.out.transaction.cleanup.interval.ms=1000",
)  # fmt: skip
# Its types are there, but not exported in a way that type checkers accept.
admin: Any = import_module("confluent_kafka.admin")


@dataclass(frozen=True)
class Plan:
    """What a run is asked to do. `application` is the command, to which the arguments of WordCount.java are added."""

    application: tuple[str, ...]
    lines: int
    kills: int
    every: float
    seed: int


@dataclass
class Outcome:
    """What came of it."""

    kills: int = 0
    lines: int = 0
    words: int = 0
    counted: int = 0
    wrong: list[str] = field(default_factory=list)


def run(plan: Plan, brokers: Sequence[Process], directory: Path, say: Callable[[str], None]) -> Outcome:
    """Do what is asked for, to brokers that serve. Raises BrokerFailed, KafkaException, TimeoutError."""
    outcome = Outcome()
    bootstrap = ",".join(f"127.0.0.1:{broker.port}" for broker in brokers)
    with ExitStack() as stack:
        create_topics(bootstrap)
        output = stack.enter_context((directory / "application.log").open("wb"))
        words = [*plan.application, bootstrap, LINES, COUNTS, str(directory / "state")]
        application = subprocess.Popen(
            words, stdin=subprocess.PIPE, stdout=output, stderr=output, start_new_session=True
        )
        stack.callback(end, application)
        counts = Counts(bootstrap)
        stack.callback(counts.close)
        counts.wait_for(Counter(feed(bootstrap, plan, 50, 0.0)), say)  # it runs
        say("the application has counted its first words")
        sent: Counter[str] = Counter(counts.total())
        feeding = threading.Thread(
            target=lambda: sent.update(feed(bootstrap, plan, plan.lines, plan.kills * plan.every)), daemon=True
        )
        feeding.start()
        for _ in range(plan.kills):
            pause(plan.every)
            application_runs(application)
            broker = brokers[outcome.kills % len(brokers)]
            broker.check_alive()
            broker.kill()
            broker.start()
            outcome.kills += 1
            broker.wait_until()
            say(f"{outcome.kills} kills; {counts.poll():,} counts so far")
        feeding.join(SETTLING_SECONDS)
        counts.wait_for(sent, say)
        deadline = time.monotonic() + AFTER_SECONDS
        while time.monotonic() < deadline:
            counts.poll()
        outcome.lines, outcome.words, outcome.counted = plan.lines + 50, sent.total(), counts.total().total()
        outcome.wrong += differences(sent, counts.by_word)
    return outcome


def application_runs(application: subprocess.Popen[bytes]) -> None:
    """Raises TimeoutError if it has ended by itself."""
    if application.poll() is not None:
        raise TimeoutError(f"the application ended by itself with status {application.returncode}")


def end(application: subprocess.Popen[bytes]) -> None:
    """End the application, whatever it does."""
    assert application.stdin is not None
    with suppress(OSError):
        application.stdin.close()
    try:
        application.wait(15)
    except subprocess.TimeoutExpired:
        os.killpg(application.pid, signal.SIGKILL)
        application.wait()


def create_topics(bootstrap: str) -> None:
    """Both topics. Raises KafkaException."""
    client = admin.AdminClient({"bootstrap.servers": bootstrap})
    for done in client.create_topics([admin.NewTopic(name, PARTITIONS, 1) for name in (LINES, COUNTS)]).values():
        done.result(60)


def feed(bootstrap: str, plan: Plan, lines: int, seconds: float) -> Counter[str]:
    """Send lines as steadily as the broker lets it; how often each word was sent. Raises TimeoutError."""
    chance = random.Random(plan.seed + lines)
    sent: Counter[str] = Counter()
    options: dict[str, Any] = {
        "bootstrap.servers": bootstrap, "enable.idempotence": True, "linger.ms": 5, "message.timeout.ms": 0,
        "reconnect.backoff.ms": 20, "reconnect.backoff.max.ms": 200, "log_level": 0,
    }  # fmt: skip
    producer = Producer(options)
    began = time.monotonic()
    for number in range(lines):
        words = [f"word-{chance.randrange(VOCABULARY)}" for _ in range(chance.randint(*WORDS))]
        sent.update(words)
        while True:
            try:
                producer.produce(LINES, " ".join(words).encode(), b"%d" % number)
                break
            except BufferError:
                producer.poll(0.1)
        ahead = began + seconds * number / lines - time.monotonic()
        producer.poll(max(0.0, ahead))
    left = producer.flush(SETTLING_SECONDS)
    if left:
        raise TimeoutError(f"{left} lines were not acknowledged within {SETTLING_SECONDS:g} s")
    return sent


class Counts:
    """What readers of committed records see of the counts."""

    def __init__(self, bootstrap: str) -> None:
        self.by_word: defaultdict[str, list[int]] = defaultdict(list)
        self._consumer = Consumer(
            {
                "bootstrap.servers": bootstrap, "group.id": "judge", "isolation.level": "read_committed",
                "enable.auto.commit": False, "auto.offset.reset": "earliest", "log_level": 0,
                "reconnect.backoff.ms": 20, "reconnect.backoff.max.ms": 200,
            }
        )  # fmt: skip
        self._consumer.assign([TopicPartition(COUNTS, number, 0) for number in range(PARTITIONS)])

    def poll(self) -> int:
        """Take what has come; how many counts there are by now."""
        for message in self._consumer.consume(10_000, 0.2):
            key, value = message.key(), message.value()
            if message.error() is None and key is not None and value is not None:
                self.by_word[key.decode()].append(int(value))
        return self.total().total()

    def total(self) -> Counter[str]:
        """How many counts there are of each word."""
        return Counter({word: len(found) for word, found in self.by_word.items()})

    def wait_for(self, sent: Counter[str], say: Callable[[str], None]) -> None:
        """Until there are as many counts as words were sent. Returns without them after a while."""
        deadline = time.monotonic() + SETTLING_SECONDS
        while self.poll() < sent.total():
            if time.monotonic() > deadline:
                say(f"after {SETTLING_SECONDS:g} s there are {self.total().total():,} counts of {sent.total():,} words")
                return

    def close(self) -> None:
        """Let go of the consumer."""
        self._consumer.close()
