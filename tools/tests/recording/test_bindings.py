"""Ids of then stand for ids of now: learnt from pairs of replies, put into later requests."""

from __future__ import annotations

import pytest

from kproto.batches.header import compute_crc, read_header
from kproto.batches.records import RecordData, build_batch
from kproto.messages.add_partitions_to_txn import AddPartitionsToTxnRequest
from kproto.messages.fetch import FetchRequest, FetchResponse, FetchTopic
from kproto.messages.heartbeat import HeartbeatRequest
from kproto.messages.init_producer_id import InitProducerIdResponse
from kproto.messages.join_group import JoinGroupResponse, JoinGroupResponseMember
from kproto.messages.metadata import MetadataResponse, MetadataResponseTopic
from kproto.messages.produce import PartitionProduceData, ProduceRequest, TopicProduceData
from kproto.messages.sync_group import SyncGroupRequest, SyncGroupRequestAssignment
from tools.recording.bindings import Bindings, paired


def test_members_and_generations_are_those_of_their_group() -> None:
    """A generation of one group says nothing about another's."""
    bindings = Bindings()
    then = JoinGroupResponse(
        generation_id=7, leader="a", member_id="a", members=[JoinGroupResponseMember(member_id="a")]
    )
    now = JoinGroupResponse(
        generation_id=1, leader="b", member_id="b", members=[JoinGroupResponseMember(member_id="b")]
    )
    bindings.learn(then, now, "g")
    sync = SyncGroupRequest(
        group_id="g", generation_id=7, member_id="a", assignments=[SyncGroupRequestAssignment(member_id="a")]
    )
    bindings.substitute(sync)
    assert (sync.generation_id, sync.member_id, sync.assignments[0].member_id) == (1, "b", "b")
    other = HeartbeatRequest(group_id="h", generation_id=7, member_id="a")
    bindings.substitute(other)
    assert (other.generation_id, other.member_id) == (7, "b")


def test_members_are_listed_in_any_order() -> None:
    """One that is known stays who it is; others belong together by what they have said, and then by their place."""
    bindings = Bindings()

    def joined(own: str, *members: tuple[str, bytes]) -> JoinGroupResponse:
        listed = [JoinGroupResponseMember(member_id=member, metadata=said) for member, said in members]
        return JoinGroupResponse(generation_id=1, leader=own, member_id=own, members=listed)

    then = joined("a", ("a", b"1"), ("b", b"2"), ("c", b"1"), ("d", b"1"))
    now = joined("x", ("z", b"1"), ("y", b"2"), ("x", b"1"), ("w", b"1"))
    bindings.learn(then, now, "g")
    assert [bindings.now("member", each) for each in "abcd"] == ["x", "y", "z", "w"]
    bindings.learn(joined("c", ("b", b"2"), ("c", b"1")), joined("z", ("z", b"1"), ("y", b"2")), "g")
    assert [bindings.now("member", each) for each in "abcd"] == ["x", "y", "z", "w"]


def test_ids_of_topics_and_sessions_are_replaced() -> None:
    """The topics of two replies belong together by their names."""
    bindings = Bindings()

    def topic(name: str, id_: int) -> MetadataResponseTopic:
        return MetadataResponseTopic(name=name, topic_id=bytes([id_]) * 16)

    bindings.learn(
        MetadataResponse(topics=[topic("a", 1), topic("b", 2)]), MetadataResponse(topics=[topic("b", 4), topic("a", 3)])
    )
    bindings.learn(FetchResponse(session_id=5), FetchResponse(session_id=6))
    fetch = FetchRequest(
        session_id=5, topics=[FetchTopic(topic_id=bytes([2]) * 16), FetchTopic(topic_id=bytes([9]) * 16)]
    )
    bindings.substitute(fetch)
    assert fetch.session_id == 6
    assert [each.topic_id for each in fetch.topics] == [bytes([4]) * 16, bytes([9]) * 16]


def test_what_means_nothing_stays() -> None:
    """-1, no name, no id: whatever was seen beside them."""
    bindings = Bindings()
    bindings.learn(
        JoinGroupResponse(generation_id=-1, leader="", member_id=""), JoinGroupResponse(generation_id=3), "g"
    )
    beat = HeartbeatRequest(group_id="g", generation_id=-1, member_id="")
    bindings.substitute(beat)
    assert (beat.generation_id, beat.member_id) == (-1, "")


@pytest.mark.parametrize("then_id", [0, 41])
def test_a_batch_gets_the_producer_of_now(then_id: int) -> None:
    """In its header, with the checksum made again; its records and the batches beside it stay."""
    bindings = Bindings()
    bindings.learn(
        InitProducerIdResponse(producer_id=then_id, producer_epoch=2),
        InitProducerIdResponse(producer_id=77, producer_epoch=5),
    )
    record = RecordData(key=b"k", value=b"v", timestamp=1)
    plain = bytes(build_batch([record]))
    idempotent = bytes(build_batch([record], producer_id=then_id, producer_epoch=3, base_sequence=9))
    data = PartitionProduceData(records=memoryview(plain + idempotent))
    bindings.substitute(ProduceRequest(topic_data=[TopicProduceData(name="t", partition_data=[data])]))
    assert data.records is not None
    changed = bytes(data.records)
    assert changed[: len(plain)] == plain
    header = read_header(changed, len(plain))
    assert (header.producer_id, header.producer_epoch, header.base_sequence) == (77, 6, 9)
    assert header.crc == compute_crc(changed, len(plain), header.size)
    assert changed[len(plain) + 61 :] == idempotent[61:]


def test_old_versions_of_a_request_have_other_fields_for_it() -> None:
    """AddPartitionsToTxn up to v3."""
    bindings = Bindings()
    bindings.learn(
        InitProducerIdResponse(producer_id=43, producer_epoch=0),
        InitProducerIdResponse(producer_id=1, producer_epoch=4),
    )
    request = AddPartitionsToTxnRequest(v3_and_below_producer_id=43, v3_and_below_producer_epoch=1)
    bindings.substitute(request)
    assert (request.v3_and_below_producer_id, request.v3_and_below_producer_epoch) == (1, 5)


def test_elements_are_paired_by_what_tells_them_apart() -> None:
    """Else by their place; one without another is beside None."""

    def topics(*names: str) -> list[MetadataResponseTopic]:
        return [MetadataResponseTopic(name=name) for name in names]

    found = [(one and one.name, other and other.name) for one, other in paired(topics("a", "b"), topics("c", "b"))]
    assert found == [("a", None), ("b", "b"), (None, "c")]
    assert paired([1, 2], [3]) == [(1, 3), (2, None)]
