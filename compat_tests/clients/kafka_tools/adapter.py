"""Runs Kafka's tools by the names of their classes.

Their jars come from the class path in OTTLA_KAFKA_TOOLS_JARS (`folder/*` works; a Kafka installation's `libs/*` does),
else through Maven from pom.xml beside this file. A process of Java takes ten times as long to start as a tool takes to
do its work, so the tools run in one, ToolRunner.java, one after the other.
"""

from __future__ import annotations

import json
import os
import queue
import shutil
import subprocess
import threading
import uuid
from pathlib import Path
from typing import Final

from compat_tests.clients.java.adapter import fetch_jars, jar_version
from compat_tests.clients.worker import BUILT, PREPARING, built, built_from

HERE = Path(__file__).parent
JARS, COMPILED = BUILT / "kafka_tools" / "jars", BUILT / "kafka_tools" / "classes"
SOURCES = (HERE / "ToolRunner.java", HERE / "pom.xml")
# The classes behind the familiar scripts.
CLASSES: Final = {
    "kafka-topics": "org.apache.kafka.tools.TopicCommand",
    "kafka-configs": "org.apache.kafka.tools.ConfigCommand",
    "kafka-acls": "org.apache.kafka.tools.AclCommand",
    "kafka-console-producer": "org.apache.kafka.tools.ConsoleProducer",
    "kafka-console-consumer": "org.apache.kafka.tools.consumer.ConsoleConsumer",
    "kafka-consumer-groups": "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand",
    "kafka-groups": "org.apache.kafka.tools.GroupsCommand",
    "kafka-get-offsets": "org.apache.kafka.tools.GetOffsetShell",
    "kafka-delete-records": "org.apache.kafka.tools.DeleteRecordsCommand",
    "kafka-log-dirs": "org.apache.kafka.tools.LogDirsCommand",
    "kafka-leader-election": "org.apache.kafka.tools.LeaderElectionCommand",
    "kafka-reassign-partitions": "org.apache.kafka.tools.reassign.ReassignPartitionsCommand",
    "kafka-cluster": "org.apache.kafka.tools.ClusterTool",
    "kafka-broker-api-versions": "org.apache.kafka.tools.BrokerApiVersionsCommand",
    "kafka-transactions": "org.apache.kafka.tools.TransactionsCommand",
    "kafka-features": "org.apache.kafka.tools.FeatureCommand",
    "kafka-metadata-quorum": "org.apache.kafka.tools.MetadataQuorumCommand",
    "kafka-delegation-tokens": "org.apache.kafka.tools.DelegationTokenCommand",
    "kafka-client-metrics": "org.apache.kafka.tools.ClientMetricsCommand",
    "kafka-producer-perf-test": "org.apache.kafka.tools.ProducerPerformance",
    "kafka-consumer-perf-test": "org.apache.kafka.tools.ConsumerPerformance",
    "kafka-e2e-latency": "org.apache.kafka.tools.EndToEndLatency",
    "kafka-verifiable-producer": "org.apache.kafka.tools.VerifiableProducer",
    "kafka-verifiable-consumer": "org.apache.kafka.tools.VerifiableConsumer",
    "kafka-dump-log": "org.apache.kafka.tools.DumpLogSegments",
}
AFTER_THE_COMMAND: Final = {"kafka-cluster"}
"""Tools that want to know the broker behind the word that says what to do."""
WITHOUT_BROKER: Final = {"kafka-dump-log", "kafka-e2e-latency"}
"""Tools that read files, or take the broker among their words."""
ON_THEIR_OWN: Final = {"kafka-verifiable-producer", "kafka-verifiable-consumer"}
"""Tools that finish their work when the process ends, in a way that only the end of the process brings about."""
JAVA: Final = ("java", "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")
QUIET: Final = "-Dorg.slf4j.simpleLogger.defaultLogLevel=error"
HELP, VERSION = "--help", "--version"
PATIENCE_SECONDS: Final = 90


def prepare() -> None:
    """Fetch the jars and compile the runner. Raises OSError, SubprocessError."""
    if "OTTLA_KAFKA_TOOLS_JARS" not in os.environ:
        fetch_jars(HERE / "pom.xml", JARS)
    COMPILED.mkdir(parents=True, exist_ok=True)
    compiler = ["javac", "-nowarn", "-cp", class_path(), "-d", str(COMPILED)]
    subprocess.run([*compiler, str(HERE / "ToolRunner.java")], check=True, timeout=PREPARING)
    built(COMPILED / "ToolRunner.class", *SOURCES)


