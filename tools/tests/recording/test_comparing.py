"""What counts as a difference between a recorded reply and the present one, and what does not."""

from __future__ import annotations

from typing import Any

import pytest

from kproto.batches.records import RecordData, build_batch
from kproto.errors import ErrorCode
from kproto.messages.api_versions import ApiVersion, ApiVersionsResponse, FinalizedFeatureKey
from kproto.messages.describe_configs import (
    DescribeConfigsResourceResult,
    DescribeConfigsResponse,
    DescribeConfigsResult,
)
from kproto.messages.fetch import FetchableTopicResponse, FetchResponse, PartitionData
from kproto.messages.find_coordinator import FindCoordinatorResponse
from kproto.messages.heartbeat import HeartbeatResponse
from kproto.messages.join_group import JoinGroupResponse, JoinGroupResponseMember
from kproto.messages.metadata import (
    MetadataRequest,
    MetadataRequestTopic,
    MetadataResponse,
    MetadataResponseBroker,
    MetadataResponseTopic,
)
from kproto.messages.offset_fetch import OffsetFetchResponse
from kproto.messages.produce import PartitionProduceResponse, ProduceResponse, TopicProduceResponse
from tools.recording.bindings import Bindings
from tools.recording.comparing import Compared, Comparison, Used, is_not_ready


def compare(then: Any, now: Any, version: int, used: Used | None = None) -> Compared:
    bindings = Bindings()
    bindings.learn(then, now, "g")
    return Comparison(bindings, used or Used()).compare(then.api_key, version, then, now, "g")


def paths(compared: Compared) -> list[str]:
    return [each.path for each in compared.unexplained]


def produced(**values: Any) -> ProduceResponse:
    partition = PartitionProduceResponse(**values)
    return ProduceResponse(responses=[TopicProduceResponse(name="t", partition_responses=[partition])])


def test_a_code_and_an_offset_count() -> None:
    """And are named by where they are; throttling, sentences and times are not."""
    then, now = produced(base_offset=5), produced(base_offset=6, error_code=10, error_message="too large")
    now.throttle_time_ms = 3
    compared = compare(then, now, 9)
    assert paths(compared) == [
        "responses[t].partition_responses[0].error_code", "responses[t].partition_responses[0].base_offset",
    ]  # fmt: skip
    assert compared.explained == {"words": 1, "in time": 1}


def test_fields_of_other_versions_are_not_looked_at() -> None:
    """They have no value that was said."""
    assert not paths(compare(produced(log_start_offset=1), produced(log_start_offset=2), 4))
    assert paths(compare(produced(log_start_offset=1), produced(log_start_offset=2), 5))


def test_another_cluster_has_other_brokers() -> None:
    """Addresses, ids of nodes, and as many as it has; its topics are the same."""
    brokers = [MetadataResponseBroker(node_id=number, host="b", port=number) for number in (1, 2)]
    used = Used()
    used.note(3, 1, MetadataRequest(topics=[MetadataRequestTopic(name="t")]))
    then = MetadataResponse(brokers=brokers, cluster_id="A", topics=[MetadataResponseTopic(name="t")])
    now = MetadataResponse(brokers=brokers[:1], cluster_id="B", topics=[MetadataResponseTopic(name="t")])
    assert not paths(compare(then, now, 9, used))
    now.topics = []
    assert paths(compare(then, now, 9, used)) == ["topics[t]"]
    assert not paths(compare(then, now, 9, Used())), "no request names it"


def test_ids_count_by_where_they_are_used() -> None:
    """Whatever they are: the member that leads is the one that led."""

    def joined(leader: str, *members: str) -> JoinGroupResponse:
        return JoinGroupResponse(leader=leader, member_id=members[0], members=[
            JoinGroupResponseMember(member_id=member, metadata=b"m") for member in members
        ])  # fmt: skip

    assert not paths(compare(joined("a", "a"), joined("x", "x"), 9))
    bindings = Bindings()
    bindings.bind("member", "a", "x")
    bindings.bind("member", "b", "y")
    found = Comparison(bindings, Used()).compare(11, 9, joined("a", "a", "b"), joined("y", "x", "y"), "g")
    assert paths(found) == ["leader"]
    found = Comparison(bindings, Used()).compare(11, 9, joined("a", "a", "b"), joined("x", "x"), "g")
    assert paths(found) == ["members[b]"]


