"""Faults, time, snapshots and resets in random order, against a naive model of a broker that has them.

Each life of the test is a seed: some dozens of steps, after each of which what the broker says of its logs and of a
group's offset is compared with the model. `python -m tools.tests.test_commanded_in_any_order SEED...` plays others;
what a failing one says is its seed and its steps.
"""

from __future__ import annotations

import copy
import random
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

import pytest

import ottla
from kproto.batches.records import RecordData, build_batch, iter_records
from kproto.errors import ErrorCode
from kproto.messages.create_topics import CreatableTopic, CreatableTopicConfig, CreateTopicsRequest
from kproto.messages.fetch import FetchPartition, FetchRequest, FetchTopic
from kproto.messages.find_coordinator import FindCoordinatorRequest
from kproto.messages.list_offsets import ListOffsetsPartition, ListOffsetsRequest, ListOffsetsTopic
from kproto.messages.offset_commit import (
    OffsetCommitRequest,
    OffsetCommitRequestPartition,
    OffsetCommitRequestTopic,
)
from kproto.messages.offset_fetch import OffsetFetchRequest, OffsetFetchRequestTopic
from kproto.messages.produce import PartitionProduceData, ProduceRequest, TopicProduceData
from storage.testing.log_builder import whole_batches
from tools.wire import WireConnection

HOUR: Final = 3600
DAY: Final = 24 * HOUR
PARTITIONS: Final = 2
STEPS: Final = 40
ADVANCES: Final = (60, 2 * HOUR, 8 * DAY)
"""Far from what is compared with them: records are kept for an hour and offsets for a week."""
ERRORS: Final = ("NOT_LEADER_OR_FOLLOWER", "REQUEST_TIMED_OUT", "KAFKA_STORAGE_ERROR")
CLOSED: Final = "closed"


@dataclass
class Log:
    """What a partition is to hold: (value, when it was written, in seconds of the state's clock)."""

    start: int = 0
    records: list[tuple[bytes, float]] = field(default_factory=list)

    @property
    def end(self) -> int:
        return self.start + len(self.records)


@dataclass
class State:
    """All that a snapshot keeps, and a reset forgets."""

    logs: list[Log] = field(default_factory=lambda: [Log() for _ in range(PARTITIONS)])
    committed: tuple[int, float] | None = None


@dataclass
class ModelFault:
    """A fault, as naive as can be."""

    id: int
    members: dict[str, Any]
    seen: int = 0
    injected: int = 0

    def happens(self, api: str, partitions: list[int]) -> bool:
        """Whether it happens to a request, which is counted."""
        said = self.members
        fits = said["api"] == api and ("partition" not in said or said["partition"] in partitions)
        if not fits or self.injected >= said.get("times", 1 << 60):
            return False
        self.seen += 1
        if self.seen <= said.get("skip", 0):
            return False
        self.injected += 1
        return True