class Tools:
    """The tools, against one broker. `properties` is a file with the settings of a client that the broker lets in."""

    def __init__(self, bootstrap: str, properties: Path | None = None) -> None:
        self.bootstrap = bootstrap
        self.properties = properties

    def run(self, tool: str, *words: str, given: str = "", fails: bool | None = False, aside: bool = False) -> str:
        """What a tool prints. `given` is its standard input; `fails`: it is expected to, or, if None,
        it may; `aside`: it is not given a broker."""
        if not (aside or tool in WITHOUT_BROKER or {HELP, VERSION} & set(words)):
            broker = ["--bootstrap-server", self.bootstrap]
            if self.properties is not None:
                broker += ["--command-config", str(self.properties)]
            first = 1 if tool in AFTER_THE_COMMAND else 0
            words = (*words[:first], *broker, *words[first:])
        run = _run_alone if tool in ON_THEIR_OWN else _RUNNER.call
        status, said = run(CLASSES[tool], words, given)
        _USED.append((tool, words))
        assert fails is None or fails == (status != 0), f"{tool} {' '.join(words)} ended with {status}:\n{said[-2000:]}"
        return said

    def topic(self, partitions: int = 1, *lines: str, **configs: str) -> str:
        """A new topic with a record for each line. `max_message_bytes="100"` sets `max.message.bytes`."""
        name = unused("topic")
        words = [word for key, value in configs.items() for word in ("--config", f"{key.replace('_', '.')}={value}")]
        self.run("kafka-topics", "--create", "--topic", name, "--partitions", str(partitions), *words)
        if lines:
            self.run("kafka-console-producer", "--topic", name, given="".join(f"{line}\n" for line in lines))
        return name


def unused(kind: str) -> str:
    """A name that nothing has."""
    return f"tools-{kind}-{uuid.uuid4().hex[:12]}"


class _Runner:
    """The process in which tools run, started when it is needed; it ends with this one."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None
        self._answers: queue.Queue[str] = queue.Queue()

    def call(self, tool: str, words: tuple[str, ...], given: str) -> tuple[int, str]:
        """The status that a tool ends with, and what it says."""
        process = self._process or self._start()
        assert process.stdin is not None, "it is a pipe"
        process.stdin.write(json.dumps({"class": tool, "words": words, "given": given}) + "\n")
        process.stdin.flush()
        try:
            answer = json.loads(self._answers.get(timeout=PATIENCE_SECONDS) or "{}")
        except queue.Empty:
            self._process = None
            process.kill()
            process.wait()
            raise AssertionError(f"{tool} {' '.join(words)} has not ended after {PATIENCE_SECONDS} seconds") from None
        if "status" not in answer:
            self._process = None
            return process.wait(PATIENCE_SECONDS), answer.get("said", "")
        return answer["status"], answer["said"]

    def _start(self) -> subprocess.Popen[str]:
        java = [*JAVA, QUIET, "-cp", class_path(), "ToolRunner"]
        process = subprocess.Popen(java, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8")
        answers: queue.Queue[str] = queue.Queue()

        def read() -> None:
            assert process.stdout is not None, "it is a pipe"
            for line in process.stdout:
                answers.put(line)
            answers.put("")

        threading.Thread(target=read, daemon=True).start()
        self._process, self._answers = process, answers
        return process


_RUNNER: Final = _Runner()
_USED: Final[list[tuple[str, tuple[str, ...]]]] = []


def used(tool: str, option: str) -> bool:
    """Whether this process has run a tool, by its name and that of its command, with an option."""
    name, *command = tool.split()
    return any(each == name and {*command, option} <= set(words) for each, words in _USED)


def _run_alone(tool: str, words: tuple[str, ...], given: str) -> tuple[int, str]:
    """The status that a tool ends with, and what it says, in a process of its own."""
    java = [*JAVA, QUIET, "-cp", class_path(), tool, *words]
    done = subprocess.run(java, input=given, capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=False)
    return done.returncode, done.stdout + done.stderr


def version() -> str:
    """That of the tools' jar."""
    return jar_version(class_path(), "kafka-tools")


def class_path() -> str:
    """The jars and the compiled runner."""
    return os.pathsep.join([os.environ.get("OTTLA_KAFKA_TOOLS_JARS") or str(JARS / "*"), str(COMPILED)])


def missing() -> str:
    """What is not there, or nothing."""
    if shutil.which("java") is None:
        return "no java on the path"
    if "OTTLA_KAFKA_TOOLS_JARS" not in os.environ and not list(JARS.glob("kafka-tools-*.jar")):
        return "the jars are not here"
    try:
        built_from(COMPILED / "ToolRunner.class", *SOURCES)
    except ImportError as error:
        return f"the runner of the tools: {error}"
    return ""
