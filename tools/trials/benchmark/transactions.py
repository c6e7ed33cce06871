"""`trials bench transactions`: transactions a second, beside Apache Kafka if a command for it is given.

Durable: Ottla as it comes, which syncs the data before it acknowledges them and the decision before it answers EndTxn;
Kafka with `flush.messages=1` on the topic and on `__transaction_state`. Without syncs: both with their data in a folder
of memory (`--memory`), where a sync costs nothing; each of the two is told not to sync data, too.

A transaction is ten records of 100 bytes to one partition, and its commit. Two more figures: records a second in
transactions of a thousand records, as a share of what the same idempotent producers write without transactions; and how
long the end of a transaction over a hundred partitions takes, until EndTxn is answered, and from there until no
partition holds a reader of committed records back.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Final

from tools.trials.benchmark import load
from tools.trials.benchmark.brokers import BrokerProcess
from tools.trials.benchmark.suite import Results, Target
from tools.trials.benchmark.transactional_load import Producer, drive, ends_visible
from tools.trials.brokers import Contender, kafka, ottla
from tools.trials.wire.client import WireClient

ONE, MANY, WRITERS, WIDE = 1, 16, 4, 100
VISIBLE: Final = f"{WIDE} partitions: visible everywhere, p99 ms after EndTxn"
LARGE: Final = "1,000-record transactions: share of plain idempotent"
TARGETS: Final = {
    "durable, 1 producer: transactions/s": Target(at_least=1.0),
    "durable, 16 producers: transactions/s": Target(at_least=1.5),
    "without syncs, 1 producer: transactions/s": Target(at_least=1.5),
}
LIMITS: Final = {VISIBLE: Target(at_most=20.0), LARGE: Target(at_least=0.9)}
DURABILITIES: Final = ("durable", "without syncs")
FLUSHED: Final = ("log.flush.interval.messages=1",)


def main(arguments: Sequence[str]) -> int:
    """Measure and print; 1 if a target is missed."""
    options = parse(arguments)
    from tools.trials.benchmark.command import machine, report

    print(machine())
    results = Results()
    kinds = [("durable", [ottla()], None), ("without syncs", [ottla("ottla.ack.fsync=false")], options.memory)]
    if options.kafka:
        kinds[0][1].append(kafka(options.kafka, *FLUSHED))
        kinds[1][1].append(kafka(options.kafka))
    for what, contenders, within in kinds:
        if what in options.what:
            measure(what, contenders, within, results, options)
    return report(results, [contender.name for contender in kinds[0][1]], TARGETS, LIMITS)


def measure(
    what: str, contenders: Sequence[Contender], within: str | None, results: Results, options: argparse.Namespace
) -> None:
    """Every figure of one kind of durability, the brokers by turns."""
    with ExitStack() as stack:
        brokers = [stack.enter_context(BrokerProcess(each, within=within)) for each in contenders]
        for broker in brokers:
            load.create_topic(broker, "narrow", MANY)
            load.create_topic(broker, "wide", WIDE)
            small(broker, "warm-up", 4, options.warm_up)
        for number in range(options.rounds):
            for broker in brokers if number % 2 == 0 else reversed(brokers):
                for producers in (ONE, MANY):
                    rate, p50 = small(broker, f"{what}-{number}", producers, options.seconds)
                    name = f"{what}, {producers} producer{'s' if producers > 1 else ''}"
                    results.add(f"{name}: transactions/s", broker.name, rate)
                    results.add(f"{name}: p50 ms", broker.name, p50 * 1e3)
                if what == "durable":
                    large(broker, number, results, options.seconds)
                    wide(broker, number, results, options.ends)


def small(broker: BrokerProcess, name: str, count: int, seconds: float) -> tuple[float, float]:
    """Transactions a second of so many producers, and the median of how long one takes in seconds."""
    producers = [
        Producer(broker.port, "narrow", f"{name}-{count}-{index}", partitions=[index], records=10, record_bytes=100)
        for index in range(count)
    ]
    try:
        took = drive(producers, seconds)
    finally:
        close(producers)
    all_of_them = sorted(each for producer in producers for each in producer.rounds.transactions)
    return len(all_of_them) / took, all_of_them[len(all_of_them) // 2]


def large(broker: BrokerProcess, number: int, results: Results, seconds: float) -> None:
    """Transactions of a thousand records of 1,000 bytes beside the same without transactions."""
    rates = []
    for name in (f"large-{number}", None):
        producers = [
            Producer(
                broker.port, "narrow", name and f"{name}-{index}", partitions=[index], records=1000, record_bytes=1000
            )
            for index in range(WRITERS)
        ]
        try:
            took = drive(producers, seconds)
        finally:
            close(producers)
        rates.append(1000 * sum(len(producer.rounds.transactions) for producer in producers) / took)
    results.add("1,000-record transactions: records/s", broker.name, rates[0])
    results.add("the same, plain idempotent: records/s", broker.name, rates[1])
    results.add(LARGE, broker.name, rates[0] / rates[1])


def wide(broker: BrokerProcess, number: int, results: Results, rounds: int) -> None:
    """The end of a transaction over a hundred partitions."""
    everywhere = list(range(WIDE))
    producer = Producer(broker.port, "wide", f"wide-{number}", partitions=everywhere, records=1, record_bytes=100)
    with WireClient(broker.port) as reader:
        try:
            found = [ends_visible(producer, reader, "wide", everywhere) for _ in range(rounds)]
        finally:
            close([producer])
    answered, visible = (sorted(each) for each in zip(*found, strict=True))
    results.add(f"{WIDE} partitions: EndTxn answered, p50 ms", broker.name, answered[rounds // 2] * 1e3)
    results.add(VISIBLE, broker.name, visible[min(rounds - 1, rounds * 99 // 100)] * 1e3)


def close(producers: Sequence[Producer]) -> None:
    """Let go of their connections."""
    for producer in producers:
        producer.client.close()


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """The options; prints usage and exits with 2 on words it does not know."""
    parser = argparse.ArgumentParser(prog="python -m tools.trials bench transactions", description=__doc__)
    parser.add_argument(
        "what", nargs="*", metavar="WHAT", default=[*DURABILITIES], help=f"{' or '.join(DURABILITIES)} (default: both)"
    )
    parser.add_argument("--kafka", metavar="COMMAND", help="also Kafka: '... {port} {dir} {settings}'")
    parser.add_argument("--memory", default="/dev/shm", metavar="DIR", help="a folder in memory (default /dev/shm)")
    parser.add_argument("--rounds", type=int, default=3, help="rounds per broker, alternating (default 3)")
    parser.add_argument("--seconds", type=float, default=3.0, help="length of one measurement (default 3)")
    parser.add_argument("--warm-up", type=float, default=5.0, help="seconds of load before measuring (default 5)")
    parser.add_argument("--ends", type=int, default=50, help="ends of wide transactions in a round (default 50)")
    options = parser.parse_args(arguments)
    if unknown := set(options.what) - set(DURABILITIES):
        parser.error(f"no measurement {', '.join(sorted(unknown))}")
    return options


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