class Life:
    """One seed: the broker, the model, and what was done so far."""

    def __init__(self, broker: ottla.Broker, seed: int) -> None:
        self.broker = broker
        self.random = random.Random(seed)
        self.now = 0.0
        self.state = State()
        self.faults: list[ModelFault] = []
        self.kept: dict[str, State] = {}
        self.done: list[str] = []
        self.number = 0
        self.connection: WireConnection | None = None

    # -- asking --------------------------------------------------------------------------------------------------------

    def ask(self, request: Any, version: int) -> Any:
        """The reply, or CLOSED."""
        if self.connection is None:
            self.connection = WireConnection(self.broker.host, self.broker.port, client_id="life")
        try:
            return self.connection.call(request, version)
        except OSError:
            self.connection.close()
            self.connection = None
            return CLOSED

    def hang_up(self) -> None:
        """Connections of the life before are closed."""
        if self.connection is not None:
            self.connection.close()
            self.connection = None

    def begin(self) -> None:
        """What each client does with an empty broker."""
        config = CreatableTopicConfig(name="retention.ms", value=str(HOUR * 1000))
        topic = CreatableTopic(name="t", num_partitions=PARTITIONS, replication_factor=1, configs=[config])
        made = self.ask(CreateTopicsRequest(topics=[topic], timeout_ms=10_000), 5)
        assert made.topics[0].error_code in (0, ErrorCode.TOPIC_ALREADY_EXISTS)
        assert self.ask(FindCoordinatorRequest(key="g"), 1).error_code == 0

    # -- steps ---------------------------------------------------------------------------------------------------------

    def step(self) -> None:
        """One, by chance."""
        steps = [self.produce] * 6 + [self.commit] * 3 + [self.fetch] * 2 + [self.make_fault] * 4
        steps += [self.remove_fault] * 2 + [self.advance] * 2 + [self.keep, self.restore, self.reset]
        self.random.choice(steps)()

    def say(self, what: str) -> None:
        self.done.append(what)

    def suffered(self, api: str, partitions: list[int]) -> ModelFault | None:
        """The first fault that happens to a request."""
        return next((fault for fault in self.faults if fault.happens(api, partitions)), None)

    def produce(self) -> None:
        """A record for one partition or for both."""
        partitions = sorted(self.random.sample(range(PARTITIONS), self.random.randint(1, PARTITIONS)))
        self.number += 1
        value = b"%d" % self.number
        wall = self.broker.control.ask("GET", "/clock")["now_ms"]
        data = [
            PartitionProduceData(index=each, records=build_batch([RecordData(0, wall, None, value)]))
            for each in partitions
        ]
        topics = [TopicProduceData(name="t", partition_data=data)]
        fault = self.suffered("Produce", partitions)
        self.say(f"produce {value!r} to {partitions}, with {fault and fault.members}")
        answer = self.ask(ProduceRequest(acks=-1, timeout_ms=10_000, topic_data=topics), 9)
        meant, refused, closed = _effect(fault, partitions)
        for each in partitions:
            if each not in meant:
                self.state.logs[each].records.append((value, self.now))
        assert (answer == CLOSED) == closed
        if not closed:
            codes = {each.index: each.error_code for each in answer.responses[0].partition_responses}
            wanted = ErrorCode[fault.members["error"]] if fault is not None and refused else 0
            assert codes == {each: wanted if each in refused else 0 for each in partitions}

    def fetch(self) -> None:
        """Everything of both partitions."""
        fault = self.suffered("Fetch", list(range(PARTITIONS)))
        self.say(f"fetch, with {fault and fault.members}")
        parts = [
            FetchPartition(partition=number, fetch_offset=log.start, partition_max_bytes=1 << 20)
            for number, log in enumerate(self.state.logs)
        ]
        wanted = FetchRequest(
            max_wait_ms=0, max_bytes=1 << 20, session_epoch=-1, topics=[FetchTopic(topic="t", partitions=parts)]
        )
        answer = self.ask(wanted, 11)
        _, refused, closed = _effect(fault, list(range(PARTITIONS)))
        assert (answer == CLOSED) == closed
        if closed or answer.error_code:
            assert closed or refused
            return
        for part in answer.responses[0].partitions:
            log = self.state.logs[part.partition_index]
            assert bool(part.error_code) == (part.partition_index in refused)
            if not part.error_code:
                batches = whole_batches(bytes(part.records or b""))
                values = [bytes(each.value or b"") for _, batch in batches for each in iter_records(batch)]
                assert values == [value for value, _ in log.records]

    def commit(self) -> None:
        """An offset of a group without members."""
        offset = self.random.randint(0, 100)
        fault = self.suffered("OffsetCommit", [0])
        self.say(f"commit {offset}, with {fault and fault.members}")
        part = OffsetCommitRequestPartition(partition_index=0, committed_offset=offset)
        request = OffsetCommitRequest(group_id="g", topics=[OffsetCommitRequestTopic(name="t", partitions=[part])])
        answer = self.ask(request, 5)
        meant, refused, closed = _effect(fault, [0])
        assert (answer == CLOSED) == closed
        if not meant:
            self.state.committed = (offset, self.now)
        if not closed:
            code = answer.topics[0].partitions[0].error_code
            assert bool(code) == bool(refused)

    def make_fault(self) -> None:
        """Some of Produce, Fetch or OffsetCommit."""
        choose = self.random.choice
        api = choose(["Produce", "Fetch", "OffsetCommit"])
        members: dict[str, Any] = {"what": choose(["error", "error", "drop", "delay"]), "api": api}
        if members["what"] == "error":
            members |= {"error": choose(ERRORS), "after": choose([False, True]) and api != "Fetch"}
        elif members["what"] == "drop":
            members["after"] = choose([False, True])
        else:
            members["seconds"] = 0.001
        if choose([False, True]):
            members |= {"topic": "t", "partition": choose(range(PARTITIONS))}
            if api == "OffsetCommit":
                members["partition"] = 0
        if choose([False, True]):
            members["client_id"] = "life"
        if choose([False, True]):
            members["skip"] = choose([0, 1, 2])
        if choose([False, True]):
            members["times"] = choose([1, 2])
        if self.random.random() < 0.1:
            members = {"what": "coordinator_moved", "api": "OffsetCommit", "group": "g", "times": 1}
        what = members.pop("what")
        made = self.broker.faults.add(what, **members)
        self.faults.append(ModelFault(made.id, {"what": what, **members}))
        self.say(f"fault {self.faults[-1].members}")

    def remove_fault(self) -> None:
        """One of those that were made, whether it has ended or not."""
        if self.faults:
            gone = self.faults.pop(self.random.randrange(len(self.faults)))
            report = self.broker.control.ask("DELETE", f"/faults/{gone.id}")
            self.say(f"fault {gone.id} away")
            assert (report["injected"], report["seen"]) == (gone.injected, gone.seen)

    def advance(self, seconds: int | None = None) -> None:
        """A minute, hours, or more than a week."""
        seconds = self.random.choice(ADVANCES) if seconds is None else seconds
        self.say(f"advance {seconds}")
        self.broker.advance(seconds)
        self.now += seconds
        for log in self.state.logs:
            if log.records and self.now - log.records[-1][1] > HOUR:
                log.start, log.records = log.end, []
        if self.state.committed is not None and self.now - self.state.committed[1] > 7 * DAY:
            self.state.committed = None

    def keep(self) -> None:
        """A snapshot."""
        name = self.random.choice("ab")
        self.say(f"snapshot {name}")
        self.broker.control.ask("POST", "/snapshots", {"name": name})
        self.kept[name] = copy.deepcopy(self.state)

    def restore(self) -> None:
        """One that was kept; time then passes, so that what was kept for too long is looked at."""
        if self.kept:
            name = self.random.choice(sorted(self.kept))
            self.say(f"restore {name}")
            self.broker.control.ask("POST", "/restore", {"name": name})
            self.hang_up()
            self.state, self.faults = copy.deepcopy(self.kept[name]), []
            self.check()
            self.advance(2 * HOUR)

    def reset(self) -> None:
        """Back to nothing; snapshots stay, and are of another time."""
        self.say("reset")
        self.broker.control.ask("POST", "/reset")
        self.hang_up()
        self.state, self.faults, self.kept, self.now = State(), [], {}, 0.0
        self.begin()

    # -- comparing -----------------------------------------------------------------------------------------------------

    def check(self) -> None:
        """The broker has what the model has, and the faults that the model has."""
        for which, timestamp in (("start", -2), ("end", -1)):
            parts = [ListOffsetsPartition(partition_index=each, timestamp=timestamp) for each in range(PARTITIONS)]
            wanted = ListOffsetsRequest(replica_id=-1, topics=[ListOffsetsTopic(name="t", partitions=parts)])
            found = {each.partition_index: each.offset for each in self.ask(wanted, 5).topics[0].partitions}
            assert found == {number: getattr(log, which) for number, log in enumerate(self.state.logs)}, which
        topics = [OffsetFetchRequestTopic(name="t", partition_indexes=[0])]
        answer = self.ask(OffsetFetchRequest(group_id="g", topics=topics), 5)
        offset = answer.topics[0].partitions[0].committed_offset
        assert offset == (-1 if self.state.committed is None else self.state.committed[0])
        active = {each["id"]: each["injected"] for each in self.broker.faults.report()["faults"]}
        assert active == {
            fault.id: fault.injected for fault in self.faults if fault.injected < fault.members.get("times", 1 << 60)
        }


