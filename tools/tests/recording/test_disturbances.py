"""Faults of the proxy: the words, the requests that suffer, and how often."""

from __future__ import annotations

import pytest

from broker.control.faults import Effect, Kind
from kproto.errors import ErrorCode
from kproto.headers import RequestHead
from kproto.messages.find_coordinator import FindCoordinatorRequest
from kproto.messages.heartbeat import HeartbeatRequest
from kproto.messages.metadata import MetadataResponse, MetadataResponseTopic
from kproto.messages.produce import PartitionProduceData, ProduceRequest, TopicProduceData
from kproto.schema.declare import Request
from tools.failures import Misunderstood
from tools.recording.conversation import Asked
from tools.recording.disturbances import Disturbance, Disturbances, parse

TOPIC_ID = bytes(15) + b"\x07"
BEAT = HeartbeatRequest(group_id="g", member_id="m")
WRITE = ProduceRequest(acks=1, transactional_id="x", topic_data=[TopicProduceData(name="t", partition_data=[])])


def asked(message: Request, client: str = "c") -> Asked:
    return Asked(1, RequestHead(message.api_key, 3, 1, client, 0), message)


def suffers(disturbance: Disturbance, request: Asked) -> bool:
    return Disturbances([disturbance]).suffered(request) is not None


def written(*, topic_id: bytes, partition: int) -> ProduceRequest:
    data = PartitionProduceData(index=partition, records=None)
    return ProduceRequest(acks=1, topic_data=[TopicProduceData(topic_id=topic_id, partition_data=[data])])


@pytest.mark.parametrize(
    ("words", "message", "expected"),
    [
        ("drop", BEAT, True),
        ("drop api=Heartbeat", BEAT, True),
        ("drop api=heartbeat", WRITE, False),
        ("drop client_id=c", BEAT, True),
        ("drop client_id=other", BEAT, False),
        ("drop group=g", BEAT, True),
        ("drop group=other", BEAT, False),
        ("drop group=g", FindCoordinatorRequest(key="g"), True),
        ("drop group=g", FindCoordinatorRequest(coordinator_keys=["f", "g"]), True),
        ("drop topic=t", WRITE, True),
        ("drop topic=t api=Produce transactional_id=x", WRITE, True),
        ("drop topic=t transactional_id=y", WRITE, False),
        ("drop topic=t", BEAT, False),
        ("error=NOT_COORDINATOR", BEAT, True),
    ],
)
def test_a_request_suffers_if_it_fits_all_words(words: str, message: Request, expected: bool) -> None:
    """API, client, and what the request names."""
    assert suffers(parse(words), asked(message)) is expected


def test_an_error_needs_a_request_that_can_be_answered() -> None:
    """One that could not be decoded is let through; a token of SASL suffers nothing."""
    unknown = Asked(1, RequestHead(500, 0, 1, "c", 0), None, "unknown")
    assert not suffers(parse("error=NOT_COORDINATOR"), unknown)
    assert suffers(parse("drop"), unknown)
    assert not suffers(parse("drop"), Asked(1, None))


def test_the_nth_and_so_many() -> None:
    """`skip` and `times` count requests that fit, and no others."""
    third = parse("drop api=Heartbeat skip=2 times=2")
    suffered = [suffers(third, asked(each)) for each in (BEAT, WRITE, BEAT, BEAT, WRITE, BEAT, BEAT)]
    assert suffered == [False, False, False, True, False, True, False]
    assert third.fault.injected == 2


def test_a_share_is_determined_by_its_seed() -> None:
    """The same seed, the same requests; about as many as asked for."""

    def run(seed: int) -> list[bool]:
        some = parse(f"delay seconds=1 share=0.25 seed={seed}")
        return [suffers(some, asked(BEAT)) for _ in range(400)]

    assert run(1) == run(1) != run(2)
    assert 60 < sum(run(1)) < 140


def test_the_first_fault_that_fits_counts() -> None:
    """In the order in which they were given."""
    faults = Disturbances([parse("drop times=1"), parse("lose_reply")])
    found = [faults.suffered(asked(BEAT)) for _ in range(2)]
    assert [each and each.fault.effect.kind for each in found] == [Kind.DROP, Kind.LOSE_REPLY]


def test_words_become_a_fault() -> None:
    """All of them."""
    fault = parse("error=NOT_LEADER_OR_FOLLOWER after=true api=Fetch").fault
    assert fault.effect == Effect(Kind.ERROR, ErrorCode.NOT_LEADER_OR_FOLLOWER, after=True)
    assert fault.target.api == 1
    assert parse("throttle seconds=0.5").fault.effect.seconds == 0.5


def test_a_topic_is_found_by_the_id_that_a_reply_has_named() -> None:
    """New clients write to topics by their ids, and ask for the ids by name before."""
    faults = Disturbances([parse("drop topic=t partition=1")])
    by_id = Asked(1, RequestHead(0, 13, 1, "c", 0), written(topic_id=TOPIC_ID, partition=1))
    assert faults.suffered(by_id) is None
    faults.learn(3, MetadataResponse(topics=[MetadataResponseTopic(name="t", topic_id=TOPIC_ID)]))
    assert faults.suffered(by_id) is not None
    assert faults.suffered(by_id._replace(message=written(topic_id=TOPIC_ID, partition=0))) is None


def test_a_moved_coordinator_refuses_those_who_ask_it() -> None:
    """And no one else; where it is now can be asked."""
    moved = parse("coordinator_moved group=g")
    assert suffers(moved, asked(BEAT))
    assert moved.fault.effect.code_for(BEAT.api_key) is ErrorCode.NOT_COORDINATOR
    assert not suffers(moved, asked(FindCoordinatorRequest(key="g")))


@pytest.mark.parametrize(
    "words",
    [
        "", "explode", "error", "error=NONE", "error=NO_SUCH_CODE", "delay", "drop seconds=1", "drop times=1 times=2",
        "delay seconds=x", "drop api=Nothing", "drop after=perhaps", "lose_reply after=true", "drop nonsense",
        "drop of=it", "drop times=0", "drop share=2", "drop skip=-1", "drop share=0.5 seed=x",
    ],
)  # fmt: skip
def test_words_that_make_no_sense_are_a_sentence(words: str) -> None:
    """A misspelt word would be a fault that never comes."""
    with pytest.raises(Misunderstood, match="the fault"):
        parse(words)
