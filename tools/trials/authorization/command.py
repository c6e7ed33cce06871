"""`trials compare-authorization`: ask Ottla and a secured Apache Kafka every case of the matrix; compare the answers.

    python -m tools.trials compare-authorization --kafka 'COMMAND {port} {dir}'

The command is given the settings as `key=value` behind it. The exit status is 0 if every difference is explained.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence

from broker.security.acls import EVERYONE
from tools.answers.comparison import compare
from tools.trials.authorization.asking import ask_all, columns
from tools.trials.authorization.explained import EXPLAINED
from tools.trials.authorization.secured import secured_kafka, secured_ottla
from tools.trials.differential.command import summary


def main(arguments: Sequence[str]) -> int:
    """Ask both, print what differs, and return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tools.trials compare-authorization", description=__doc__)
    parser.add_argument("--kafka", metavar="COMMAND", required=True, help="how to start Apache Kafka")
    parser.add_argument("--only", metavar="API", help="one API, as in Fetch")
    parser.add_argument("--verbose", action="store_true", help="show explained differences one by one")
    options = parser.parse_args(arguments)
    asked = [
        column for column in columns() if options.only is None or str(column.row).partition(" ")[0] == options.only
    ]
    users = sorted({column.user for column in asked} | {"admin"})
    began = time.perf_counter()
    with secured_ottla(users) as broker:
        ours = ask_all(broker, asked)
    print(f"Ottla: {len(ours)} answers in {time.perf_counter() - began:.0f} s", flush=True)
    began = time.perf_counter()
    with secured_kafka(options.kafka, users) as broker:
        kafkas = ask_all(broker, asked)
    print(f"Kafka: {len(kafkas)} answers in {time.perf_counter() - began:.0f} s")
    report = compare(ours, kafkas, EXPLAINED)
    print(summary(report, options.verbose))
    print(f"{len(asked)} situations, {sum(column.for_everyone for column in asked)} of them of {EVERYONE}")
    return 1 if report.unexplained else 0
