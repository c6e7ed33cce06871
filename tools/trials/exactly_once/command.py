"""`trials exactly-once-test`: copy records exactly once while broker and applications are killed.

Exit status 0: every record was copied once, in order; 1: not so; 2: something is not here.
"""

from __future__ import annotations

import argparse
import importlib.util
import random
import shlex
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

CLIENTS = ("java", "confluent_kafka", "franz_go", "kafka_python", "kafkajs")


def main(arguments: Sequence[str]) -> int:
    """Run `python -m tools.trials exactly-once-test`."""
    options = parse(arguments)
    missing = [name for name in ("confluent_kafka", "compat_tests") if importlib.util.find_spec(name) is None]
    if missing:
        words = f"needs {' and '.join(missing)}: a checkout with pip install -e '.[dev]'"
        print(f"python -m tools.trials exactly-once-test: {words}", file=sys.stderr)
        return 2
    from tools.trials.brokers import BrokerFailed, Contender, ottla
    from tools.trials.exactly_once.run import SETTINGS, Plan, run

    directory = Path(options.directory or tempfile.mkdtemp(prefix="exactly-once-"))
    directory.mkdir(parents=True, exist_ok=True)
    contender = ottla(*SETTINGS)
    if options.launch != "ottla":
        contender = Contender("launched", tuple(shlex.split(options.launch)), SETTINGS)
    seed = random.SystemRandom().randrange(1 << 32) if options.seed is None else options.seed
    plan = Plan(tuple(options.client or CLIENTS), options.records, options.seconds, seed, contender, options.every)
    began = time.monotonic()

    def say(words: str) -> None:
        print(f"{time.monotonic() - began:7.1f} s  {words}", flush=True)

    say(f"seed {seed}; {', '.join(plan.clients)}; files are in {directory}")
    try:
        outcome = run(plan, directory, say)
    except (BrokerFailed, TimeoutError) as error:
        print(f"python -m tools.trials exactly-once-test: {error}\nfiles are in {directory}", file=sys.stderr)
        return 1
    kills = ", ".join(f"{who} {count}" for who, count in sorted(outcome.kills.items()))
    print(f"kills: {outcome.kills.total()} ({kills})")
    print(
        f"records copied: {sum(outcome.copied.values()):,}; at rest {outcome.settled_seconds:.1f} s after the last kill"
    )
    for sentence in outcome.wrong:
        print(f"WRONG: {sentence}")
    enough = sum(outcome.copied.values()) >= plan.records // len(plan.clients) * len(plan.clients)
    print("each record exactly once, in order" if enough and not outcome.wrong else "NOT exactly once")
    return 0 if enough and not outcome.wrong else 1


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """The options; prints usage and exits with 2 on words it does not know."""
    parser = argparse.ArgumentParser(
        prog="python -m tools.trials exactly-once-test",
        description="Copy records exactly once, with several clients, while they and their broker are killed.",
    )
    parser.add_argument("--client", action="append", choices=[*CLIENTS, "aiokafka"], help="only this one; repeatable")
    parser.add_argument("--records", type=int, default=100_000, help="of all clients together (default 100,000)")
    parser.add_argument("--seconds", type=float, default=300.0, help="for how long there are kills (default 300)")
    parser.add_argument("--every", type=float, default=1.0, metavar="SECONDS", help="between two kills (default 1)")
    parser.add_argument("--seed", type=int, help="of the kills; a random one by default")
    parser.add_argument(
        "--launch", default="ottla", metavar="ottla|COMMAND",
        help="this Ottla (the default), or a command that runs a broker in the foreground, {port} and {dir} filled in",
    )  # fmt: skip
    parser.add_argument("--directory", help="of an earlier run that was interrupted, to go on with it")
    return parser.parse_args(arguments)
