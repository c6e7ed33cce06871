"""Kafka's command-line tools, option by option: the cluster, its nodes, directories, features, and who may do what."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from compat_tests.clients.kafka_tools.adapter import CLASSES, Tools, unused

DIRECTORY_ID = "AQEBAQEBAQEBAQEBAQEBAQ"


@pytest.fixture
def settings(tmp_path: Path) -> str:
    """A file with settings of a client."""
    file = tmp_path / "client.properties"
    file.write_text("client.id=tools\n")
    return str(file)


def written(folder: Path, **content: object) -> str:
    """A new file of JSON."""
    file = folder / f"{unused('file')}.json"
    file.write_text(json.dumps({"version": 1, **content}))
    return str(file)


@pytest.mark.parametrize("tool", sorted(CLASSES))
def test_tools_say_what_they_are(tools: Tools, tool: str) -> None:
    """Every tool prints its help; most print their version"""
    # One tool looks at its options only when it is given some.
    first = ["--bootstrap-server", tools.bootstrap] if tool == "kafka-e2e-latency" else []
    assert "--help" in tools.run(tool, *first, "--help", fails=None)
    if tool not in NO_VERSION:
        assert re.match(r"\d+\.\d+\.\d+", tools.run(tool, *first, "--version", fails=None)), tool


NO_VERSION = {
    "kafka-cluster",
    "kafka-features",
    "kafka-metadata-quorum",
    "kafka-verifiable-producer",
    "kafka-verifiable-consumer",
    "kafka-producer-perf-test",
}


def test_log_directories_of_a_broker(tools: Tools, settings: str) -> None:
    """kafka-log-dirs asks chosen brokers"""
    topic = tools.topic()
    words = ["--describe", "--broker-list", "1", "--topic-list", topic, "--command-config", settings]
    said = tools.run("kafka-log-dirs", *words)
    assert f'"partition":"{topic}-0"' in said
    said = tools.run("kafka-log-dirs", "--describe", "--broker-list", "1,77", fails=True)
    assert "77" in said


def test_leaders_are_elected(tools: Tools, settings: str, tmp_path: Path) -> None:
    """kafka-leader-election elects leaders of one partition, of those in a file, and of all"""
    topic = tools.topic()
    asked = written(tmp_path, partitions=[{"topic": topic, "partition": 0}])
    elected = f"Valid replica already elected for partitions {topic}-0"
    one = ["--election-type", "preferred", "--topic", topic, "--partition", "0"]
    assert elected in tools.run("kafka-leader-election", *one)
    several = ["--election-type", "unclean", "--path-to-json-file", asked]
    assert elected in tools.run("kafka-leader-election", *several, "--command-config", settings)
    assert elected in tools.run("kafka-leader-election", *several, "--admin.config", settings)
    tools.run("kafka-leader-election", "--election-type", "preferred", "--all-topic-partitions")
    missing = ["--election-type", "preferred", "--topic", unused("topic"), "--partition", "0"]
    assert "UnknownTopicOrPartitionException" in tools.run("kafka-leader-election", *missing, fails=True)


def test_partitions_are_reassigned(tools: Tools, settings: str, tmp_path: Path) -> None:
    """kafka-reassign-partitions plans, executes, verifies, lists and cancels moves to where partitions are"""
    topic = tools.topic()
    asked = written(tmp_path, topics=[{"topic": topic}])
    planning = ["--generate", "--topics-to-move-json-file", asked, "--broker-list", "1", "--disable-rack-aware"]
    said = tools.run("kafka-reassign-partitions", *planning)
    plan = tmp_path / "plan.json"
    plan.write_text(said.split("Proposed partition reassignment configuration")[1])
    here = json.loads(plan.read_text())["partitions"]
    assert here == [{"topic": topic, "partition": 0, "replicas": [1], "log_dirs": ["any"]}]
    that = ["--reassignment-json-file", str(plan)]
    throttled = ["--throttle", "10000000", "--replica-alter-log-dirs-throttle", "1000000", "--timeout", "10000"]
    chosen = ["--additional", "--disallow-replication-factor-change"]
    said = tools.run("kafka-reassign-partitions", "--execute", *that, *throttled, *chosen)
    assert f"Successfully started partition reassignment for {topic}-0" in said
    described = tools.run("kafka-configs", "--describe", "--broker", "1")
    assert "leader.replication.throttled.rate=10000000" in described
    done = f"Reassignment of partition {topic}-0 is completed."
    assert done in tools.run("kafka-reassign-partitions", "--verify", *that, "--preserve-throttles")
    assert done in tools.run("kafka-reassign-partitions", "--verify", *that)
    assert "throttled" not in tools.run("kafka-configs", "--describe", "--broker", "1")
    said = tools.run("kafka-reassign-partitions", "--list", "--command-config", settings)
    assert "No partition reassignments found." in said
    assert "None of the specified" in tools.run("kafka-reassign-partitions", "--cancel", *that)


def test_partitions_stay_in_their_directory(tools: Tools, tmp_path: Path) -> None:
    """kafka-reassign-partitions moves a partition to the directory that it is in, and to no other node"""
    topic = tools.topic()
    said = tools.run("kafka-log-dirs", "--describe", "--topic-list", topic)
    described = json.loads(next(line for line in said.splitlines() if line.startswith("{")))
    here = described["brokers"][0]["logDirs"][0]["logDir"]
    part = {"topic": topic, "partition": 0, "replicas": [1], "log_dirs": [here]}
    plan = ["--reassignment-json-file", written(tmp_path, partitions=[part])]
    said = tools.run("kafka-reassign-partitions", "--execute", *plan)
    assert f"Successfully started moving log directory to {here}" in said
    assert "completed successfully" in tools.run("kafka-reassign-partitions", "--verify", *plan)
    part = {"topic": topic, "partition": 0, "replicas": [1, 2]}
    plan = ["--reassignment-json-file", written(tmp_path, partitions=[part])]
    assert "Unknown broker id 2" in tools.run("kafka-reassign-partitions", "--execute", *plan, fails=True)


def test_the_cluster_is_described(tools: Tools, settings: str) -> None:
    """kafka-cluster and kafka-broker-api-versions print the cluster's id, its brokers and what they serve"""
    assert re.search(r"Cluster ID: [\w-]{22}", tools.run("kafka-cluster", "cluster-id", "--command-config", settings))
    assert "Cluster ID: " in tools.run("kafka-cluster", "cluster-id", "--config", settings)
    for command in ("list-endpoints", "api-versions"):
        for option in ("--config", "--command-config"):
            assert "1" in tools.run("kafka-cluster", command, option, settings)
    assert re.search(r"^1\s.*unfenced\s+broker", tools.run("kafka-cluster", "list-endpoints"), re.MULTILINE)
    assert "unfenced" in tools.run("kafka-cluster", "list-endpoints", "--include-fenced-brokers")
    for said in (
        tools.run("kafka-cluster", "api-versions"),
        tools.run("kafka-broker-api-versions", "--command-config", settings),
    ):
        assert "AlterPartitionReassignments(45): 0 to 1 [usable: 1]" in said
        assert "DescribeQuorum(55): 0 to 2 [usable: 2]" in said


