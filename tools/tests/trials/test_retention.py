"""Retention in a running broker: also logs that were not used since the start expire."""

from __future__ import annotations

import threading
from pathlib import Path

import ottla
from kproto.batches.records import RecordData, build_batch
from kproto.messages.create_topics import CreatableTopic, CreatableTopicConfig, CreateTopicsRequest
from kproto.messages.list_offsets import ListOffsetsPartition, ListOffsetsRequest, ListOffsetsTopic
from kproto.messages.produce import PartitionProduceData, ProduceRequest, TopicProduceData
from tools.trials.wire.client import WireClient

DEADLINE_SECONDS = 30.0
LONG_AGO = 1_000_000_000_000


def earliest(client: WireClient) -> int:
    asked = ListOffsetsTopic(name="old", partitions=[ListOffsetsPartition(partition_index=0, timestamp=-2)])
    offset: int = client.call(ListOffsetsRequest(replica_id=-1, topics=[asked]), 6).topics[0].partitions[0].offset
    return offset


def test_an_unused_log_expires(tmp_path: Path) -> None:
    """retention.ms counts from the newest record, `log.retention.check.interval.ms` says how often that is checked."""
    config = {"log.retention.check.interval.ms": "100"}
    with ottla.Broker(data=tmp_path) as broker, WireClient(broker.port) as client:
        topic = CreatableTopic(
            name="old",
            num_partitions=1,
            replication_factor=1,
            configs=[CreatableTopicConfig(name="retention.ms", value="1000")],
        )
        client.call(CreateTopicsRequest(topics=[topic]), 5)
        records = build_batch([RecordData(0, LONG_AGO, None, b"v", ())])
        data = PartitionProduceData(index=0, records=records)
        reply = client.call(ProduceRequest(acks=1, topic_data=[TopicProduceData(name="old", partition_data=[data])]), 9)
        assert reply.responses[0].partition_responses[0].error_code == 0
        assert earliest(client) == 0
    segment = tmp_path / "old-0" / f"{0:020}.log"
    assert segment.exists()
    with ottla.Broker(data=tmp_path, config=config) as broker:
        pause = threading.Event()
        for _ in range(int(DEADLINE_SECONDS / 0.05)):
            if not segment.exists():
                break
            pause.wait(0.05)
        assert not segment.exists()
        with WireClient(broker.port) as client:
            assert earliest(client) == 1