def _effect(fault: ModelFault | None, partitions: list[int]) -> tuple[set[int], set[int], bool]:
    """(partitions that are not worked on, those that are refused, whether the connection closes)."""
    if fault is None or fault.members["what"] == "delay":
        return set(), set(), False
    said = fault.members
    meant = {said["partition"]} & set(partitions) if "partition" in said else set(partitions)
    if said["what"] == "drop":
        return (set() if said["after"] else set(partitions)), set(), True
    return (set() if said.get("after") else meant), meant, False


def live(broker: ottla.Broker, seed: int, steps: int = STEPS) -> None:
    """Play one seed. Raises AssertionError with its steps."""
    life = Life(broker, seed)
    life.reset()
    try:
        for _ in range(steps):
            life.step()
            life.check()
        for fault in list(life.faults):
            broker.control.ask("DELETE", f"/faults/{fault.id}")
        life.faults = []
        life.produce()
        life.fetch()
        life.check()
    except Exception as error:
        error.add_note(f"seed {seed}:\n" + "\n".join(life.done))
        raise
    finally:
        life.hang_up()


@pytest.fixture(scope="module")
def broker() -> Iterator[ottla.Broker]:
    """In memory, with few shards."""
    with ottla.Broker(control=True, config={"offsets.topic.num.partitions": 2}) as broker:
        yield broker


@pytest.mark.parametrize("seed", range(4))
def test_the_broker_is_as_the_model_is(seed: int, broker: ottla.Broker) -> None:
    """After each step of a life; and a fault that has ended leaves nothing behind."""
    live(broker, seed)


if __name__ == "__main__":
    with ottla.Broker(control=True, config={"offsets.topic.num.partitions": 2}) as started:
        for word in sys.argv[1:]:
            live(started, int(word), 10 * STEPS)
            print("seed", word, "is as the model is")
