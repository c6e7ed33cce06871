"""Kafka's command-line tools: what an operator types."""

from __future__ import annotations

import json
import re
import uuid
from pathlib import Path

from compat_tests.clients.kafka_tools.adapter import Tools


def name(kind: str = "topic") -> str:
    """An unused name."""
    return f"command-line-{kind}-{uuid.uuid4().hex[:12]}"


def made(tools: Tools, partitions: int = 1) -> str:
    """A new topic."""
    topic = name()
    tools.run("kafka-topics", "--create", "--topic", topic, "--partitions", str(partitions))
    return topic


def filled(tools: Tools, *lines: str) -> str:
    """A new topic with a record for each line."""
    topic = made(tools)
    tools.run("kafka-console-producer", "--topic", topic, given="".join(f"{line}\n" for line in lines))
    return topic


def test_topics_are_created_listed_and_described(tools: Tools) -> None:
    """kafka-topics creates, lists and describes a topic"""
    topic = name()
    created = tools.run(
        "kafka-topics", "--create", "--topic", topic, "--partitions", "2", "--config", "retention.ms=7200000"
    )
    assert f"Created topic {topic}." in created
    assert topic in tools.run("kafka-topics", "--list").split()
    described = tools.run("kafka-topics", "--describe", "--topic", topic)
    assert re.search(r"PartitionCount: 2\s+ReplicationFactor: 1\s+Configs: .*retention\.ms=7200000", described)
    assert len(re.findall(r"Partition: \d\s+Leader: \d+\s+Replicas: \d+\s+Isr: \d+", described)) == 2


def test_topics_are_altered_and_deleted(tools: Tools) -> None:
    """kafka-topics adds partitions and deletes a topic"""
    topic = made(tools)
    tools.run("kafka-topics", "--alter", "--topic", topic, "--partitions", "3")
    assert "PartitionCount: 3" in tools.run("kafka-topics", "--describe", "--topic", topic)
    tools.run("kafka-topics", "--delete", "--topic", topic)
    assert topic not in tools.run("kafka-topics", "--list").split()


def test_topics_are_refused(tools: Tools) -> None:
    """kafka-topics says why it cannot create or find a topic"""
    topic = made(tools)
    assert "TopicExistsException" in tools.run("kafka-topics", "--create", "--topic", topic, fails=True)
    assert "does not exist" in tools.run("kafka-topics", "--describe", "--topic", name(), fails=True)


def test_the_console_produces_and_consumes(tools: Tools) -> None:
    """kafka-console-consumer prints what kafka-console-producer was given, keys and headers too"""
    topic = made(tools)
    parsing = ["--reader-property", "parse.key=true", "--reader-property", "parse.headers=true"]
    given = "h1:a,h2:b\tkey one\tvalue one\nh3:c\tkey two\tvalue two\n"
    tools.run("kafka-console-producer", "--topic", topic, *parsing, given=given)
    printing = ["--formatter-property", "print.key=true", "--formatter-property", "print.headers=true"]
    reading = ["--from-beginning", "--max-messages", "2", "--timeout-ms", "30000"]
    printed = tools.run("kafka-console-consumer", "--topic", topic, *printing, *reading)
    assert "h1:a,h2:b\tkey one\tvalue one\n" in printed
    assert "h3:c\tkey two\tvalue two\n" in printed


def test_the_console_compresses(tools: Tools) -> None:
    """kafka-console-producer compresses with every codec"""
    topic = made(tools)
    for codec in ("gzip", "snappy", "lz4", "zstd"):
        tools.run("kafka-console-producer", "--topic", topic, "--compression-codec", codec, given=f"by {codec}\n")
    reading = ["--from-beginning", "--max-messages", "4", "--timeout-ms", "30000"]
    printed = tools.run("kafka-console-consumer", "--topic", topic, *reading)
    assert [line for line in printed.splitlines() if line.startswith("by ")] == [
        "by gzip",
        "by snappy",
        "by lz4",
        "by zstd",
    ]


