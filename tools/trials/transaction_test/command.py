"""`trials transaction-test`: record a history of transactions under faults, and check it; or check one that is there.

Exit status 0: no anomaly but those that Kafka allows; 1: some, or the run did not come to its end.
"""

from __future__ import annotations

import argparse
import importlib.util
import random
import shlex
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from tools.trials.places import folder
from tools.trials.transaction_test.checker import check, forbidden, summary
from tools.trials.transaction_test.history import Operation, read_history

HASTY = "transaction.abort.timed.out.transaction.cleanup.interval.ms=1000"


def main(arguments: Sequence[str]) -> int:
    """Run `python -m tools.trials transaction-test`."""
    options = parse(arguments)
    if options.check is not None:
        return 1 if judge(options.check) else 0
    if importlib.util.find_spec("confluent_kafka") is None:
        print(
            "python -m tools.trials transaction-test: needs confluent-kafka: pip install 'ottla[dev]'", file=sys.stderr
        )
        return 2
    from tools.trials.brokers import BrokerFailed, Contender, Process, ottla
    from tools.trials.transaction_test.faults import BrokerTarget
    from tools.trials.transaction_test.run import Unfinished, record

    seed = random.SystemRandom().randrange(1 << 32) if options.seed is None else options.seed
    directory = Path(tempfile.mkdtemp(prefix="transaction-test-", dir=options.directory))
    history = directory / "history"
    began = time.monotonic()

    def say(words: str) -> None:
        print(f"{time.monotonic() - began:7.1f} s  {words}", flush=True)

    say(f"seed {seed}, {options.operations:,} operations in {options.lanes} lanes; files are in {directory}")
    with ExitStack() as stack:
        try:
            broker = None
            bootstrap = options.bootstrap
            if bootstrap is None:
                contender = ottla(HASTY)
                if options.launch != "ottla":
                    contender = Contender("launched", tuple(shlex.split(options.launch)), (HASTY,))
                broker = stack.enter_context(Process(contender, directory / "data", directory / "broker.log"))
                broker.start()
                broker.wait_until()
                bootstrap = f"127.0.0.1:{broker.port}"
            faults = record(
                bootstrap, history, operations=options.operations, seconds=options.seconds, lanes=options.lanes,
                seed=seed, targets=[] if options.no_faults or broker is None else [BrokerTarget(broker)], say=say,
            )  # fmt: skip
        except (BrokerFailed, Unfinished) as error:
            print(f"python -m tools.trials transaction-test: {error}\nfiles are in {directory}", file=sys.stderr)
            return 1
    say(str(faults))
    return 1 if judge(history) else 0


def judge(path: Path) -> int:
    """Check a history and print what is found; how many anomalies there are that Kafka does not allow."""
    history = read_history(path)
    began = time.monotonic()
    found = check(history)
    wrong = forbidden(found)
    print("\n".join([*figures(history), *summary(found)]))
    print(f"anomalies: {len(wrong)}, found in {time.monotonic() - began:.1f} s")
    return len(wrong)


def figures(history: Sequence[Operation]) -> list[str]:
    """What there is in a history, a line each."""
    kinds = Counter((each.what, each.kind) for each in history)
    lines = [f"operations: {len(history):,} of {len({each.process for each in history}):,} processes"]
    for what in ("txn", "poll", "assign"):
        counted = ", ".join(f"{kind} {kinds[what, kind]:,}" for kind in ("ok", "fail", "info"))
        lines.append(f"  {what}: {counted}")
    sends = sum(len(each.sends) for each in history)
    polls = sum(len(each.polls) for each in history)
    return [*lines, f"values sent: {sends:,}; values read: {polls:,}"]


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """The options; prints usage and exits with 2 on words it does not know."""
    parser = argparse.ArgumentParser(
        prog="python -m tools.trials transaction-test",
        description="Record what concurrent transactions do and see while their broker is killed and paused; check it.",
    )
    where = parser.add_mutually_exclusive_group()
    where.add_argument(
        "--launch", default="ottla", metavar="ottla|COMMAND",
        help="this Ottla (the default), or a command that runs a broker in the foreground, {port} and {dir} filled in",
    )  # fmt: skip
    where.add_argument("--bootstrap", metavar="HOST:PORT", help="a broker that runs already, without faults")
    where.add_argument("--check", type=Path, metavar="FILE", help="only check this history")
    parser.add_argument("--operations", type=int, default=5000, help="at least so many (default 5,000)")
    parser.add_argument("--seconds", type=float, default=3600.0, help="at most so long (default 3,600)")
    parser.add_argument("--lanes", type=int, default=10, help="threads with clients of their own (default 10)")
    parser.add_argument("--seed", type=int, help="of the operations and faults; a random one by default")
    parser.add_argument("--no-faults", action="store_true", help="leave the broker alone")
    parser.add_argument("--directory", type=folder, help="where to keep files")
    return parser.parse_args(arguments)
