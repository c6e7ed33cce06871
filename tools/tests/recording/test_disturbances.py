"""Faults of the proxy: the words, the requests that suffer, and how often."""

from __future__ import annotations

import pytest

from kproto.errors import ErrorCode
from kproto.headers import RequestHead
from kproto.messages.find_coordinator import FindCoordinatorRequest
from kproto.messages.heartbeat import HeartbeatRequest
from kproto.messages.produce import ProduceRequest, TopicProduceData
from kproto.schema.declare import Request
from tools.failures import Misunderstood
from tools.recording.conversation import Asked
from tools.recording.disturbances import Kind, first_of, parse

BEAT = HeartbeatRequest(group_id="g", member_id="m")
WRITE = ProduceRequest(acks=1, transactional_id="x", topic_data=[TopicProduceData(name="t", partition_data=[])])


def asked(message: Request, client: str = "c") -> Asked:
    return Asked(1, RequestHead(message.api_key, 3, 1, client, 0), message)


@pytest.mark.parametrize(
    ("words", "message", "suffers"),
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
def test_a_request_suffers_if_it_fits_all_words(words: str, message: Request, suffers: bool) -> None:
    """API, client, and what the request names."""
    assert parse(words).suffers(asked(message)) is suffers


def test_an_error_needs_a_request_that_can_be_answered() -> None:
    """One that could not be decoded is let through; a token of SASL suffers nothing."""
    unknown = Asked(1, RequestHead(500, 0, 1, "c", 0), None, "unknown")
    assert not parse("error=NOT_COORDINATOR").suffers(unknown)
    assert parse("drop").suffers(unknown)
    assert not parse("drop").suffers(Asked(1, None))


def test_the_nth_and_so_many() -> None:
    """`skip` and `times` count requests that fit, and no others."""
    fault = parse("drop api=Heartbeat skip=2 times=2")
    suffered = [fault.suffers(asked(each)) for each in (BEAT, WRITE, BEAT, BEAT, WRITE, BEAT, BEAT)]
    assert suffered == [False, False, False, True, False, True, False]
    assert fault.injected == 2


def test_a_share_is_determined_by_its_seed() -> None:
    """The same seed, the same requests; about as many as asked for."""

    def run(seed: int) -> list[bool]:
        fault = parse(f"delay seconds=1 share=0.25 seed={seed}")
        return [fault.suffers(asked(BEAT)) for _ in range(400)]

    assert run(1) == run(1) != run(2)
    assert 60 < sum(run(1)) < 140


def test_the_first_fault_that_fits_counts() -> None:
    """In the order in which they were given."""
    faults = [parse("drop times=1"), parse("lose_reply")]
    found = [first_of(faults, asked(BEAT)) for _ in range(2)]
    assert [each and each.kind for each in found] == [Kind.DROP, Kind.LOSE_REPLY]


def test_words_become_a_fault() -> None:
    """All of them."""
    fault = parse("error=NOT_LEADER_OR_FOLLOWER after=true api=Fetch")
    assert (fault.kind, fault.code, fault.after, fault.api) == (Kind.ERROR, ErrorCode.NOT_LEADER_OR_FOLLOWER, True, 1)
    assert parse("throttle seconds=0.5").seconds == 0.5


@pytest.mark.parametrize(
    "words",
    [
        "", "explode", "error", "error=NONE", "error=NO_SUCH_CODE", "delay", "drop seconds=1", "delay seconds=0",
        "delay seconds=x", "drop api=Nothing", "drop after=perhaps", "lose_reply after=true", "drop nonsense",
        "drop of=it", "drop times=0", "drop share=2", "drop skip=-1", "drop share=0.5 seed=x",
    ],
)  # fmt: skip
def test_words_that_make_no_sense_are_a_sentence(words: str) -> None:
    """A misspelt word would be a fault that never comes."""
    with pytest.raises(Misunderstood, match="the fault"):
        parse(words)
