"""`python -m tools.trials compare-assignors`: our assignors and Kafka's own classes, step by step, side by side.

Thousands of random groups live a few dozen steps each (`histories.py`). After each step both sides say who is to own
what, and have to agree on every partition of every member. `--java` is the command that runs a Java file with Kafka's
jars on its class path, such as `java -cp 'JARS/*'`. Exit status 0 means that all agreed.
"""

from __future__ import annotations

import argparse
import random
import shlex
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from tools.trials.assignors.histories import Life

PROGRAM = Path(__file__).with_name("KafkaAssignors.java")


def main(argv: Sequence[str] | None = None) -> int:
    """Compare, print what differs, and say how much was compared."""
    parser = argparse.ArgumentParser(prog="compare-assignors", description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--java", required=True, metavar="COMMAND", help="runs a Java file with Kafka's jars")
    parser.add_argument("--groups", type=int, default=10_000, help="how many groups (default: 10,000)")
    parser.add_argument("--seed", type=int, default=1, help="of the first group; the next one has the next number")
    arguments = parser.parse_args(argv)
    command = [*shlex.split(arguments.java), str(PROGRAM)]
    began = time.perf_counter()
    steps = different = 0
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as kafka:
        assert kafka.stdin is not None and kafka.stdout is not None
        for seed in range(arguments.seed, arguments.seed + arguments.groups):
            for said, ours in Life(random.Random(seed)).steps():
                kafka.stdin.write("\n".join(said) + "\n")
                kafka.stdin.flush()
                theirs = kafka.stdout.readline().rstrip("\n")
                steps += 1
                if ours != theirs and not (ours.startswith("error ") and theirs.startswith("error ")):
                    different += 1
                    print(f"group {seed}, {said[-1]}\n  ours   {ours}\n  Kafka's {theirs}")
                    break  # what follows has another history
        kafka.stdin.close()
    seconds = time.perf_counter() - began
    print(f"{arguments.groups:,} groups, {steps:,} assignments, {different:,} groups differ ({seconds:.0f} s)")
    return 1 if different else 0


if __name__ == "__main__":
    sys.exit(main())
