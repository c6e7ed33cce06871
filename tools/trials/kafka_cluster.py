"""`trials kafka-cluster`: an Apache Kafka of several nodes on this machine, to hold our clusters against.

    $ OTTLA_KAFKA_JARS=FOLDER python -m tools.trials kafka-cluster 9092 DIR group.initial.rebalance.delay.ms=0

Each node is broker and controller, and all of them vote (`controller.quorum.voters`). The first listens on the port
that is named, with its controller on the port behind it; the others on ports that are free. Every node lives in a
folder of its own in DIR, `node-1` and so on, and what is started again with the same DIR goes on with the same data and
ports.

It stays in the foreground and is silent but for "ready" and the nodes' addresses, when each node serves and knows of
all others. SIGTERM, or the end of one node, ends it. Words at the end are settings of all nodes, in which `{node}`
stands for a node's number. Where they name `listeners` or `advertised.listeners`, each port in them is the first
node's, and stands for another one at the others.

What is not set is as in the comparisons with one node, but for internal topics, which have a replica on three nodes.

Needs Java 17, and OTTLA_KAFKA_JARS: a folder with Kafka's jars and those that they need.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from kproto.errors import ErrorCode, ProtocolError
from kproto.messages.describe_cluster import DescribeClusterRequest
from tools.trials.brokers import pause, quiet_port
from tools.trials.wire.client import WireClient
from tools.trials.wire.requests import Refusal

JARS: Final = "OTTLA_KAFKA_JARS"
START_SECONDS: Final = 300.0
STOP_SECONDS: Final = 60.0
PORTS: Final = "ports.json"
LISTENERS: Final = ("listeners", "advertised.listeners")
_PORT: Final = re.compile(r"(?<=:)\d+(?=,|$)")


def main(arguments: Sequence[str]) -> int:
    """Run nodes until a signal comes; the exit status."""
    options = parse(arguments)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: sys.exit(0))
    nodes = Nodes(options.port, options.directory, options.nodes, dict(each.split("=", 1) for each in options.settings))
    try:
        nodes.start()
        print(f"ready {nodes.bootstrap}", flush=True)
        nodes.wait()
        print(f"a node has ended; the ends of all logs:\n{nodes.last_words()}", file=sys.stderr)
        return 1
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)
        nodes.stop()


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """The options of `python -m tools.trials kafka-cluster`."""
    parser = argparse.ArgumentParser(
        prog="python -m tools.trials kafka-cluster",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("port", type=int, help="of the first node; its controller has the next one")
    parser.add_argument("directory", type=Path, help="keeps all data")
    parser.add_argument("settings", nargs="*", metavar="KEY=VALUE", help="of all nodes")
    parser.add_argument("--nodes", type=int, default=3, metavar="N", help="how many (default 3)")
    options = parser.parse_args(arguments)
    if not os.environ.get(JARS):
        parser.error(f"{JARS} does not name a folder with Kafka's jars")
    if shutil.which("java") is None:
        parser.error("there is no java")
    if any("=" not in each for each in options.settings):
        parser.error("settings are KEY=VALUE")
    return options


class Nodes:
    """The processes of one Kafka in one folder."""

    def __init__(self, port: int, directory: Path, count: int, settings: Mapping[str, str]) -> None:
        self._folder = directory.absolute()
        self._settings = settings
        self._folder.mkdir(parents=True, exist_ok=True)
        self._places = self._known_places(port, count)
        self._processes: list[subprocess.Popen[bytes]] = []

    @property
    def bootstrap(self) -> str:
        """The addresses of all."""
        return ",".join(f"127.0.0.1:{self._port(node)}" for node in self._places)

    def start(self) -> None:
        """Start all nodes, and wait until each knows of all. Raises SystemExit with the ends of their logs."""
        for node in self._places:
            self._format(node)
        for node in self._places:
            words = ["kafka.Kafka", str(self._properties(node))]
            log = self._log(node)
            log.unlink(missing_ok=True)
            with log.open("ab") as output:
                self._processes.append(subprocess.Popen(java(*words), stdout=output, stderr=output))
        deadline = time.monotonic() + START_SECONDS
        for node in self._places:
            while not self._knows_all(node):
                if not self.run() or time.monotonic() > deadline:
                    raise SystemExit(f"the nodes did not start; the ends of all logs:\n{self.last_words()}")
                pause(0.2)

    def wait(self) -> None:
        """Return when one of them has ended."""
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOWAIT)

    def run(self) -> bool:
        """Whether all of them do."""
        return all(process.poll() is None for process in self._processes)

    def stop(self) -> None:
        """End all, all at once."""
        for process in self._processes:
            process.terminate()
        for process in self._processes:
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def last_words(self) -> str:
        """The ends of what the nodes have printed."""
        logs = [self._log(node) for node in self._places]
        return "\n".join(f"{log}\n{log.read_text(errors='replace')[-1500:]}" for log in logs if log.exists())

    # --- where nodes are

    def _known_places(self, port: int, count: int) -> dict[int, dict[str, int]]:
        """Node -> port as it is at the first -> its own; and that of its controller as "controller"."""
        path = self._folder / PORTS
        if path.exists():
            return {int(node): places for node, places in json.loads(path.read_text()).items()}
        named = {found for key in LISTENERS for found in _PORT.findall(self._settings.get(key, ""))} | {str(port)}
        places: dict[int, dict[str, int]] = {1: {each: int(each) for each in sorted(named)} | {"controller": port + 1}}
        for node in range(2, count + 1):
            places[node] = {each: quiet_port() for each in (*sorted(named), "controller")}
        for own in places.values():
            own["main"] = own[str(port)]
            own["controller"] = own.get(str(port + 1), own["controller"])
        path.write_text(json.dumps(places))
        return places

    def _port(self, node: int) -> int:
        return self._places[node]["main"]

    def _at(self, node: int, listeners: str) -> str:
        return _PORT.sub(lambda found: str(self._places[node].get(found[0], found[0])), listeners)

    def _log(self, node: int) -> Path:
        return self._folder / f"node-{node}.log"

    def _knows_all(self, node: int) -> bool:
        try:
            with WireClient(self._port(node), timeout=5) as client:
                reply = client.call(DescribeClusterRequest(), 1)
        except (OSError, ProtocolError, Refusal):
            return False
        return reply.error_code == ErrorCode.NONE and len(reply.brokers) == len(self._places)

    # --- what they are told

    def _format(self, node: int) -> None:
        """Make a node's folder what Kafka calls formatted, unless it is."""
        properties = self._properties(node)
        properties.parent.mkdir(exist_ok=True)
        properties.write_text("".join(f"{key}={value}\n" for key, value in self._configuration(node).items()))
        if (properties.parent / "data" / "meta.properties").exists():
            return
        words = ["kafka.tools.StorageTool", "format", "-t", self._cluster_id(), "-c", str(properties)]
        done = subprocess.run(java(*words, heap="256m"), capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit(f"node {node} cannot be formatted:\n{done.stdout[-1500:]}{done.stderr[-1500:]}")

    def _cluster_id(self) -> str:
        path = self._folder / "cluster-id"
        if not path.exists():
            made = subprocess.run(
                java("kafka.tools.StorageTool", "random-uuid", heap="256m"), capture_output=True, text=True, check=True
            )
            path.write_text(made.stdout.split()[-1])
        return path.read_text()

    def _properties(self, node: int) -> Path:
        return self._folder / f"node-{node}" / "server.properties"

    def _configuration(self, node: int) -> dict[str, str]:
        own = self._places[node]
        voters = ",".join(f"{each}@127.0.0.1:{places['controller']}" for each, places in self._places.items())
        replicas = str(min(3, len(self._places)))
        found = {
            "process.roles": "broker,controller",
            "listeners": f"PLAINTEXT://127.0.0.1:{own['main']},CONTROLLER://127.0.0.1:{own['controller']}",
            "advertised.listeners": f"PLAINTEXT://127.0.0.1:{own['main']}",
            "inter.broker.listener.name": "PLAINTEXT",
            "controller.listener.names": "CONTROLLER",
            "num.partitions": "4",
            "offsets.topic.replication.factor": replicas,
            "transaction.state.log.replication.factor": replicas,
            "transaction.state.log.min.isr": "1",
            "share.coordinator.state.topic.replication.factor": replicas,
            "share.coordinator.state.topic.min.isr": "1",
            "group.initial.rebalance.delay.ms": "0",
        }
        for key, value in self._settings.items():
            found[key] = (self._at(node, value) if key in LISTENERS else value).replace("{node}", str(node))
        return found | {
            "node.id": str(node),
            "controller.quorum.voters": voters,
            "log.dirs": str(self._folder / f"node-{node}" / "data"),
        }


def java(*words: str, heap: str = "512m") -> list[str]:
    """The command line for a class of Kafka's and its words."""
    return [
        "java", f"-Xmx{heap}", f"-Xms{heap}", "-XX:+UseSerialGC", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
        "-cp", os.path.join(os.environ[JARS], "*"), *words,
    ]  # fmt: skip
