"""The cluster's own log, cut by either broker: topics, settings and what only Kafka has use for outlive all of it.

Kafka is set to make snapshots often and to keep little, and filled until it has cut the beginning off its metadata log
(it looks once a minute). Ottla starts on that, makes topics until it has cut the log in its turn, is killed, and Kafka
starts on what is left. Topics, ids, partitions, settings, quotas and credentials have to be as before, every time, and
`check-log` must find nothing wrong.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

from kproto.messages.alter_client_quotas import AlterClientQuotasRequest, EntityData, OpData, RequestEntryData
from kproto.messages.alter_user_scram_credentials import AlterUserScramCredentialsRequest, ScramCredentialUpsertion
from kproto.messages.create_topics import CreatableTopic, CreatableTopicConfig, CreateTopicsRequest
from kproto.messages.delete_topics import DeleteTopicsRequest, DeleteTopicState
from kproto.messages.describe_client_quotas import DescribeClientQuotasRequest
from kproto.messages.describe_configs import DescribeConfigsRequest, DescribeConfigsResource
from kproto.messages.describe_user_scram_credentials import DescribeUserScramCredentialsRequest
from kproto.messages.metadata import MetadataRequest
from tools.log_check.directory import DirectoryCheck
from tools.log_files.names import METADATA_TOPIC
from tools.trials.brokers import kafka as run_kafka
from tools.trials.brokers import ottla as run_ottla
from tools.trials.kafka_exchange.brokers import OFTEN, Site
from tools.trials.wire.client import WireClient

SETTINGS: Final = (
    "metadata.log.max.record.bytes.between.snapshots=2000",
    "metadata.max.retention.bytes=4000",
    "metadata.log.segment.ms=2000",
)
WAIT_SECONDS: Final = 150.0
TOPIC_RESOURCE: Final = 2


def run(kafka_command: str, folder: Path, say: Callable[[str], None]) -> list[str]:
    """All steps; returns what did not hold, a sentence each. Raises BrokerFailed, OSError, TimeoutError."""
    wrong: list[str] = []

    def hold(how: str, found: Iterator[str]) -> None:
        sentences = list(found)
        say(f"{how}: {'as before' if not sentences else 'NOT as before'}")
        wrong.extend(f"{how}: {sentence}" for sentence in sentences)

    kafka = run_kafka(kafka_command, OFTEN, *SETTINGS)
    ottla = run_ottla(*SETTINGS)
    theirs = Site(kafka, folder / "kafka-cuts-its-cluster-log")
    theirs.prepare()
    with theirs.running() as port, WireClient(port) as client:
        _fill(client, "kafkas")
        _fill_security(client)
        _wait_until_cut(theirs.data, 0, lambda: None)
        topics, security = _topics(client), _security(client)
    say(f"Kafka has cut its cluster log at offset {_first_offset(theirs.data)}, {len(topics)} topics")
    hold("the directory that Kafka cut, by check-log", _unsound(theirs.data))

    ours = Site(ottla, folder / "ottla-serves-a-cut-cluster-log")
    ours.prepare()
    ours.put(theirs.data)
    began = _first_offset(ours.data)
    with ours.running(kill=True) as port, WireClient(port) as client:
        hold("Kafka's cluster under Ottla", _different(topics, _topics(client)))
        _wait_until_cut(ours.data, began, lambda: _fill(client, f"ottlas-{time.monotonic_ns()}"))
        topics = _topics(client)
    say(f"Ottla has cut the cluster log at offset {_first_offset(ours.data)}, {len(topics)} topics")
    hold("the directory that Ottla cut, by check-log", _unsound(ours.data))
    with ours.running() as port, WireClient(port) as client:
        hold("the same under Ottla after a kill", _different(topics, _topics(client)))

    theirs.put(ours.data)
    with theirs.running() as port, WireClient(port) as client:
        hold("the cluster that Ottla cut, under Kafka", _different(topics, _topics(client)))
        hold("what only Kafka has use for", _different(security, _security(client)))
    hold("what Kafka has left of it, by check-log", _unsound(theirs.data))
    return wrong


def _fill(client: WireClient, name: str) -> None:
    """Some topics, half of which go again."""
    for number in range(6):
        config = CreatableTopicConfig(name="retention.ms", value=str(1_000_000 + number))
        topic = CreatableTopic(
            name=f"{name}.{number}", num_partitions=1 + number, replication_factor=1, configs=[config]
        )
        reply = client.call(CreateTopicsRequest(topics=[topic], timeout_ms=30_000), 5)
        assert reply.topics[0].error_code == 0, reply
        if number % 2:
            client.call(DeleteTopicsRequest(topics=[DeleteTopicState(name=topic.name)], timeout_ms=30_000), 6)


def _fill_security(client: WireClient) -> None:
    user = EntityData(entity_type="user", entity_name=None)
    quota = RequestEntryData(entity=[user], ops=[OpData(key="producer_byte_rate", value=12345.0)])
    client.call(AlterClientQuotasRequest(entries=[quota]), 1)
    credential = ScramCredentialUpsertion(
        name="alice", mechanism=1, iterations=4096, salt=b"salt", salted_password=bytes(32)
    )
    client.call(AlterUserScramCredentialsRequest(upsertions=[credential]), 0)


def _topics(client: WireClient) -> dict[str, Any]:
    """Every topic's id, partitions and settings of its own."""
    found = {}
    for topic in client.call(MetadataRequest(topics=None), 12).topics:
        asked = DescribeConfigsResource(
            resource_type=TOPIC_RESOURCE, resource_name=topic.name, configuration_keys=["retention.ms"]
        )
        [answer] = client.call(DescribeConfigsRequest(resources=[asked]), 4).results
        found[topic.name] = topic.topic_id.hex(), len(topic.partitions), answer.configs[0].value
    return found


def _security(client: WireClient) -> dict[str, Any]:
    quotas = client.call(DescribeClientQuotasRequest(components=[], strict=False), 1)
    credentials = client.call(DescribeUserScramCredentialsRequest(users=None), 0)
    return {"quotas": quotas.entries, "credentials": credentials.results}


def _different(before: dict[str, Any], after: dict[str, Any]) -> Iterator[str]:
    for name in sorted(before.keys() | after.keys()):
        if before.get(name) != after.get(name):
            yield f"{name} was {before.get(name)} and is {after.get(name)}"


def _unsound(data: Path) -> Iterator[str]:
    for found in DirectoryCheck(data, records=True).findings():
        if not found.note:
            yield f"{found.path}: {found.sentence}"


def _first_offset(data: Path) -> int:
    """Where the first segment of the cluster log begins."""
    return min(int(path.name[:20]) for path in (data / f"{METADATA_TOPIC}-0").glob("*.log"))


def _wait_until_cut(data: Path, begin: int, meanwhile: Callable[[], None]) -> None:
    """Until the first segments are gone. Raises TimeoutError."""
    deadline = time.monotonic() + WAIT_SECONDS
    while _first_offset(data) <= begin:
        if time.monotonic() > deadline:
            raise TimeoutError(f"{data}: the cluster log was not cut within {WAIT_SECONDS:g} s")
        meanwhile()
        time.sleep(1.0)
