"""`trials exchange-test`: move data between Ottla and Apache Kafka on disk and compare what each then says.

    python -m tools.trials exchange-test --kafka 'run-kafka {port} {dir} {settings}' --kafka-tool 'run-kafka-tool'

`--kafka` runs a broker of Apache Kafka in the foreground, in the folder {dir}, listening on 127.0.0.1:{port} with its
controller on the next port; the word {settings} stands for further `key=value` words, possibly none. `--kafka-tool`
followed by the name of a Java class and its arguments runs that class with Kafka's jars. Both can be given as
OTTLA_KAFKA_COMMAND and OTTLA_KAFKA_TOOL in the environment. It takes a few minutes.

The exit status is 0 if everything held, 1 if something did not, 2 if a broker or a tool cannot be run.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from tools.trials.brokers import BrokerFailed
from tools.trials.kafka_exchange import cluster_log
from tools.trials.kafka_exchange.exchange import Commands, Exchange
from tools.trials.kafka_exchange.kafka_dump import ToolFailed
from tools.trials.places import folder

NEEDED = ("confluent_kafka", "psutil")
RECORDS = 2000


def main(arguments: Sequence[str]) -> int:
    """Run `python -m tools.trials exchange-test`."""
    options = parse(arguments)
    commands = named_commands(options.kafka, options.kafka_tool)
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        print(
            f"python -m tools.trials exchange-test: needs {' and '.join(missing)}: pip install 'ottla[dev]'",
            file=sys.stderr,
        )
        return 2
    if commands is None:
        print(
            "python -m tools.trials exchange-test: --kafka and --kafka-tool have to say how to run Apache Kafka",
            file=sys.stderr,
        )
        return 2
    folder = Path(tempfile.mkdtemp(prefix="exchange-", dir=options.directory))
    began = time.monotonic()

    def say(words: str) -> None:
        print(f"{time.monotonic() - began:7.1f} s  {words}", flush=True)

    exchange = Exchange(commands, folder, options.records, say)
    try:
        exchange.run()
        exchange.wrong += cluster_log.run(commands.kafka, folder, say)
    except (BrokerFailed, ToolFailed, TimeoutError) as error:
        print(f"python -m tools.trials exchange-test: {error}\nfiles are in {folder}", file=sys.stderr)
        return 2
    print(f"{len(exchange.wrong) or 'nothing'} wrong")
    if exchange.wrong or options.keep:
        print(f"files are in {folder}")
    else:
        shutil.rmtree(folder)
    return 1 if exchange.wrong else 0


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """The options; prints usage and exits with 2 on words it does not know."""
    parser = argparse.ArgumentParser(
        prog="python -m tools.trials exchange-test",
        description="Move data between Ottla and Apache Kafka on disk, and compare.",
    )
    parser.add_argument("--kafka", metavar="COMMAND", help="runs a broker: '... {port} {dir} {settings}'")
    parser.add_argument("--kafka-tool", metavar="COMMAND", help="runs a class of Kafka's: COMMAND CLASS ARGUMENTS")
    parser.add_argument(
        "--records", type=int, default=RECORDS, metavar="N", help=f"per topic and codec (default {RECORDS})"
    )
    parser.add_argument("--directory", type=folder, help="where to keep files while it runs")
    parser.add_argument("--keep", action="store_true", help="keep the files in any case")
    return parser.parse_args(arguments)


def named_commands(kafka: str | None = None, tool: str | None = None) -> Commands | None:
    """How to run Apache Kafka, as given or by the environment; None if neither says so."""
    kafka = kafka or os.environ.get("OTTLA_KAFKA_COMMAND")
    tool = tool or os.environ.get("OTTLA_KAFKA_TOOL")
    return Commands(kafka, tool) if kafka and tool else None