def test_groups_are_listed_described_reset_and_deleted(tools: Tools) -> None:
    """kafka-consumer-groups lists, describes, resets and deletes a group"""
    topic, group = filled(tools, "one", "two", "three"), name("group")
    reading = ["--from-beginning", "--max-messages", "3", "--timeout-ms", "30000"]
    tools.run("kafka-console-consumer", "--topic", topic, "--group", group, *reading)
    assert group in tools.run("kafka-consumer-groups", "--list").split()
    described = tools.run("kafka-consumer-groups", "--describe", "--group", group)
    assert re.search(rf"{group}\s+{topic}\s+0\s+3\s+3\s+0\s", described), described
    state = tools.run("kafka-consumer-groups", "--describe", "--group", group, "--state")
    assert re.search(rf"{group}\s.*Empty\s+0", state), state
    resetting = ["--reset-offsets", "--group", group, "--topic", topic, "--to-offset", "1", "--execute"]
    assert re.search(rf"{group}\s+{topic}\s+0\s+1\s", tools.run("kafka-consumer-groups", *resetting))
    forgetting = ["--delete-offsets", "--group", group, "--topic", topic]
    assert "Successful" in tools.run("kafka-consumer-groups", *forgetting)
    assert "successful" in tools.run("kafka-consumer-groups", "--delete", "--group", group)
    assert group not in tools.run("kafka-consumer-groups", "--list").split()


def test_configs_are_described_and_altered(tools: Tools) -> None:
    """kafka-configs changes a topic's and the broker's settings and shows them"""
    topic = made(tools)
    of_topic = ["--entity-type", "topics", "--entity-name", topic]
    tools.run("kafka-configs", *of_topic, "--alter", "--add-config", "max.message.bytes=5000,retention.ms=7200000")
    described = tools.run("kafka-configs", *of_topic, "--describe")
    assert "max.message.bytes=5000" in described and "retention.ms=7200000" in described
    tools.run("kafka-configs", *of_topic, "--alter", "--delete-config", "retention.ms")
    assert "retention.ms" not in tools.run("kafka-configs", *of_topic, "--describe")
    of_brokers = ["--entity-type", "brokers", "--entity-default"]
    tools.run("kafka-configs", *of_brokers, "--alter", "--add-config", "log.retention.bytes=123456789")
    assert "log.retention.bytes=123456789" in tools.run("kafka-configs", *of_brokers, "--describe")
    tools.run("kafka-configs", *of_brokers, "--alter", "--delete-config", "log.retention.bytes")
    assert "log.retention.bytes" not in tools.run("kafka-configs", *of_brokers, "--describe")


def test_all_configs_are_described(tools: Tools) -> None:
    """kafka-configs shows every setting of a topic, with where its value comes from"""
    of_topic = ["--entity-type", "topics", "--entity-name", made(tools)]
    described = tools.run("kafka-configs", *of_topic, "--describe", "--all")
    assert re.search(r"retention\.ms=604800000 sensitive=false synonyms=\{.*\}", described), described
    assert re.search(r"segment\.bytes=1073741824 .*DEFAULT_CONFIG:log\.segment\.bytes=1073741824", described)


def test_offsets_are_listed(tools: Tools) -> None:
    """kafka-get-offsets prints the first, the next and the largest timestamp's offset"""
    topic = filled(tools, "one", "two", "three")
    for time, offset in (("-1", "3"), ("-2", "0"), ("-3", "[012]")):
        said = tools.run("kafka-get-offsets", "--topic", topic, "--time", time)
        assert re.search(rf"^{topic}:0:{offset}$", said, re.MULTILINE), said


def test_records_are_deleted(tools: Tools, tmp_path: Path) -> None:
    """kafka-delete-records deletes the oldest records"""
    topic = filled(tools, "one", "two", "three")
    asked = tmp_path / "records.json"
    partition = {"topic": topic, "partition": 0, "offset": 2}
    asked.write_text(json.dumps({"version": 1, "partitions": [partition]}))
    said = tools.run("kafka-delete-records", "--offset-json-file", str(asked))
    assert f"partition: {topic}-0\tlow_watermark: 2" in said
    assert f"{topic}:0:2" in tools.run("kafka-get-offsets", "--topic", topic, "--time", "-2")


