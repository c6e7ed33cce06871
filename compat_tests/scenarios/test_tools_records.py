"""Kafka's command-line tools, option by option: records written, read, counted, deleted, measured."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from compat_tests.clients.kafka_tools.adapter import Tools, unused

ALL = ["--from-beginning", "--timeout-ms", "30000"]
"""How a console reads from the beginning, for as long as it may take."""


@pytest.fixture
def settings(tmp_path: Path) -> str:
    """A file with settings of a client."""
    file = tmp_path / "client.properties"
    file.write_text("client.id=tools\n")
    return str(file)


def everything(tools: Tools, topic: str, count: int) -> list[str]:
    """So many records of a topic, as the console prints them, key and value."""
    printing = ["--formatter-property", "print.key=true", "--formatter-property", "key.separator=~"]
    said = tools.run("kafka-console-consumer", "--topic", topic, "--max-messages", str(count), *printing, *ALL)
    return [line for line in said.splitlines() if "~" in line]


def test_the_console_produces_as_it_is_told(tools: Tools, settings: str, tmp_path: Path) -> None:
    """kafka-console-producer takes its limits, times and settings from options and files"""
    topic, reader = tools.topic(), tmp_path / "reader.properties"
    reader.write_text("parse.key=true\nkey.separator=:\n")
    limits = ["--batch-size", "100", "--max-memory-bytes", "1000000", "--socket-buffer-size", "10000"]
    times = ["--max-block-ms", "30000", "--request-timeout-ms", "20000", "--retry-backoff-ms", "10", "--timeout", "5"]
    others = ["--message-send-max-retries", "2", "--metadata-expiry-ms", "1000", "--request-required-acks", "1"]
    files = ["--command-config", settings, "--command-property", "linger.ms=0", "--reader-config", str(reader)]
    words = [*limits, *times, *others, *files, "--line-reader", "org.apache.kafka.tools.LineMessageReader", "--sync"]
    tools.run("kafka-console-producer", "--topic", topic, *words, given="k1:v1\nk2:v2\n")
    older = ["--producer-property", "linger.ms=0", "--max-partition-memory-bytes", "1000"]
    older += ["--property", "parse.key=true", "--property", "key.separator=:"]
    tools.run("kafka-console-producer", "--topic", topic, *older, given="k3:v3\n")
    tools.run("kafka-console-producer", "--topic", topic, "--producer.config", settings, given="v4\n")
    assert everything(tools, topic, 4) == ["k1~v1", "k2~v2", "k3~v3", "null~v4"]


def test_the_console_consumes_as_it_is_told(tools: Tools, settings: str, tmp_path: Path) -> None:
    """kafka-console-consumer reads from an offset, matching topics, committed records, with chosen deserializers"""
    topic, form = tools.topic(1, "one", "two", "three"), tmp_path / "form.properties"
    form.write_text("print.offset=true\n")
    patient = ["--timeout-ms", "30000", "--max-messages", "1"]
    at_two = ["--topic", topic, "--partition", "0", "--offset", "2"]
    said = tools.run("kafka-console-consumer", *at_two, *patient, "--formatter-config", str(form))
    assert "Offset:2\tthree" in said.splitlines()
    said = tools.run("kafka-console-consumer", *at_two, *patient, "--property", "print.partition=true")
    assert "Partition:0\tthree" in said.splitlines()
    plain = ["--formatter", "org.apache.kafka.tools.consumer.DefaultMessageFormatter"]
    chosen = ["--isolation-level", "read_committed", "--enable-systest-events", "--skip-message-on-error"]
    told = ["--command-config", settings, "--command-property", "fetch.min.bytes=1"]
    said = tools.run(
        "kafka-console-consumer", "--include", f"{topic}.*", *ALL, "--max-messages", "3", *plain, *chosen, *told
    )
    assert [line for line in said.splitlines() if line in ("one", "two", "three")] == ["one", "two", "three"]
    assert "shutdown_complete" in said
    texts = "org.apache.kafka.common.serialization.StringDeserializer"
    older = ["--consumer-property", "fetch.min.bytes=1", "--consumer.config", settings]
    group = ["--group", unused("group"), "--key-deserializer", texts, "--value-deserializer", texts]
    said = tools.run("kafka-console-consumer", "--topic", topic, *ALL, "--max-messages", "1", *group)
    assert "one" in said.splitlines()
    for words in (older[:2], older[2:]):
        said = tools.run("kafka-console-consumer", "--topic", topic, *ALL, "--max-messages", "1", *words)
        assert "one" in said.splitlines()


def test_offsets_of_many_topics(tools: Tools, settings: str) -> None:
    """kafka-get-offsets counts chosen partitions of chosen topics, at any point in time"""
    topic = tools.topic(2)
    tools.run("kafka-console-producer", "--topic", topic, given="one\ntwo\n")
    said = tools.run("kafka-get-offsets", "--topic", topic, "--partitions", "0,1")
    assert sum(int(offset) for offset in re.findall(rf"^{topic}:\d:(\d)$", said, re.MULTILINE)) == 2
    for time in ("earliest", "-4"):
        said = tools.run("kafka-get-offsets", "--topic-partitions", f"{topic}:0-1", "--time", time)
        assert said.split() == [f"{topic}:0:0"]
    said = tools.run("kafka-get-offsets", "--exclude-internal-topics", "--command-config", settings)
    assert f"{topic}:0:" in said and "__consumer_offsets" not in said


def test_records_are_deleted_with_settings(tools: Tools, settings: str, tmp_path: Path) -> None:
    """kafka-delete-records deletes up to the end of a partition, and says which partition is not there"""
    topic, asked = tools.topic(1, "one", "two"), tmp_path / "records.json"
    asked.write_text(json.dumps({"version": 1, "partitions": [{"topic": topic, "partition": 0, "offset": -1}]}))
    words = ["--offset-json-file", str(asked), "--command-config", settings]
    assert f"partition: {topic}-0\tlow_watermark: 2" in tools.run("kafka-delete-records", *words)
    assert tools.run("kafka-get-offsets", "--topic", topic, "--time", "earliest").split() == [f"{topic}:0:2"]


def test_producing_is_measured(tools: Tools, settings: str, tmp_path: Path) -> None:
    """kafka-producer-perf-test writes records of every kind, in transactions too"""
    topic, payloads = tools.topic(), tmp_path / "payloads.txt"
    payloads.write_text("first\nsecond\n")
    to = ["--topic", topic, "--throughput", "-1", "--num-records", "100"]
    keys = ["--record-key-range", "10", "--key-distribution", "random", "--random-seed", "3"]
    told = ["--command-config", settings, "--command-property", "linger.ms=0", "--print-metrics"]
    said = tools.run(
        "kafka-producer-perf-test", *to, "--record-size", "50", *keys, *told, "--warmup-records", "10",
        "--reporting-interval", "1000",
    )  # fmt: skip
    assert re.search(r"\d+ records sent", said) and "producer-metrics" in said
    older = ["--producer-props", "acks=1", "--producer.config", settings]
    said = tools.run(
        "kafka-producer-perf-test", *to, "--payload-file", str(payloads), "--payload-delimiter", "\\n", *older
    )
    assert "100 records sent" in said
    several = ["--transactional-id", unused("transaction"), "--transaction-duration-ms", "50"]
    assert "100 records sent" in tools.run("kafka-producer-perf-test", *to, "--payload-monotonic", *several)


def test_consuming_is_measured(tools: Tools, settings: str) -> None:
    """kafka-consumer-perf-test reads as many records as it is told to, from chosen topics"""
    topic = tools.topic(1, *(f"line {number}" for number in range(100)))
    limits = ["--fetch-size", "1000", "--socket-buffer-size", "10000", "--timeout", "30000"]
    shown = ["--hide-header", "--show-detailed-stats", "--reporting-interval", "1", "--date-format", "yyyy"]
    told = ["--group", unused("group"), "--command-config", settings, "--command-property", "fetch.min.bytes=1"]
    said = tools.run(
        "kafka-consumer-perf-test", "--topic", topic, "--num-records", "100", *limits, *shown, *told, "--print-metrics"
    )
    assert "records-consumed-total" in said
    older = ["--messages", "100", "--consumer.config", settings]
    said = tools.run("kafka-consumer-perf-test", "--include", f"{topic}.*", *older, "--timeout", "30000")
    assert re.search(r", 100,", said)
    late = ["--from-latest", "--num-records", "1", "--timeout", "1000"]
    assert re.search(r", 0,", tools.run("kafka-consumer-perf-test", "--topic", topic, *late))


def test_the_way_there_and_back_is_measured(tools: Tools, settings: str) -> None:
    """kafka-e2e-latency measures records from producer to consumer, with keys and headers"""
    topic = tools.topic()
    words = ["--bootstrap-server", tools.bootstrap, "--topic", topic, "--num-records", "50", "--producer-acks", "all"]
    shape = ["--record-size", "50", "--record-key-size", "10"]
    shape += ["--num-headers", "2", "--record-header-key-size", "5", "--record-header-size", "5"]
    said = tools.run("kafka-e2e-latency", *words, *shape, "--command-config", settings)
    assert "Avg latency:" in said and "Percentiles:" in said


def test_the_verifiable_producer_takes_options(tools: Tools, settings: str) -> None:
    """kafka-verifiable-producer writes keys, values and times as it is told"""
    topic = tools.topic()
    words = ["--topic", topic, "--max-messages", "20", "--throughput", "-1", "--acks", "1", "--value-prefix", "7"]
    words += ["--message-create-time", "1700000000000", "--repeating-keys", "5", "--command-config", settings]
    said = [json.loads(line) for line in tools.run("kafka-verifiable-producer", *words).splitlines() if line[:1] == "{"]
    sent = [each for each in said if each["name"] == "producer_send_success"]
    older = ["--topic", topic, "--max-messages", "1", "--producer.config", settings]
    assert "producer_send_success" in tools.run("kafka-verifiable-producer", *older)
    assert [(each["key"], each["value"]) for each in sent[:6]] == [(str(n % 5), f"7.{n}") for n in range(6)]


def test_the_verifiable_consumer_consumes(tools: Tools, settings: str) -> None:
    """kafka-verifiable-consumer reads in a group of either protocol and prints what it has read"""
    topic = tools.topic(1, "one", "two", "three")
    common = ["--topic", topic, "--max-messages", "3", "--verbose", "--enable-autocommit", "--close-timeout", "5000"]
    common += ["--reset-policy", "earliest"]
    robin = "org.apache.kafka.clients.consumer.RoundRobinAssignor"
    classic = ["--group-protocol", "classic", "--session-timeout", "10000", "--assignment-strategy", robin]
    classic += ["--group-instance-id", "instance", "--command-config", settings]
    newer = ["--group-protocol", "consumer", "--group-remote-assignor", "uniform", "--consumer.config", settings]
    for words in (classic, newer):
        said = tools.run("kafka-verifiable-consumer", *common, "--group-id", unused("group"), *words)
        lines = [json.loads(line) for line in said.splitlines() if line[:1] == "{"]
        assert [each["value"] for each in lines if each["name"] == "record_data"] == ["one", "two", "three"]


def folder_of(tools: Tools, topic: str) -> Path:
    """The directory of a topic's first partition."""
    said = tools.run("kafka-log-dirs", "--describe", "--topic-list", topic)
    described = json.loads(next(line for line in said.splitlines() if line.startswith("{")))
    return Path(described["brokers"][0]["logDirs"][0]["logDir"]) / f"{topic}-0"


