"""`trials bench`: the measurements of `suite.py`, side by side with Apache Kafka if a command for it is given.

Nine more have options of their own (--help lists them) and run only when they are asked for: `trials bench partitions`
and `trials bench recovery`, which take minutes and gigabytes, `trials bench transactions`, `trials bench groups`,
`trials bench crowds`, `trials bench tls`, `trials bench daily`, `trials bench objects` and `trials bench page`.
"""

from __future__ import annotations

import argparse
import importlib
import math
import os
import platform
import sys
import sysconfig
from collections.abc import Callable, Mapping, Sequence

from tools.trials.benchmark import load, suite
from tools.trials.benchmark.brokers import BrokerProcess
from tools.trials.brokers import Contender, kafka, ottla, pause

LONG = {
    "daily": "tools.trials.benchmark.daily",
    "crowds": "tools.trials.benchmark.crowds",
    "groups": "tools.trials.benchmark.groups",
    "objects": "tools.trials.benchmark.objects",
    "page": "tools.trials.benchmark.page",
    "partitions": "tools.trials.benchmark.partitions",
    "recovery": "tools.trials.benchmark.recovery",
    "tls": "tools.trials.benchmark.tls",
    "transactions": "tools.trials.benchmark.transactions",
}

SETTLING_SECONDS = 1.5
"""Between two measurements: until both brokers have removed the files of the last."""


def main(arguments: Sequence[str]) -> int:
    """Measure and print; 1 if a target is missed."""
    if arguments and arguments[0] in LONG:
        long_one: Callable[[Sequence[str]], int] = importlib.import_module(LONG[arguments[0]]).main
        return long_one(arguments[1:])
    options = parse(arguments)
    contenders = [ottla()]
    if options.kafka:
        contenders.append(kafka(options.kafka))
    print(machine())
    results = suite.Results()
    if "startup" in options.scenarios:
        for _ in range(options.rounds):
            for contender in contenders:
                suite.start_up(contender, results)
    measure(contenders, results, options)
    return report(results, [contender.name for contender in contenders])


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """The options of `python -m tools.trials bench`."""
    parser = argparse.ArgumentParser(prog="python -m tools.trials bench", description=__doc__)
    parser.add_argument(
        "scenarios", nargs="*", metavar="SCENARIO", default=["startup", *suite.SCENARIOS],
        help=f"startup, {', '.join(suite.SCENARIOS)} (default: all)",
    )  # fmt: skip
    parser.add_argument("--kafka", metavar="COMMAND", help="runs Apache Kafka; {port} and {dir} are filled in")
    parser.add_argument("--rounds", type=int, default=4, help="rounds per broker, alternating (default 4)")
    parser.add_argument("--seconds", type=float, default=4.0, help="length of one measurement (default 4)")
    parser.add_argument("--warm-up", type=float, default=8.0, help="seconds of load before measuring (default 8)")
    options = parser.parse_args(arguments)
    unknown = set(options.scenarios) - {"startup", *suite.SCENARIOS}
    if unknown:
        parser.error(f"no scenario {', '.join(sorted(unknown))}")
    return options


def machine() -> str:
    """The lines without which the numbers mean nothing."""
    flags = sysconfig.get_config_var("CONFIG_ARGS") or ""
    optimised = "with" if "--enable-optimizations" in flags else "without"
    return (
        f"{platform.platform()}, {os.cpu_count()} cores; "
        f"{platform.python_implementation()} {platform.python_version()} built {optimised} profile-guided optimisation"
    )


def measure(contenders: Sequence[Contender], results: suite.Results, options: argparse.Namespace) -> None:
    """Run every scenario `rounds` times on each broker, taking turns."""
    chosen = [name for name in options.scenarios if name in suite.SCENARIOS]
    if not chosen:
        return
    brokers = [BrokerProcess(contender) for contender in contenders]
    try:
        for broker in brokers:
            load.delete_files_soon(broker)
            suite.warm_up(broker, options.warm_up)
        for name in chosen:
            for number in range(options.rounds):
                for broker in brokers if number % 2 == 0 else reversed(brokers):  # who has the memory the other left
                    print(f"\r{name}, round {number + 1}, {broker.name}".ljust(50), end="", file=sys.stderr, flush=True)
                    topic = f"{name}-{number}"
                    suite.SCENARIOS[name](broker, results, options.seconds, topic)
                    load.delete_topic(broker, topic)
                    pause(SETTLING_SECONDS)
        for broker in brokers:
            results.add("memory after load: MB", broker.name, broker.resident_bytes() / 1e6)
    finally:
        print("\r".ljust(50), end="\r", file=sys.stderr)
        for broker in brokers:
            broker.stop()


def report(
    results: suite.Results,
    names: Sequence[str],
    targets: Mapping[str, suite.Target] = suite.TARGETS,
    limits: Mapping[str, suite.Target] = suite.LIMITS,
) -> int:
    """Print the table; 1 if a promise is missed. `targets` are for the ratio to Kafka, `limits` for Ottla's figure."""
    missed = 0
    width = max((len(name) for name, _ in results.medians()), default=0) + 2
    head = f"{'':{width}}" + "".join(f"{name:>12}" for name in names)
    print(head + (f"{'ratio':>9}  target" if len(names) == 2 else ""))
    for name, medians in results.medians():
        line = f"{name:{width}}" + "".join(f"{figure(medians[each]):>12}" for each in names if each in medians)
        promise, value = limits.get(name), medians["ottla"]
        if medians.keys() >= {"ottla", "kafka"}:
            ratio = medians["ottla"] / medians["kafka"] if medians["kafka"] else math.inf
            line += f"{ratio:8.2f}x"
            if promise is None and (promise := targets.get(name)) is not None:
                value = ratio
        if promise is not None:
            met = promise.met(value)
            missed += not met
            line += f"  {promise}{'x' if name in targets else ''} {'met' if met else 'MISSED'}"
        print(line)
    return 1 if missed else 0


def figure(value: float) -> str:
    """Three digits that count."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