def test_log_directories_are_described(tools: Tools) -> None:
    """kafka-log-dirs prints the sizes of partitions"""
    topic = filled(tools, "some text")
    said = tools.run("kafka-log-dirs", "--describe", "--topic-list", topic)
    described = json.loads(next(line for line in said.splitlines() if line.startswith("{")))
    (folder,) = described["brokers"][0]["logDirs"]
    assert folder["error"] is None
    assert [(each["partition"], 60 < each["size"] < 100) for each in folder["partitions"]] == [(f"{topic}-0", True)]


def test_api_versions_are_listed(tools: Tools) -> None:
    """kafka-broker-api-versions finds versions that it can use for producing, fetching and groups"""
    said = tools.run("kafka-broker-api-versions")
    for api in ("Produce(0)", "Fetch(1)", "Metadata(3)", "JoinGroup(11)", "CreateTopics(19)"):
        assert re.search(rf"{re.escape(api)}: .*\[usable: \d+\]", said), api


def finalized(tools: Tools) -> dict[str, str]:
    """The features that kafka-features shows, and the level of each."""
    described = tools.run("kafka-features", "describe")
    return dict(re.findall(r"^Feature: (\S+)\s.*FinalizedVersionLevel: (\S+)", described, re.MULTILINE))


def test_features_are_described_lowered_and_raised(tools: Tools) -> None:
    """kafka-features shows the levels of features, lowers and raises one"""
    feature = "eligible.leader.replicas.version"
    before = finalized(tools)
    assert re.fullmatch(r"\d+\.\d+-IV\d+", before["metadata.version"])
    assert before[feature] == "1"
    lowering = ["downgrade", "--feature", f"{feature}=0"]
    assert "can be downgraded to 0" in tools.run("kafka-features", *lowering, "--dry-run")
    assert finalized(tools) == before
    assert f"{feature} was downgraded to 0" in tools.run("kafka-features", *lowering)
    assert finalized(tools) == {**before, feature: "0"}
    assert f"{feature} was upgraded to 1" in tools.run("kafka-features", "upgrade", "--feature", f"{feature}=1")
    assert f"{feature} was disabled" in tools.run("kafka-features", "disable", "--feature", feature)
    again = tools.run("kafka-features", "upgrade", "--metadata", before["metadata.version"])
    assert "metadata.version was upgraded to" in again
    tools.run("kafka-features", "upgrade", "--feature", f"{feature}=1")
    assert finalized(tools) == before


def test_features_are_refused(tools: Tools) -> None:
    """kafka-features says why a feature cannot be lowered or raised, and changes nothing then"""
    before = finalized(tools)
    said = tools.run("kafka-features", "downgrade", "--metadata", "3.7", fails=True)
    assert "it might delete metadata information" in said
    said = tools.run("kafka-features", "downgrade", "--metadata", "3.7", "--unsafe", fails=True)
    assert "Unsafe metadata downgrade is not supported" in said
    both = ["--feature", "eligible.leader.replicas.version=1", "--feature", "metadata.version=99"]
    said = tools.run("kafka-features", "upgrade", *both, fails=True)
    assert "The update failed for all features" in said and "only supports versions 7-" in said
    assert finalized(tools) == before


def test_performance_tools_run(tools: Tools) -> None:
    """kafka-producer-perf-test writes and kafka-consumer-perf-test reads its records"""
    topic = made(tools, 3)
    writing = ["--num-records", "5000", "--record-size", "100", "--throughput", "-1", "--topic", topic]
    assert re.search(r"5000 records sent", tools.run("kafka-producer-perf-test", *writing))
    reading = ["--topic", topic, "--num-records", "5000", "--timeout", "30000"]
    assert re.search(r", 5000,", tools.run("kafka-consumer-perf-test", *reading))


def test_the_verifiable_producer_is_acknowledged(tools: Tools) -> None:
    """kafka-verifiable-producer has all of its records acknowledged"""
    topic = made(tools)
    said = tools.run("kafka-verifiable-producer", "--topic", topic, "--max-messages", "200", "--acks", "-1")
    summary = json.loads(next(line for line in said.splitlines() if "tool_data" in line))
    assert (summary["sent"], summary["acked"]) == (200, 200)
