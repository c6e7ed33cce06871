"""Runs Kafka's tools by the names of their classes.

Their jars come from the class path in OTTLA_KAFKA_TOOLS_JARS (`folder/*` works; a Kafka installation's `libs/*` does),
else through Maven from pom.xml beside this file.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from compat_tests.clients.java.adapter import fetch_jars, jar_version
from compat_tests.clients.worker import BUILT

JARS = BUILT / "kafka_tools" / "jars"
# The classes behind the familiar scripts.
CLASSES = {
    "kafka-topics": "org.apache.kafka.tools.TopicCommand",
    "kafka-console-producer": "org.apache.kafka.tools.ConsoleProducer",
    "kafka-console-consumer": "org.apache.kafka.tools.consumer.ConsoleConsumer",
    "kafka-consumer-groups": "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand",
    "kafka-configs": "org.apache.kafka.tools.ConfigCommand",
    "kafka-get-offsets": "org.apache.kafka.tools.GetOffsetShell",
    "kafka-delete-records": "org.apache.kafka.tools.DeleteRecordsCommand",
    "kafka-log-dirs": "org.apache.kafka.tools.LogDirsCommand",
    "kafka-transactions": "org.apache.kafka.tools.TransactionsCommand",
    "kafka-broker-api-versions": "org.apache.kafka.tools.BrokerApiVersionsCommand",
    "kafka-features": "org.apache.kafka.tools.FeatureCommand",
    "kafka-producer-perf-test": "org.apache.kafka.tools.ProducerPerformance",
    "kafka-consumer-perf-test": "org.apache.kafka.tools.ConsumerPerformance",
    "kafka-verifiable-producer": "org.apache.kafka.tools.VerifiableProducer",
}


def prepare() -> None:
    """Fetch the jars. Raises OSError, SubprocessError."""
    if "OTTLA_KAFKA_TOOLS_JARS" not in os.environ:
        fetch_jars(Path(__file__).parent / "pom.xml", JARS)


class Tools:
    """The tools, against one broker."""

    def __init__(self, bootstrap: str) -> None:
        self.bootstrap = bootstrap

    def run(self, tool: str, *words: str, given: str = "", fails: bool = False) -> str:
        """What a tool prints. `given` is its standard input; `fails`: it is expected to, and what it says then."""
        java = ["java", "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]
        java += ["-Dorg.slf4j.simpleLogger.defaultLogLevel=error", "-cp", class_path(), CLASSES[tool]]
        command = [*java, "--bootstrap-server", self.bootstrap, *words]
        done = subprocess.run(command, input=given, capture_output=True, text=True, timeout=90, check=False)
        said = done.stdout + done.stderr
        assert fails == (done.returncode != 0), f"{tool} ended with {done.returncode}:\n{said[-2000:]}"
        return said


def version() -> str:
    """That of the tools' jar."""
    return jar_version(class_path(), "kafka-tools")


def class_path() -> str:
    """The jars."""
    return os.environ.get("OTTLA_KAFKA_TOOLS_JARS") or str(JARS / "*")


def missing() -> str:
    """What is not there, or nothing."""
    if shutil.which("java") is None:
        return "no java on the path"
    if "OTTLA_KAFKA_TOOLS_JARS" not in os.environ and not list(JARS.glob("kafka-tools-*.jar")):
        return "the jars are not here"
    return ""
