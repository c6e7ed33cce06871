"""Record the compatibility suite's clients in front of a broker, and hold what they said again with Ottla.

    python -m tools.trials record-clients --keep DIR                              with Ottla
    python -m tools.trials record-clients --keep DIR --bootstrap HOST:PORT        with a Kafka that runs

For each client: `ottla record` stands between its scenarios and the broker, then `ottla replay` asks a new Ottla the
same. Not one difference may be unexplained. Each client is a row of a table, printed at the end (`--page FILE` writes
it into the page behind its mark). Recordings stay in DIR under a name for client and broker, and one that is there is
not made again, so a run that was stopped goes on where it was.

Scenarios that own their broker skip behind a recorder; those that cannot be held again are left out (`LEFT_OUT`).
"""

from __future__ import annotations

import argparse
import json
import re
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import ottla

ROOT: Final = Path(__file__).parents[2]
CLIENTS: Final = ("kafka_python", "confluent_kafka", "aiokafka", "kcat", "java", "kafkajs", "franz_go")
SCENARIOS: Final = (
    "test_produce.py", "test_consume.py", "test_topics.py", "test_administration.py", "test_groups.py",
    "test_consumer_groups.py", "test_transactions.py", "test_together.py", "test_housekeeping.py",
)  # fmt: skip
LEFT_OUT: Final = "not dying and not killed"
"""What depends on a member's session running out is a matter of minutes, not of what was said."""
COMMAND: Final = (sys.executable, "-P", str(ROOT / "ottla" / "__main__.py"))
PATIENCE_MS: Final = 60_000
MARK: Final = "<!-- recordings of {broker} -->"


class Row(NamedTuple):
    """What became of one client."""

    client: str
    scenarios: int
    counts: dict[str, Any]

    def __str__(self) -> str:
        explained = ", ".join(f"{name} {count}" for name, count in sorted(self.counts["explained"].items()))
        numbers = [self.scenarios, self.counts["requests"], self.counts["compared"], self.counts["differences"]]
        return f"| {self.client} | {' | '.join(f'{number:,}' for number in numbers)} | {explained} |"


def main(arguments: Sequence[str]) -> int:
    """Record, replay, print; 0 if nothing is unexplained."""
    parser = argparse.ArgumentParser(prog="record-clients", description="record clients, and replay what they said")
    parser.add_argument("--keep", type=Path, required=True, metavar="DIR", help="where recordings are, or will be")
    parser.add_argument("--bootstrap", metavar="HOST:PORT", help="a broker that runs (default: Ottla, started here)")
    parser.add_argument("--called", default="", help="what that broker is called (default kafka)")
    parser.add_argument("--client", action="append", choices=CLIENTS, help="only this one; may be repeated")
    parser.add_argument("-k", dest="chosen", default=LEFT_OUT, help="which scenarios, as pytest takes it")
    parser.add_argument("--page", type=Path, metavar="FILE", help="write the table into this page")
    options = parser.parse_args(arguments)
    called = options.called or ("kafka" if options.bootstrap else "ottla")
    options.keep.mkdir(parents=True, exist_ok=True)
    rows = []
    for client in options.client or CLIENTS:
        path = options.keep / f"{client}-{called}.ottla"
        count = options.keep / f"{client}-{called}.scenarios"
        if not count.exists():
            path.unlink(missing_ok=True)
            count.write_text(str(_record(client, path, options.bootstrap, options.chosen)))
        rows.append(Row(client, int(count.read_text()), replay(path)))
        print(rows[-1], flush=True)
    table = "\n".join(
        [
            f"| recorded with {called} | scenarios | requests | replies compared | unexplained | explained |",
            "| --- | --- | --- | --- | --- | --- |",
            *map(str, rows),
        ]
    )
    if options.page is not None:
        page = replaced(options.page.read_text(encoding="utf-8"), MARK.format(broker=called), table)
        options.page.write_text(page, encoding="utf-8")
    return 1 if any(row.counts["differences"] for row in rows) else 0


def _record(client: str, path: Path, bootstrap: str | None, chosen: str) -> int:
    """Run the scenarios of a client through a recorder; how many passed. Raises AssertionError where none did."""
    if bootstrap is None:
        with ottla.Broker(config={"group.initial.rebalance.delay.ms": 0}, start_timeout=120.0) as broker:
            return _record(client, path, broker.bootstrap_servers, chosen)
    recorder = subprocess.Popen(
        [*COMMAND, "record", "--to", str(path), "--listen", "127.0.0.1:0", "-b", bootstrap],
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert recorder.stdout is not None
        _, address = recorder.stdout.readline().split()
        scenarios = [str(ROOT / "compat_tests" / "scenarios" / name) for name in SCENARIOS]
        ran = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *scenarios, "--bootstrap", address,
             "--client", client, "-k", chosen],
            capture_output=True, text=True, cwd=ROOT,
        )  # fmt: skip
    finally:
        recorder.send_signal(signal.SIGINT)
        recorder.wait()
    passed = re.search(r"(\d+) passed", ran.stdout)
    print(ran.stdout.splitlines()[-1], flush=True)
    assert passed is not None, ran.stdout[-3000:]
    return int(passed[1])


def replay(path: Path) -> dict[str, Any]:
    """The counts of a replay with a new broker; differences are printed."""
    with ottla.Broker(config={"group.initial.rebalance.delay.ms": 0}, start_timeout=120.0) as broker:
        done = subprocess.run(
            [*COMMAND, "replay", str(path), "-b", broker.bootstrap_servers, "--timeout-ms", str(PATIENCE_MS), "--json"],
            capture_output=True, text=True,
        )  # fmt: skip
    *found, counts = done.stdout.splitlines() or [""]
    for line in found:
        print(line[:2000], file=sys.stderr)
    if not counts:
        raise RuntimeError(done.stderr)
    result: dict[str, Any] = json.loads(counts)
    return result


def replaced(page: str, mark: str, table: str) -> str:
    """A page with this table behind a mark. Raises ValueError where it has no such mark."""
    before, found, behind = page.partition(f"{mark}\n")
    if not found:
        raise ValueError(f"the page has no line {mark}")
    lines = behind.splitlines(keepends=True)
    while lines and (lines[0].startswith("|") or not lines[0].strip()):
        lines.pop(0)
    return f"{before}{found}\n{table}\n" + ("\n" if lines else "") + "".join(lines)
