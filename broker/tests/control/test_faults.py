"""What faults do to requests, how often, and that nothing is left of one that has ended."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock

from broker.context import CloseConnection
from broker.control.faults import REMEMBERED, Effect, Faults, Kind, Rhythm, Target
from broker.control.parts import Named
from broker.tests.control.requests import Broker, broker, errors_in
from kproto.errors import ErrorCode
from kproto.messages.api_versions import ApiVersionsRequest
from kproto.messages.create_topics import CreatableTopic, CreateTopicsRequest
from kproto.messages.fetch import FetchPartition, FetchRequest, FetchTopic
from kproto.messages.find_coordinator import FindCoordinatorRequest
from kproto.messages.heartbeat import HeartbeatRequest
from kproto.messages.init_producer_id import InitProducerIdRequest
from kproto.messages.metadata import MetadataRequest
from kproto.messages.produce import PartitionProduceData, ProduceRequest, TopicProduceData
from storage.testing.log_builder import batch

PRODUCE, FETCH, METADATA = 0, 1, 3
ERROR = Effect(Kind.ERROR, ErrorCode.NOT_LEADER_OR_FOLLOWER)
ORDERS_1 = Named(topic="orders", partition=1)


def produce(*partitions: int, acks: int = -1) -> ProduceRequest:
    """One record for each of these partitions of `orders`."""
    data = [PartitionProduceData(index=each, records=memoryview(bytearray(batch(b"v").data))) for each in partitions]
    return ProduceRequest(acks=acks, timeout_ms=1000, topic_data=[TopicProduceData(name="orders", partition_data=data)])


def end_of(b: Broker, partition: int) -> int:
    """How many records a partition of `orders` has."""
    found = b.world.services.partitions.get("orders", partition)
    assert found is not None
    return found.log.log_end_offset


async def test_a_refused_partition_is_not_written_and_the_others_are() -> None:
    """Unless the error comes after the work: then a client that tries again writes twice."""
    async with broker() as b:
        fault = b.fault(ERROR, Target(PRODUCE, ORDERS_1))
        await b.ask(produce(0, 1), 9)
        assert (end_of(b, 0), end_of(b, 1)) == (1, 0)
        b.faults.remove(fault.number)
        b.fault(Effect(Kind.ERROR, ErrorCode.REQUEST_TIMED_OUT, after=True), Target(PRODUCE, ORDERS_1))
        answer = await b.ask(produce(0, 1), 9)
        assert [code for _, code in errors_in(answer)] == [ErrorCode.REQUEST_TIMED_OUT]
        assert (end_of(b, 0), end_of(b, 1)) == (2, 1)


async def test_without_acknowledgements_an_error_closes_the_connection() -> None:
    """As Kafka does it, since there is no answer that could say it; what was not meant has been written."""
    async with broker() as b:
        b.fault(ERROR, Target(PRODUCE, ORDERS_1))
        with pytest.raises(CloseConnection):
            await b.ask(produce(0, 1, acks=0), 9)
        assert (end_of(b, 0), end_of(b, 1)) == (1, 0)
        assert await b.ask(produce(0, acks=0), 9) is None


@pytest.mark.parametrize(("effect", "written"), [(Effect(Kind.DROP), 0), (Effect(Kind.DROP, after=True), 1)])
async def test_a_connection_is_dropped_before_or_after_the_work(effect: Effect, written: int) -> None:
    """Its client does not know which."""
    async with broker() as b:
        b.fault(effect, Target(PRODUCE))
        with pytest.raises(CloseConnection):
            await b.ask(produce(0), 9)
        assert end_of(b, 0) == written


async def test_a_lost_reply_never_comes(autojump_clock: MockClock) -> None:
    """The work is done. When the fault is taken away the connection closes, also if it had ended by itself."""
    async with broker() as b:
        fault = b.fault(Effect(Kind.LOSE_REPLY), Target(PRODUCE), Rhythm(times=1))
        with trio.move_on_after(3600) as waited:
            await b.ask(produce(0), 9)
        assert waited.cancelled_caught
        assert end_of(b, 0) == 1
        assert len(b.faults) == 0
        async with trio.open_nursery() as nursery:

            async def ask() -> None:
                with pytest.raises(CloseConnection):
                    await b.ask(produce(0), 9)

            second = b.fault(Effect(Kind.LOSE_REPLY), Target(PRODUCE), Rhythm(times=1))
            nursery.start_soon(ask)
            await trio.testing.wait_all_tasks_blocked()
            assert len(b.faults) == 0
            b.faults.remove(second.number)
        assert b.faults.get(fault.number) is fault


async def test_a_delay_is_over_in_time_or_when_it_is_taken_away(autojump_clock: MockClock) -> None:
    """And the request is answered as if nothing had been."""
    async with broker() as b:
        fault = b.fault(Effect(Kind.DELAY, seconds=60), Target(METADATA))
        began = trio.current_time()
        answer = await b.ask(MetadataRequest(topics=None), 1)
        assert (trio.current_time() - began, [code for _, code in errors_in(answer)]) == (60, [])
        async with trio.open_nursery() as nursery:
            nursery.start_soon(b.ask, MetadataRequest(topics=None), 1)
            await trio.testing.wait_all_tasks_blocked()
            b.faults.remove(fault.number)
        assert trio.current_time() - began == 60


async def test_a_throttled_client_is_told_and_held(autojump_clock: MockClock) -> None:
    """In versions that can say it; in others it is held all the same."""
    async with broker() as b:
        b.fault(Effect(Kind.THROTTLE, seconds=1.5), Target(METADATA))
        assert (await b.ask(MetadataRequest(topics=None), 5)).throttle_time_ms == 1500
        assert b.world.peer.muted_until == trio.current_time() + 1.5
        await b.ask(MetadataRequest(topics=None), 0)


def fetch(session: int, epoch: int, *partitions: int, wait: int = 0) -> FetchRequest:
    """Records of these partitions of `orders`, from the first on."""
    parts = [FetchPartition(partition=each, fetch_offset=0, partition_max_bytes=1000) for each in partitions]
    topics = [FetchTopic(topic="orders", partitions=parts)] if parts else []
    return FetchRequest(
        max_wait_ms=wait, min_bytes=1, max_bytes=10_000, session_id=session, session_epoch=epoch, topics=topics
    )


async def test_a_partition_of_a_fetch_session_fails_and_recovers() -> None:
    """Though an incremental request names no partition; and what was not said is said when the fault has ended."""
    async with broker() as b:
        await b.ask(produce(0, 1), 9)
        first = await b.ask(fetch(0, 0, 0, 1), 12)
        fault = b.fault(ERROR, Target(FETCH, ORDERS_1))
        answer = await b.ask(fetch(first.session_id, 1, wait=60_000), 12)
        assert [path for path, _ in errors_in(answer)] == [("orders", 1)]
        assert answer.error_code == 0
        b.faults.remove(fault.number)
        again = await b.ask(fetch(first.session_id, 2), 12)
        assert [
            part.high_watermark for topic in again.responses for part in topic.partitions if part.partition_index
        ] == [1]


async def test_a_partition_without_a_leader_is_so_in_every_answer() -> None:
    """LEADER_NOT_AVAILABLE and no leader in metadata, NOT_LEADER_OR_FOLLOWER where one would be asked."""
    async with broker() as b:
        b.fault(Effect(Kind.LEADER_NOT_AVAILABLE), Target(named=ORDERS_1))
        answer = await b.ask(MetadataRequest(topics=None), 9)
        assert list(errors_in(answer)) == [(("orders", 1), ErrorCode.LEADER_NOT_AVAILABLE)]
        (leaders,) = [{part.leader_id for part in each.partitions} for each in answer.topics if each.name == "orders"]
        assert leaders == {1, -1}
        written = await b.ask(produce(0, 1), 9)
        assert list(errors_in(written)) == [(("orders", 1), ErrorCode.NOT_LEADER_OR_FOLLOWER)]


async def test_a_coordinator_that_has_moved_is_found_again() -> None:
    """Every API that asks it says so; the one that says where it is does not."""
    async with broker() as b:
        b.fault(Effect(Kind.COORDINATOR_MOVED), Target(named=Named(group="g")))
        beat = await b.ask(HeartbeatRequest(group_id="g", generation_id=1, member_id="m"), 1)
        assert beat.error_code == ErrorCode.NOT_COORDINATOR
        assert (await b.ask(FindCoordinatorRequest(key="g"), 1)).error_code == 0
        other = await b.ask(HeartbeatRequest(group_id="h", generation_id=1, member_id="m"), 1)
        assert other.error_code == ErrorCode.UNKNOWN_MEMBER_ID
        assert (await b.ask(InitProducerIdRequest(transactional_id=None, transaction_timeout_ms=1), 1)).error_code == 0


async def test_a_topic_that_does_not_exist_yet_can_be_refused() -> None:
    """By its name in the request; those beside it are made."""
    async with broker() as b:
        b.fault(Effect(Kind.ERROR, ErrorCode.POLICY_VIOLATION), Target(named=Named(topic="new")))
        new = [CreatableTopic(name=name, num_partitions=1, replication_factor=1) for name in ("new", "newer")]
        answer = await b.ask(CreateTopicsRequest(topics=new, timeout_ms=1000), 7)
        assert list(errors_in(answer)) == [(("new",), ErrorCode.POLICY_VIOLATION)]
        assert "newer" in b.world.cluster.image.topics
        assert "new" not in b.world.cluster.image.topics


async def _pattern(b: Broker, count: int) -> str:
    """`x` for each of so many requests that was refused, `.` for each that was not."""
    answers = [await b.ask(ApiVersionsRequest(), 0) for _ in range(count)]
    return "".join("x" if answer.error_code else "." for answer in answers)


@pytest.mark.parametrize(
    ("rhythm", "pattern"),
    [
        (Rhythm(), "xxxxxxxx"),
        (Rhythm(times=2), "xx......"),
        (Rhythm(skip=2, times=1), "..x....."),
        (Rhythm(skip=3), "...xxxxx"),
        (Rhythm(share=0.0), "........"),
    ],
)
async def test_how_often(rhythm: Rhythm, pattern: str) -> None:
    """Each request that a fault is for, a number of them, the n-th."""
    async with broker() as b:
        fault = b.fault(ERROR, Target(client_id="test"), rhythm)
        b.world.peer.client_software = ("x", "y")
        answers = []
        for _ in pattern:
            await b.ask(ApiVersionsRequest(), 0, client_id="another")
            answers.append(await _pattern(b, 1))
        assert "".join(answers) == pattern
        assert fault.injected == pattern.count("x")


async def test_a_share_is_drawn_by_its_seed() -> None:
    """The same seed, the same requests; about as many as were asked for."""
    async with broker() as b:
        patterns = []
        for seed in (1, 1, 2):
            fault = b.fault(ERROR, None, Rhythm(share=0.25, seed=seed))
            patterns.append(await _pattern(b, 200))
            b.faults.remove(fault.number)
        assert patterns[0] == patterns[1] != patterns[2]
        assert 30 <= patterns[0].count("x") <= 70


async def test_the_first_that_is_due_happens() -> None:
    """Two faults for one request: the second has its turn when the first one has had it."""
    async with broker() as b:
        b.fault(ERROR, Target(METADATA), Rhythm(times=1))
        second = b.fault(Effect(Kind.ERROR, ErrorCode.UNKNOWN_SERVER_ERROR), Target(METADATA))
        codes = [next(errors_in(await b.ask(MetadataRequest(topics=None), 13)))[1] for _ in range(2)]
        assert codes == [ErrorCode.NOT_LEADER_OR_FOLLOWER, ErrorCode.UNKNOWN_SERVER_ERROR]
        assert second.seen == 1


def test_the_plain_way_is_given_back_with_the_last_fault() -> None:
    """And taken with the first; what has ended is remembered, up to a number."""
    said: list[bool] = []
    faults = Faults(said.append)
    first = faults.add(Target(), ERROR, Rhythm(times=1))
    second = faults.add(Target(), ERROR, Rhythm())
    assert first.is_due()
    faults.happened(first)
    assert said == [True]
    faults.remove(second.number)
    assert said == [True, False]
    assert faults.injected == {"error": 1}
    for _ in range(REMEMBERED):
        faults.remove(faults.add(Target(), ERROR, Rhythm()).number)
    assert first.removed.is_set(), "what is forgotten holds nothing"
    assert len(faults.report()["ended"]) == REMEMBERED
    assert faults.get(first.number) is None