def test_nodes_are_not_unregistered(tools: Tools, settings: str) -> None:
    """kafka-cluster says that it does not know nodes which are not there"""
    for option in ("--config", "--command-config"):
        said = tools.run("kafka-cluster", "unregister", "--id", "77", option, settings, fails=True)
        assert "BrokerIdNotRegisteredException" in said
        said = tools.run("kafka-cluster", "unregister-controller", "--id", "77", option, settings, fails=True)
        assert "ControllerIdNotRegisteredException" in said


def test_features_are_looked_up(tools: Tools, settings: str) -> None:
    """kafka-features maps releases to levels, and tries to disable a feature"""
    assert "Feature: metadata.version" in tools.run("kafka-features", "describe", "--node-id", "1")
    assert "Feature: metadata.version" in tools.run("kafka-features", "--command-config", settings, "describe")
    assert "metadata.version=25" in tools.run("kafka-features", "version-mapping", "--release-version", "4.0")
    said = tools.run("kafka-features", "feature-dependencies", "--feature", "transaction.version=2")
    assert "has no dependencies" in said
    raising = ["upgrade", "--feature", "eligible.leader.replicas.version=1", "--dry-run"]
    assert "can be upgraded to 1" in tools.run("kafka-features", *raising)
    said = tools.run(
        "kafka-features", "disable", "--feature", "eligible.leader.replicas.version", "--unsafe", "--dry-run"
    )
    assert "can be disabled" in said


def test_the_quorum_is_described(tools: Tools, settings: str) -> None:
    """kafka-metadata-quorum shows who leads and how far the voters are"""
    said = tools.run("kafka-metadata-quorum", "describe", "--status")
    assert re.search(r"LeaderId:\s+1\n", said) and re.search(r'CurrentVoters:\s+\[\{"id": 1', said)
    said = tools.run("kafka-metadata-quorum", "--command-config", settings, "describe", "--replication")
    assert re.search(r"^1\s.*\bLeader\b", said, re.MULTILINE)
    said = tools.run("kafka-metadata-quorum", "describe", "--replication", "--human-readable")
    assert "ms ago" in said


def test_the_quorum_is_not_changed(tools: Tools, tmp_path: Path) -> None:
    """kafka-metadata-quorum says why no controller is added or removed, and tries both"""
    voter = ["--controller-id", "77", "--controller-directory-id", DIRECTORY_ID]
    said = tools.run("kafka-metadata-quorum", "remove-controller", *voter, "--dry-run")
    assert "DRY RUN of removing KRaft controller 77" in said
    for words in (voter, [*voter, "--unregister"]):
        said = tools.run("kafka-metadata-quorum", "remove-controller", *words, fails=True)
        assert "voter" in said.lower()
    own = tmp_path / "controller.properties"
    address = "CONTROLLER://127.0.0.1:9"
    own.write_text(
        "process.roles=controller\nnode.id=77\ncontroller.listener.names=CONTROLLER\n"
        f"listeners={address}\nadvertised.listeners={address}\nlog.dirs={tmp_path}\n"
        "controller.quorum.bootstrap.servers=127.0.0.1:9\n"
    )
    identity = f"version=1\nnode.id=77\ndirectory.id={DIRECTORY_ID}\ncluster.id=MkU3OEVBNTcwNTJENDM2Qk\n"
    (tmp_path / "meta.properties").write_text(identity)
    adding = ["--command-config", str(own), "add-controller"]
    assert "DRY RUN of adding controller 77" in tools.run("kafka-metadata-quorum", *adding, "--dry-run")


def test_without_an_authorizer_there_are_no_acls(tools: Tools) -> None:
    """kafka-acls says that security is disabled, whatever it is asked to do"""
    adding = ["--add", "--allow-principal", "User:a", "--operation", "Read", "--topic", "t"]
    for words in (["--list"], adding):
        assert "SecurityDisabledException" in tools.run("kafka-acls", *words, fails=True)
