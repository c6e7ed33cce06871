"""`python -m tools.trials kill-rebalances`: the broker is killed while groups rebalance, again and again.

Two groups, one of each protocol, with members that are threads: they join, beat, commit a number that only grows for
each partition they own, leave and come back. So a rebalance of either group is nearly always under way. The broker is
killed (SIGKILL) at a random moment and started again on what it left. After each start

* every partition's committed offset is at least the last one that a member was told is committed;
* both groups are stable again with all their members, and go on committing from there.

It ends with the first broken promise, and says how many kills there were. Exit status 0 means none was broken.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from kproto.errors import ErrorCode, ProtocolError
from kproto.formats.consumer_protocol import (
    AssignedTopicPartition,
    ConsumerProtocolAssignment,
    ConsumerProtocolSubscription,
    decode_assignment,
    encode_assignment,
    encode_subscription,
)
from kproto.ids import TopicPartition, Uuid, parse_uuid
from kproto.messages.consumer_group_heartbeat import ConsumerGroupHeartbeatRequest, TopicPartitions
from kproto.messages.find_coordinator import FindCoordinatorRequest
from kproto.messages.heartbeat import HeartbeatRequest
from kproto.messages.join_group import JoinGroupRequest, JoinGroupRequestProtocol
from kproto.messages.leave_group import LeaveGroupRequest, MemberIdentity
from kproto.messages.offset_commit import OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic
from kproto.messages.sync_group import SyncGroupRequest, SyncGroupRequestAssignment
from tools.trials.brokers import Process, ottla, pause
from tools.trials.wire import requests as wire
from tools.trials.wire.client import WireClient

TOPIC: Final = "rebalanced"
PARTITIONS: Final = 6
MEMBERS: Final = 3
SETTINGS: Final = (
    "group.initial.rebalance.delay.ms=0",
    "group.consumer.assignment.interval.ms=0",
)
SETTLED_SECONDS: Final = 30.0


class Ledger:
    """What members were told is committed, by group."""

    def __init__(self) -> None:
        self.acknowledged: dict[str, dict[int, int]] = {}
        self.commits = 0
        self._lock = threading.Lock()

    def committed(self, group: str, partition: int, offset: int) -> None:
        with self._lock:
            offsets = self.acknowledged.setdefault(group, {})
            offsets[partition] = max(offset, offsets.get(partition, 0))
            self.commits += 1


class Member(threading.Thread, ABC):
    """One member: whatever happens to its connection, it comes back."""

    def __init__(self, port: int, group: str, name: str, topic_id: Uuid, ledger: Ledger) -> None:
        super().__init__(daemon=True, name=f"{group} {name}")
        self.port, self.group, self.member_id, self.topic_id, self.ledger = port, group, name, topic_id, ledger
        self.chance = random.Random(name)
        self.owns: set[int] = set()
        self.epoch = 0
        self.restless = True
        self.over = False
        self.refused: str | None = None

    def run(self) -> None:
        while not self.over:
            try:
                with WireClient(self.port, client_id=self.member_id or "member") as client:
                    client.call(FindCoordinatorRequest(key_type=0, coordinator_keys=[self.group]), 4)
                    while not self.over:
                        self.turn(client)
                        pause(0.03)
            except (OSError, ProtocolError, wire.Refusal):
                pause(0.05)

    @abstractmethod
    def turn(self, client: WireClient) -> None:
        """Do the next thing as a member: join, beat, commit."""

    def commit(self, client: WireClient) -> None:
        """Commit one more than is committed, in one of its partitions."""
        if not self.owns:
            return
        partition = self.chance.choice(sorted(self.owns))
        found = wire.committed_offsets(client, [self.group])[self.group]
        offset = found.get(TopicPartition(TOPIC, partition), 0) + 1
        known = self.ledger.acknowledged.get(self.group, {}).get(partition, 0)
        if offset <= known and partition in self.owns:
            self.refused = f"{self.group}: partition {partition} is at {offset - 1}, and {known} was acknowledged"
        sent = OffsetCommitRequestPartition(partition_index=partition, committed_offset=offset, committed_metadata="")
        request = OffsetCommitRequest(
            group_id=self.group,
            member_id=self.member_id,
            generation_id_or_member_epoch=self.epoch,
            topics=[OffsetCommitRequestTopic(name=TOPIC, partitions=[sent])],
        )
        if client.call(request, 9).topics[0].partitions[0].error_code == ErrorCode.NONE:
            self.ledger.committed(self.group, partition, offset)


class ConsumerMember(Member):
    """Of the consumer protocol."""

    def turn(self, client: WireClient) -> None:
        if self.restless and self.epoch and self.chance.random() < 0.05:
            client.call(self._beat(-1), 1)
            self.owns, self.epoch = set(), 0
        reply = client.call(self._beat(self.epoch), 1)
        if reply.error_code in (
            ErrorCode.UNKNOWN_MEMBER_ID,
            ErrorCode.FENCED_MEMBER_EPOCH,
            ErrorCode.GROUP_ID_NOT_FOUND,
        ):
            self.owns, self.epoch = set(), 0
        elif reply.error_code == ErrorCode.NONE:
            self.epoch = reply.member_epoch
            if reply.assignment is not None:
                self.owns = {each for topic in reply.assignment.topic_partitions for each in topic.partitions}
            self.commit(client)

    def _beat(self, epoch: int) -> ConsumerGroupHeartbeatRequest:
        """Everything is said each time, since the answer before may have been lost."""
        partitions = [TopicPartitions(topic_id=self.topic_id, partitions=sorted(self.owns))] if self.owns else []
        return ConsumerGroupHeartbeatRequest(
            group_id=self.group,
            member_id=self.member_id,
            member_epoch=epoch,
            rebalance_timeout_ms=10_000,
            subscribed_topic_names=[TOPIC],
            topic_partitions=partitions,
        )


class ClassicMember(Member):
    """Of the classic protocol."""

    def __init__(self, port: int, group: str, name: str, topic_id: Uuid, ledger: Ledger) -> None:
        super().__init__(port, group, name, topic_id, ledger)
        self.member_id = ""
        self.joined = False

    def turn(self, client: WireClient) -> None:
        if not self.joined:
            self._join(client)
            return
        if self.restless and self.chance.random() < 0.05:
            leaving = [MemberIdentity(member_id=self.member_id)]
            client.call(LeaveGroupRequest(group_id=self.group, members=leaving), 5)
            self.owns, self.joined, self.member_id = set(), False, ""
            return
        request = HeartbeatRequest(group_id=self.group, generation_id=self.epoch, member_id=self.member_id)
        code = client.call(request, 4).error_code
        if code == ErrorCode.NONE:
            self.commit(client)
        elif code in (ErrorCode.REBALANCE_IN_PROGRESS, ErrorCode.ILLEGAL_GENERATION, ErrorCode.UNKNOWN_MEMBER_ID):
            self.owns, self.joined = set(), False
            if code == ErrorCode.UNKNOWN_MEMBER_ID:
                self.member_id = ""

    def _join(self, client: WireClient) -> None:
        wishes = encode_subscription(ConsumerProtocolSubscription(topics=[TOPIC]), 1)
        request = JoinGroupRequest(
            group_id=self.group,
            session_timeout_ms=6_000,
            rebalance_timeout_ms=6_000,
            member_id=self.member_id,
            protocol_type="consumer",
            protocols=[JoinGroupRequestProtocol(name="range", metadata=wishes)],
        )
        reply = client.call(request, 9)
        if reply.error_code == ErrorCode.MEMBER_ID_REQUIRED:
            self.member_id = reply.member_id
        elif reply.error_code == ErrorCode.UNKNOWN_MEMBER_ID:
            self.member_id = ""
        elif reply.error_code == ErrorCode.NONE:
            self._sync(client, reply)

    def _sync(self, client: WireClient, joined: Any) -> None:
        shares: list[SyncGroupRequestAssignment] = []
        if joined.leader == joined.member_id:
            members = sorted(each.member_id for each in joined.members)
            for place, member in enumerate(members):
                mine = AssignedTopicPartition(topic=TOPIC, partitions=list(range(place, PARTITIONS, len(members))))
                share = encode_assignment(ConsumerProtocolAssignment(assigned_partitions=[mine]), 1)
                shares.append(SyncGroupRequestAssignment(member_id=member, assignment=share))
        request = SyncGroupRequest(
            group_id=self.group,
            generation_id=joined.generation_id,
            member_id=joined.member_id,
            protocol_type=joined.protocol_type,
            protocol_name=joined.protocol_name,
            assignments=shares,
        )
        reply = client.call(request, 5)
        if reply.error_code == ErrorCode.NONE:
            self.member_id, self.epoch, self.joined = joined.member_id, joined.generation_id, True
            assigned = decode_assignment(reply.assignment).assigned_partitions if reply.assignment else []
            self.owns = {partition for each in assigned for partition in each.partitions}


def main(arguments: Sequence[str]) -> int:
    """Kill, start again, look; as often as asked."""
    parser = argparse.ArgumentParser(prog="python -m tools.trials kill-rebalances", description=__doc__)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(arguments)
    chance = random.Random(options.seed)
    ledger = Ledger()
    with tempfile.TemporaryDirectory(prefix="kill-rebalances-") as folder:
        place = Path(folder)
        with Process(ottla(*SETTINGS), place / "data", place / "broker.log") as broker:
            broker.start()
            broker.wait_until()
            with WireClient(broker.port) as client:
                topic_id = parse_uuid(wire.create_topic(client, TOPIC, PARTITIONS, {}))
            members: list[Member] = [
                kind(broker.port, group, f"{group}-{number}", topic_id, ledger)
                for group, kind in (("classic", ClassicMember), ("consumer", ConsumerMember))
                for number in range(MEMBERS)
            ]
            for member in members:
                member.start()
            began = time.monotonic()
            for number in range(1, options.kills + 1):
                pause(chance.uniform(0.05, 1.0))
                broker.kill()
                broker.start()
                broker.wait_until()
                broken = look(broker.port, ledger) or next((each.refused for each in members if each.refused), None)
                if broken:
                    print(f"kill {number}: {broken}")
                    return 1
            for member in members:
                member.restless = False
            settled = wait_for_all(members)
            shown = "; ".join(f"{each.name} at {each.epoch} owns {sorted(each.owns)}" for each in members)
            for member in members:
                member.over = True
            seconds = time.monotonic() - began
    print(f"{options.kills} kills, {ledger.commits:,} commits acknowledged, none lost ({seconds:.0f} s)")
    print("both groups are stable and go on" if settled else "a group did not settle: " + shown)
    return 0 if settled else 1


def look(port: int, ledger: Ledger) -> str | None:
    """What was acknowledged and is not committed, if anything."""
    before = {group: dict(offsets) for group, offsets in ledger.acknowledged.items()}
    with WireClient(port) as client:
        for group, offsets in before.items():
            found = wire.committed_offsets(client, [group])[group]
            for partition, offset in offsets.items():
                there = found.get(TopicPartition(TOPIC, partition), 0)
                if there < offset:
                    return f"{group}: partition {partition} is at {there}, and {offset} was acknowledged"
    return None


def wait_for_all(members: Sequence[Member]) -> bool:
    """Until each group's members own every partition once."""
    deadline = time.monotonic() + SETTLED_SECONDS
    while time.monotonic() < deadline:
        if all(
            sorted(partition for each in members if each.group == group for partition in each.owns)
            == list(range(PARTITIONS))
            for group in ("classic", "consumer")
        ):
            return True
        pause(0.1)
    return False


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
