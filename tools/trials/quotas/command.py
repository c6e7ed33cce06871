"""`python -m tools.trials quotas`: hold producers to a quota, beside Apache Kafka, and draw what came of it.

A rate is kept over Kafka's windows, eleven of a second: ten seconds' worth may be taken at once, and the wait that
follows ends when the burst is forgotten, after which the next one may come. So an average over 30 s depends on when
they begin. What is judged is the mean of all 30 s that begin in one such round, after the first; the least and the
most of them are printed beside it. The exit status is 1 if the mean is more than 5 % off the quota, or if memory has
grown.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from statistics import mean

from tools.trials.benchmark.brokers import BrokerProcess
from tools.trials.benchmark.load import create_topic
from tools.trials.brokers import kafka, ottla
from tools.trials.quotas.load import Series, hold_back, set_quota
from tools.trials.quotas.picture import picture

ROUND_SECONDS = 11
"""How long a burst is remembered, by default."""
JUDGED_SECONDS = 30
STEP_SECONDS = 0.5
MOST_OFF = 0.05
MOST_GROWN = 16 << 20
"""Bytes that a broker's memory may grow by while it is under this load: pools fill, and then no more."""


def main(arguments: Sequence[str]) -> int:
    """Run as `arguments` say and return the exit status."""
    options = parse(arguments)
    contenders = [ottla(), *([kafka(options.kafka)] if options.kafka else [])]
    seconds = 2 * ROUND_SECONDS + JUDGED_SECONDS
    limit, offered = options.rate * 1e6, options.rate * 2e6
    measured: dict[int, list[Series]] = {}
    missed = 0
    brokers = [BrokerProcess(contender) for contender in contenders]
    try:
        for number in options.producers:
            topic = f"held-back-{number}"
            for broker in brokers:
                create_topic(broker, topic, 1, retention_bytes="100000000", segment_bytes="50000000")
                set_quota(broker, None)
                set_quota(broker, limit)
            measured[number] = hold_back(brokers, topic, number, offered, seconds)
            missed += sum(judge(series, number, limit) for series in measured[number])
    finally:
        for broker in brokers:
            broker.stop()
    if options.picture is not None:
        options.picture.write_text(picture(measured, limit, offered, seconds), encoding="utf-8")
    return 1 if missed else 0


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """The options of `python -m tools.trials quotas`."""
    parser = argparse.ArgumentParser(prog="python -m tools.trials quotas", description=__doc__)
    parser.add_argument("--kafka", metavar="COMMAND", help="how to start Apache Kafka, with {port} and {dir} in it")
    parser.add_argument("--rate", type=float, default=10.0, metavar="MB/S", help="the quota (default: 10)")
    parser.add_argument("--producers", type=int, nargs="+", default=[1, 4, 16], metavar="N", help="how many share it")
    parser.add_argument("--picture", type=Path, metavar="FILE", help="draw what was measured, as SVG")
    return parser.parse_args(arguments)


def judge(series: Series, producers: int, limit: float) -> int:
    """Print one broker's figures; 1 if it is Ottla and has missed them."""
    starts = [ROUND_SECONDS + step * STEP_SECONDS for step in range(int(ROUND_SECONDS / STEP_SECONDS))]
    rates = [series.rate(start, JUDGED_SECONDS) for start in starts]
    held = [size for at, size in series.memory if at >= ROUND_SECONDS]
    off, grown = mean(rates) / limit - 1, max(held) - held[0]
    met = abs(off) <= MOST_OFF and grown <= MOST_GROWN
    print(
        f"{producers:3} producers, {series.broker:6} {mean(rates) / 1e6:6.2f} MB/s over {JUDGED_SECONDS} s "
        f"({off:+.1%}; {min(rates) / 1e6:.2f} to {max(rates) / 1e6:.2f}), memory {max(held) / 1e6:.0f} MB, grown by "
        f"{grown / 1e6:.1f} MB" + ("" if met or series.broker != "ottla" else "   MISSED"),
        flush=True,
    )
    return int(series.broker == "ottla" and not met)
