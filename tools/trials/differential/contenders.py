"""The two brokers of a comparison, started with the same settings in empty directories of their own.

The settings are those that `SETTINGS` lists, and whatever starts Apache Kafka has to give it the same: DescribeConfigs
distinguishes a value that was set from a default, also where both are equal.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from tools.answers.scenario import Scenario, perform
from tools.answers.site import Answers, Site
from tools.answers.stage import wait_for_coordinators
from tools.trials.brokers import Contender, Process, kafka

SETTINGS = (
    "process.roles=broker,controller",
    "node.id=1",
    "controller.quorum.bootstrap.servers=127.0.0.1:{controller}",
    "listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}",
    "advertised.listeners=PLAINTEXT://127.0.0.1:{port}",
    "inter.broker.listener.name=PLAINTEXT",
    "controller.listener.names=CONTROLLER",
    "num.partitions=4",
    "offsets.topic.replication.factor=1",
    "transaction.state.log.replication.factor=1",
    "transaction.state.log.min.isr=1",
    "share.coordinator.state.topic.replication.factor=1",
    "share.coordinator.state.topic.min.isr=1",
    "group.initial.rebalance.delay.ms=0",
)
KAFKAS_LAG_SECONDS = 0.25


@contextmanager
def running_ottla() -> Iterator[Site]:
    """Ottla, run by this interpreter, ready to be asked."""
    words = (sys.executable, "-m", "ottla", "serve", "--no-environment", "--exit-with-parent", "--data", "{dir}")
    with _running(Contender("ottla", words, SETTINGS, "--set"), 0.0) as site:
        yield site


def answers_of_ottla(scenarios: Sequence[Scenario], brokers: int) -> Answers:
    """Play scenarios on so many Ottlas, two at least, at the same time: mostly a scenario waits for its broker.

    Those about groups and offsets are for the first, since one finds what another has left in the group without a name;
    the others share the rest. The answers are in the order of the scenarios. Raises what a broker's start raises.
    """
    about_groups = [each for each in scenarios if "Group" in each.name or "Offset" in each.name]
    others = [each for each in scenarios if each not in about_groups]
    shares = [about_groups, *(others[number :: brokers - 1] for number in range(brokers - 1))]

    def play(share: Sequence[Scenario]) -> Answers:
        with running_ottla() as site:
            return perform(share, site)

    with ThreadPoolExecutor(brokers) as threads:
        found = [answer for answers in threads.map(play, shares) for answer in answers.items()]
    places = {each.name: place for place, each in enumerate(scenarios)}
    return dict(sorted(found, key=lambda answer: places[answer[0].scenario]))


@contextmanager
def running_kafka(command: str) -> Iterator[Site]:
    """Apache Kafka, run by `command` (with `{port}` and `{dir}` in it), ready to be asked."""
    with _running(kafka(command), KAFKAS_LAG_SECONDS) as site:
        yield site


def texts_of(data: str, port: int) -> dict[str, str]:
    """What a broker says about its directory and its ports, and what is shown instead."""
    return {
        f"{data}/data": "<directory>",
        data: "<directory>",
        f":{port + 1}": ":<controller>",
        f":{port}": ":<port>",
    }


@contextmanager
def _running(contender: Contender, lag_seconds: float) -> Iterator[Site]:
    with tempfile.TemporaryDirectory(prefix=f"compare-{contender.name}-") as folder:
        data = f"{folder}/data"
        with Process(contender, Path(data), Path(folder) / "output") as broker:
            broker.start()
            broker.wait_until()
            site = Site.here(broker.port, texts_of(data, broker.port), lag_seconds)
            wait_for_coordinators(site)
            yield site