def test_a_broker_that_was_not_ready_then() -> None:
    """What it answered in the meantime is no measure; the other way round is asked for again."""
    then = FindCoordinatorResponse(error_code=ErrorCode.COORDINATOR_NOT_AVAILABLE, node_id=-1, host="", port=-1)
    now = FindCoordinatorResponse(node_id=1, host="b", port=2)
    assert compare(then, now, 1).explained == {"not ready then": 1}
    assert is_not_ready(now, then)
    assert not is_not_ready(then, now)
    assert not is_not_ready(then, then)
    assert not is_not_ready(HeartbeatResponse(), HeartbeatResponse(error_code=ErrorCode.UNKNOWN_MEMBER_ID))


def test_a_topic_that_was_being_made_has_no_id_yet() -> None:
    """It is the same topic by its name."""
    then = MetadataResponse(topics=[MetadataResponseTopic(name="t", error_code=ErrorCode.UNKNOWN_TOPIC_OR_PARTITION)])
    now = MetadataResponse(topics=[MetadataResponseTopic(name="t", topic_id=bytes([1]) * 16)])
    compared = compare(then, now, 12)
    assert (compared.unexplained, compared.explained) == ([], {"not ready then": 1})


def test_versions_count_where_the_conversation_uses_them() -> None:
    """A broker that lacks one of them is another; whatever else it has or lacks is not."""
    then = ApiVersionsResponse(api_keys=[ApiVersion(api_key=key, max_version=9) for key in (1, 2, 3)])
    now = ApiVersionsResponse(api_keys=[ApiVersion(api_key=1, max_version=5), ApiVersion(api_key=2, max_version=5)])
    used = Used()
    used.note(1, 5, None)
    assert compare(then, now, 3, used).explained == {"not used": 3}
    used.note(2, 6, None)
    used.note(3, 0, None)
    assert paths(compare(then, now, 3, used)) == ["api_keys[2]", "api_keys[3]"]


@pytest.mark.parametrize(("feature", "counts"), [("transaction.version", True), ("share.version", False)])
def test_levels_count_that_clients_follow(feature: str, counts: bool) -> None:
    """Producers take another path at another level of transaction.version."""
    level = FinalizedFeatureKey(name=feature, max_version_level=2, min_version_level=2)
    compared = compare(ApiVersionsResponse(finalized_features=[level]), ApiVersionsResponse(), 3)
    assert bool(compared.unexplained) is counts


def fetched(*offsets: int, value: bytes = b"v", **more: Any) -> FetchResponse:
    """One batch of one record at each offset."""
    records = b""
    for offset in offsets:
        records += offset.to_bytes(8, "big") + bytes(build_batch([RecordData(value=value, timestamp=1)]))[8:]
    partition = PartitionData(records=memoryview(records), **more)
    return FetchResponse(responses=[FetchableTopicResponse(topic="t", partitions=[partition])])


def test_records_at_one_offset_are_equal() -> None:
    """How many a Fetch returns is a matter of time: what is lacking is for the caller to look for."""
    assert not compare(fetched(1, 2), fetched(1, 2, high_watermark=9), 11).missing
    assert paths(compare(fetched(1, 2), fetched(1, value=b"w"), 11)) == ["responses[t].partitions[0].records@1"]
    fewer = compare(fetched(1, 2, 3), fetched(1), 11)
    assert not fewer.unexplained
    [(topic, partition, first, end)] = fewer.missing
    assert (topic.topic, partition, first, end) == ("t", 0, 2, 4)
    [(topic, partition, first, end)] = compare(fetched(1, 2), FetchResponse(), 11).missing
    assert (topic.topic, first, end) == ("t", 1, 3)
    assert compare(fetched(1), fetched(1, 2), 11).explained == {"records": 1}
    assert paths(compare(fetched(), fetched(error_code=1), 11)) == ["responses[t].partitions[0].error_code"]


def test_settings_of_a_broker_are_its_operators() -> None:
    """Those of a topic are part of what was asked."""

    def described(kind: int, value: str) -> DescribeConfigsResponse:
        config = DescribeConfigsResourceResult(name="retention.ms", value=value)
        return DescribeConfigsResponse(
            results=[DescribeConfigsResult(resource_type=kind, resource_name="x", configs=[config])]
        )

    assert not paths(compare(described(4, "1"), described(4, "2"), 4))
    assert paths(compare(described(2, "1"), described(2, "2"), 4)) == ["results[x].configs[retention.ms].value"]


def test_a_list_that_is_null_is_not_an_empty_one() -> None:
    """Nor the other way round."""
    then, now = MetadataResponse(topics=[]), OffsetFetchResponse(groups=[])
    assert not paths(compare(then, then, 1)) and not paths(compare(now, now, 8))
    empty, null = (JoinGroupResponse(protocol_name=name) for name in ("", None))
    assert paths(compare(empty, null, 7)) == ["protocol_name"]
