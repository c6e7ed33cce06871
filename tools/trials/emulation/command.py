"""`python -m tools.trials emulated-clients`: old clients against the releases of their time, played by Ottla.

    python -m tools.trials emulated-clients --keep DIR --page docs/emulation.md

Libraries are fetched into DIR once, with pip and Maven. Kafka's own client before 4.0 is taken out of Flink's
connector, which has it under other names. Each client meets each release in `RELEASES_MET`, and a cell of the page
says whether it could work with it. A run that was stopped goes on where it was: DIR keeps the results.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

import ottla

HERE: Final = Path(__file__).parent
MARK: Final = "<!-- clients of the time -->"
RELEASES_MET: Final = ("2.8", "3.3", "3.7", "3.9", "4.0", "4.4")
SHADED: Final = "org.apache.flink.kafka.shaded.org.apache.kafka"
SECONDS: Final = 240
WITHOUT_ZOOKEEPER: Final = "4.0"
LOGGING: Final = ("org.slf4j:slf4j-api:1.7.36", "org.slf4j:slf4j-nop:1.7.36")


class Client(NamedTuple):
    """A library of some time. `package` is what pip or Maven fetches, `of` the release of Kafka that it came with."""

    name: str
    kind: str
    package: str
    of: str


CLIENTS: Final = (
    Client("kafka-python 1.4.7", "kafka_python", "kafka-python==1.4.7", "2.3"),
    Client("kafka-python 2.0.2", "kafka_python", "kafka-python==2.0.2", "2.5"),
    Client("kafka-python 2.1.5", "kafka_python", "kafka-python==2.1.5", "3.9"),
    Client("librdkafka 2.0.2", "confluent_kafka", "confluent-kafka==2.0.2", "3.3"),
    Client("librdkafka 2.6.2", "confluent_kafka", "confluent-kafka==2.6.2", "3.9"),
    Client("kafka-clients 2.8.1", "shaded", "org.apache.flink:flink-sql-connector-kafka:1.15.2", "2.8"),
    Client("kafka-clients 3.2.3", "shaded", "org.apache.flink:flink-sql-connector-kafka:1.17.1", "3.2"),
    Client("kafka-clients 3.4.0", "shaded", "org.apache.flink:flink-sql-connector-kafka:3.2.0-1.19", "3.4"),
    Client(
        f"kafka-clients {WITHOUT_ZOOKEEPER}.0", "java", f"org.apache.kafka:kafka-clients:{WITHOUT_ZOOKEEPER}.0", "4.0"
    ),
)
"""Oldest first of each kind."""


def main(arguments: Sequence[str]) -> int:
    """Run what has not been run; 0 if every client could work with every release."""
    parser = argparse.ArgumentParser(prog="emulated-clients", description="old clients against releases of their time")
    parser.add_argument("--keep", type=Path, required=True, metavar="DIR", help="libraries and results")
    parser.add_argument("--client", action="append", help="only those whose name begins so; may be repeated")
    parser.add_argument("--page", type=Path, metavar="FILE", help="write the table into this page")
    options = parser.parse_args(arguments)
    options.keep.mkdir(parents=True, exist_ok=True)
    results = options.keep / "results.json"
    found: dict[str, str] = json.loads(results.read_text()) if results.exists() else {}
    clients = [each for each in CLIENTS if not options.client or each.name.startswith(tuple(options.client))]
    for release in RELEASES_MET:
        waiting = [each for each in clients if f"{each.name} {release}" not in found]
        if not waiting:
            continue
        with ottla.Broker(emulate=release, start_timeout=120.0) as broker:
            for client in waiting:
                said = found[f"{client.name} {release}"] = meet(client, broker.bootstrap_servers, options.keep)
                print(f"{client.name} and {release}: {said or 'ok'}", flush=True)
                results.write_text(json.dumps(found, indent=1))
    if options.page is not None:
        _write(options.page, found)
    return 1 if any(found.values()) else 0


def meet(client: Client, bootstrap: str, keep: Path) -> str:
    """Let a client work with a broker; nothing if it could, else the end of what it said."""
    command = _python(client, keep) if "kafka" in client.kind else _java(client, keep)
    try:
        done = subprocess.run([*command, bootstrap], capture_output=True, text=True, timeout=SECONDS)
    except subprocess.TimeoutExpired:
        return f"it was not done after {SECONDS} s"
    return "" if done.returncode == 0 else (done.stderr.strip().splitlines() or ["it failed"])[-1][:300]


def _python(client: Client, keep: Path) -> list[str]:
    folder = keep / client.package
    if not folder.exists():
        words = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", str(folder), client.package]
        subprocess.run(words, check=True)
    program = f"import sys; sys.path.insert(0, {str(folder)!r}); exec(open({str(_program(client))!r}).read())"
    return [sys.executable, "-W", "ignore", "-I", "-c", program]


def _program(client: Client) -> Path:
    return HERE / f"speak_{client.kind}.py"


def _java(client: Client, keep: Path) -> list[str]:
    folder = keep / client.package.replace(":", "-")
    if not folder.exists():
        folder.mkdir()
        for artifact in (client.package, *LOGGING):
            copy = "org.apache.maven.plugins:maven-dependency-plugin:3.6.0:copy"
            words = ["mvn", "-q", "-B", copy, f"-Dartifact={artifact}", f"-DoutputDirectory={folder}"]
            subprocess.run(words, check=True)
        source = (HERE / "Speak.java").read_text()
        if client.kind == "shaded":
            source = source.replace("org.apache.kafka", SHADED)
        (folder / "Speak.java").write_text(source)
    return ["java", "-XX:TieredStopAtLevel=1", "-cp", f"{folder}/*", str(folder / "Speak.java")]


def _write(page: Path, found: dict[str, str]) -> None:
    """Replace the table behind the mark. Raises ValueError where the page has no mark."""
    from tools.trials.client_recordings import replaced

    rows = [f"| client | came with | {' | '.join(RELEASES_MET)} |", f"| --- | --- |{' --- |' * len(RELEASES_MET)}"]
    for client in CLIENTS:
        cells = []
        for release in RELEASES_MET:
            said = found.get(f"{client.name} {release}")
            cells.append("-" if said is None else "works" if not said else said.replace("|", "/"))
        rows.append(f"| {client.name} | {client.of} | {' | '.join(cells)} |")
    page.write_text(replaced(page.read_text(encoding="utf-8"), MARK, "\n".join(rows)), encoding="utf-8")