def test_files_are_dumped(tools: Tools) -> None:
    """kafka-dump-log prints segments and indexes that the broker has written"""
    topic = tools.topic(1, *(f"line {number}" for number in range(20)), segment_bytes="1048576")
    many = ["--num-records", "3000", "--record-size", "1000", "--throughput", "-1"]
    tools.run("kafka-producer-perf-test", "--topic", topic, *many)
    folder = folder_of(tools, topic)
    if not folder.is_dir():
        pytest.skip("the broker's files are not on this machine")
    segment = folder / "00000000000000000000.log"
    limits = ["--max-bytes", "100000", "--max-message-size", "100000", "--deep-iteration", "--skip-record-metadata"]
    said = tools.run("kafka-dump-log", "--files", str(segment), "--print-data-log", *limits)
    assert "payload: line 0" in said
    text = "org.apache.kafka.tools.api.StringDecoder"
    decoders = ["--key-decoder-class", text, "--value-decoder-class", text]
    assert "payload: line 19" in tools.run("kafka-dump-log", "--files", str(segment), "--print-data-log", *decoders)
    rolled = next(file for file in sorted(folder.glob("*.index")) if file.stat().st_size)
    index = ["--files", str(rolled)]
    assert "passed sanity check" in tools.run("kafka-dump-log", *index, "--index-sanity-check")
    assert "Mismatches" not in tools.run("kafka-dump-log", *index, "--verify-index-only")


