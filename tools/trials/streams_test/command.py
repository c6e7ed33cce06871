"""`trials streams-test`: count words exactly once with Kafka Streams while brokers are killed.

Exit status 0: every word was counted exactly; 1: not so; 2: Java, Maven or a package is not here.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import random
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from tools.trials.places import folder

if TYPE_CHECKING:
    from tools.trials.brokers import Process

JARS = Path(__file__).parents[3] / ".compat" / "streams" / "jars"
FETCHING_SECONDS = 300.0
HERE = Path(__file__).parent


def main(arguments: Sequence[str]) -> int:
    """Run `python -m tools.trials streams-test`."""
    options = parse(arguments)
    missing = [name for name in ("confluent_kafka",) if importlib.util.find_spec(name) is None]
    missing += [] if shutil.which("java") else ["java"]
    try:
        jars = "" if missing else class_path()
    except (OSError, subprocess.SubprocessError) as error:
        print(f"python -m tools.trials streams-test: Kafka Streams cannot be fetched: {error}", file=sys.stderr)
        return 2
    if missing:
        print(f"python -m tools.trials streams-test: needs {' and '.join(missing)}", file=sys.stderr)
        return 2
    from storage.servers.process import ServerError
    from tools.trials.brokers import BrokerFailed
    from tools.trials.streams_test.run import Plan, run

    directory = Path(tempfile.mkdtemp(prefix="streams-test-", dir=options.directory))
    seed = random.SystemRandom().randrange(1 << 32) if options.seed is None else options.seed
    began = time.monotonic()

    def say(words: str) -> None:
        print(f"{time.monotonic() - began:7.1f} s  {words}", flush=True)

    say(f"seed {seed}; files are in {directory}")
    command = ["java", "-Xmx512m", "-XX:+UseSerialGC", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-cp", jars]
    plan = Plan((*command, str(HERE / "WordCount.java")), options.lines, options.kills, options.every, seed)
    try:
        with started(options, directory) as brokers:
            outcome = run(plan, brokers, directory, say)
    except (BrokerFailed, ServerError, TimeoutError) as error:
        print(f"python -m tools.trials streams-test: {error}\nfiles are in {directory}", file=sys.stderr)
        return 1
    print(f"{outcome.kills} kills; {outcome.words:,} words in {outcome.lines:,} lines, {outcome.counted:,} counts")
    for sentence in outcome.wrong[:20]:
        print(f"WRONG: {sentence}")
    print(f"{len(outcome.wrong)} words counted wrongly" if outcome.wrong else "every word was counted exactly")
    return 1 if outcome.wrong else 0


@contextmanager
def started(options: argparse.Namespace, directory: Path) -> Iterator[Sequence[Process]]:
    """The brokers, of which all serve. Raises BrokerFailed, ServerError."""
    from tools.trials.brokers import Contender, Process, ottla
    from tools.trials.streams_test.run import SETTINGS

    if options.brokers > 1:
        from tools.trials.cluster_test.whole import Cluster

        with Cluster(directory, options.brokers, SETTINGS) as cluster:
            yield cluster.brokers.processes
        return
    contender = ottla(*SETTINGS)
    if options.launch != "ottla":
        contender = Contender("launched", tuple(shlex.split(options.launch)), SETTINGS)
    with Process(contender, directory / "data", directory / "broker.log") as broker:
        broker.start()
        broker.wait_until()
        yield [broker]


def class_path() -> str:
    """Kafka Streams' jars, fetched if need be. Raises OSError, SubprocessError."""
    given = os.environ.get("OTTLA_KAFKA_STREAMS_JARS")
    if given:
        return given
    if not list(JARS.glob("kafka-streams-*.jar")):
        coming = JARS.with_name("jars.coming")
        shutil.rmtree(coming, ignore_errors=True)
        maven = ["mvn", "--batch-mode", "--quiet", "-Dstyle.color=never", "-f", str(HERE / "pom.xml")]
        words = ["dependency:copy-dependencies", "-DincludeScope=runtime", f"-DoutputDirectory={coming}"]
        subprocess.run([*maven, *words], check=True, timeout=FETCHING_SECONDS)
        coming.rename(JARS)
    return str(JARS / "*")


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """The options; prints usage and exits with 2 on words it does not know."""
    parser = argparse.ArgumentParser(
        prog="python -m tools.trials streams-test",
        description="Count words exactly once with Kafka Streams while the broker is killed.",
    )
    parser.add_argument("--lines", type=int, default=20_000, help="that are sent (default 20,000)")
    parser.add_argument(
        "--brokers", type=int, default=1, metavar="N",
        help="a cluster of so many, killed in turn, over PostgreSQL and SeaweedFS (default 1: one broker on its disk)",
    )  # fmt: skip
    parser.add_argument("--kills", type=int, default=10, help="of brokers (default 10)")
    parser.add_argument("--every", type=float, default=4.0, metavar="SECONDS", help="between two kills (default 4)")
    parser.add_argument("--seed", type=int, help="of the words; a random one by default")
    parser.add_argument(
        "--launch", default="ottla", metavar="ottla|COMMAND",
        help="this Ottla (the default), or a command that runs a broker in the foreground, {port} and {dir} filled in",
    )  # fmt: skip
    parser.add_argument("--directory", type=folder, help="where to keep files")
    return parser.parse_args(arguments)