def test_files_of_coordinators_are_dumped(tools: Tools) -> None:
    """kafka-dump-log decodes the logs of the cluster, of groups and of transactions"""
    topic, group = tools.topic(1, "one"), unused("group")
    tools.run("kafka-console-consumer", "--topic", topic, "--group", group, *ALL, "--max-messages", "1")
    transactional = ["--transactional-id", unused("transaction"), "--transaction-duration-ms", "50"]
    to = ["--topic", topic, "--throughput", "-1", "--num-records", "1", "--record-size", "10"]
    tools.run("kafka-producer-perf-test", *to, *transactional)
    data = folder_of(tools, topic).parent
    if not data.is_dir():
        pytest.skip("the broker's files are not on this machine")

    def dumped(pattern: str, decoder: str) -> str:
        files = [str(file) for file in sorted(data.glob(f"{pattern}/*.log")) if file.stat().st_size]
        return tools.run("kafka-dump-log", "--files", ",".join(files), decoder)

    assert f'"name":"{topic}"' in dumped("__cluster_metadata-0", "--cluster-metadata-decoder")
    assert f'"group":"{group}"' in dumped("__consumer_offsets-*", "--offsets-decoder")
    assert transactional[1] in dumped("__transaction_state-*", "--transaction-log-decoder")
