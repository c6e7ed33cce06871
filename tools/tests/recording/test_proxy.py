"""The program between: clients stay behind it, what they say is kept, and faults come to pass."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from kproto.errors import ErrorCode
from kproto.headers import read_request_head
from kproto.messages.api_versions import ApiVersionsRequest
from kproto.messages.create_topics import CreatableTopic, CreatableTopicConfig, CreateTopicsRequest
from kproto.messages.describe_cluster import DescribeClusterRequest
from kproto.messages.find_coordinator import FindCoordinatorRequest
from kproto.messages.heartbeat import HeartbeatRequest
from kproto.messages.list_groups import ListGroupsRequest
from kproto.messages.metadata import MetadataRequest
from kproto.messages.sasl_authenticate import SaslAuthenticateRequest
from kproto.schema.declare import Request
from tools.client.properties import parse_addresses
from tools.recording.conversation import decoded_request
from tools.recording.explaining import explain
from tools.recording.recording_file import Recording, unpacked
from tools.tests.recording.conftest import standing_between
from tools.wire import WireConnection

VERSIONS = ApiVersionsRequest(client_software_name="c", client_software_version="1")
BEAT = HeartbeatRequest(group_id="no such group", member_id="m")


def connect(address: str) -> WireConnection:
    [(host, port)] = parse_addresses(address)
    return WireConnection(host, port, client_id="c", timeout=10)


def ask(address: str, request: Request, version: int) -> Any:
    connection = connect(address)
    try:
        return connection.call(request, version)
    finally:
        connection.close()


def test_addresses_lead_back_to_the_recorder(broker: str) -> None:
    """In every reply that has some; and the address of the broker has a listener of its own."""
    with standing_between(broker.replace("127.0.0.1", "localhost")) as address:
        found = ask(address, MetadataRequest(topics=[]), 9).brokers[0]
        assert f"{found.host}:{found.port}" not in (broker, address)
        second = f"{found.host}:{found.port}"
        cluster = ask(second, DescribeClusterRequest(), 0).brokers[0]
        assert (cluster.host, cluster.port) == (found.host, found.port)
        for version, request in (
            (3, FindCoordinatorRequest(key="g")),
            (4, FindCoordinatorRequest(coordinator_keys=["g"])),
        ):
            reply = ask(second, request, version)
            coordinator = reply if version == 3 else reply.coordinators[0]
            assert (coordinator.host, coordinator.port) == (found.host, found.port)


def test_what_is_said_is_kept(broker: str, tmp_path: Path) -> None:
    """Each frame as it came, with what it says for people; the broker's own addresses."""
    with standing_between(broker, tmp_path / "r") as address:
        connection = connect(address)
        connection.call(VERSIONS, 3)
        connection.call(MetadataRequest(topics=[]), 9)
        connection.close()
    events = list(Recording(str(tmp_path / "r")).events())
    assert [event["event"] for event in events] == ["open", "request", "reply", "request", "reply", "close"]
    assert [event.get("number") for event in events[1:5]] == [1, 1, 2, 2]
    assert [event["at"] for event in events] == sorted(event["at"] for event in events)
    request, reply = events[3], events[4]
    assert (request["api"], request["version"], request["client"]) == ("Metadata", 9, "c")
    assert request["message"]["topics"] == []
    [found] = reply["message"]["brokers"]
    assert f"{found['host']}:{found['port']}" == broker
    assert unpacked(request["frame"])[:4] == b"\0\3\0\11"
    assert events[5]["by"] == "client"
    texts = "\n".join(explain(str(tmp_path / "r")))
    assert "MetadataRequest (key 3)" in texts
    assert f"port = {broker.rpartition(':')[2]}" in texts
    assert "!!" not in texts


def test_secrets_are_masked(broker: str, tmp_path: Path) -> None:
    """What reaches the broker is not: masks are of the file alone."""
    config = CreatableTopicConfig(name="some.password", value="hunter2")
    create = CreateTopicsRequest(
        topics=[CreatableTopic(name="s", num_partitions=1, replication_factor=1, configs=[config])]
    )
    log_in = SaslAuthenticateRequest(auth_bytes=b"\0alice\0hunter2")
    for name, with_secrets in (("masked", False), ("open", True)):
        with standing_between(broker, tmp_path / name, with_secrets=with_secrets) as address:
            refused = ask(address, create, 5)
            assert "some.password" in str(refused.topics[0].error_message)
            ask(address, log_in, 1)
        frames = [unpacked(event["frame"]) for event in Recording(str(tmp_path / name)).events() if "frame" in event]
        lines = str(list(Recording(str(tmp_path / name)).events()))
        assert any(b"hunter2" in frame for frame in frames) is with_secrets
        assert ("hunter2" in lines) is with_secrets
        if not with_secrets:
            events = [event for event in Recording(str(tmp_path / name)).events() if event["event"] == "request"]
            frame = memoryview(unpacked(events[0]["frame"]))
            copy, why = decoded_request(frame, read_request_head(frame))
            assert copy is not None, why


def test_a_refusal_on_purpose_comes_in_its_place(broker: str) -> None:
    """It does not overtake the replies before it, and the others are the broker's own."""
    with standing_between(broker, faults=("error=NOT_COORDINATOR api=Heartbeat skip=1 times=1",)) as address:
        connection = connect(address)
        sent = [connection.encode(each, 3) for each in (BEAT, BEAT)] + [connection.encode(VERSIONS, 3)]
        sent.append(connection.encode(BEAT, 3))
        connection.socket.sendall(b"".join(sent))
        first, second, third, fourth = (connection.reply() for _ in range(4))
        assert first.error_code == fourth.error_code != ErrorCode.NOT_COORDINATOR
        assert second.error_code == ErrorCode.NOT_COORDINATOR
        assert third.api_keys
        connection.close()


def test_a_refusal_after_the_work_leaves_the_work_done(broker: str) -> None:
    """The broker has done what the client was told it has not."""
    create = CreateTopicsRequest(topics=[CreatableTopic(name="done", num_partitions=1, replication_factor=1)])
    with standing_between(broker, faults=("error=REQUEST_TIMED_OUT after=true api=CreateTopics times=1",)) as address:
        assert ask(address, create, 5).topics[0].error_code == ErrorCode.REQUEST_TIMED_OUT
        assert ask(address, create, 5).topics[0].error_code == ErrorCode.TOPIC_ALREADY_EXISTS


@pytest.mark.parametrize(("words", "done"), [("drop", False), ("drop after=true", True)])
def test_a_connection_is_cut_before_or_after_the_work(broker: str, words: str, done: bool, tmp_path: Path) -> None:
    """And the next one is served."""
    name = f"cut-{done}"
    create = CreateTopicsRequest(topics=[CreatableTopic(name=name, num_partitions=1, replication_factor=1)])
    with standing_between(broker, tmp_path / "r", (f"{words} topic={name} times=1",)) as address:
        with pytest.raises(ConnectionError):
            ask(address, create, 5)
        again = ask(address, create, 5).topics[0].error_code
        assert again == (ErrorCode.TOPIC_ALREADY_EXISTS if done else ErrorCode.NONE)
    events = list(Recording(str(tmp_path / "r")).events())
    assert [event["fault"] for event in events if event["event"] == "fault"] == [f"{words} topic={name} times=1"]
    assert [event["by"] for event in events if event["event"] == "close"] == ["fault", "client"]


def test_a_lost_reply_is_followed_by_no_other(broker: str) -> None:
    """Its connection stays open, and silent."""
    with standing_between(broker, faults=("lose_reply api=ListGroups",)) as address:
        [(host, port)] = parse_addresses(address)
        connection = WireConnection(host, port, client_id="c", timeout=0.3)
        assert connection.call(VERSIONS, 3).api_keys
        with pytest.raises(TimeoutError):
            connection.call(ListGroupsRequest(), 4)
        connection.socket.sendall(connection.encode(VERSIONS, 3))
        with pytest.raises(TimeoutError):
            connection.reply()
        connection.close()


def test_a_delay_and_a_throttle_take_their_time(broker: str) -> None:
    """The one makes the request wait, the other makes the client believe that it has to."""
    faults = ("delay seconds=0.2 api=ListGroups", "throttle seconds=5 api=Heartbeat")
    with standing_between(broker, faults=faults) as address:
        before = time.monotonic()
        ask(address, ListGroupsRequest(), 4)
        assert time.monotonic() - before >= 0.2
        assert ask(address, BEAT, 3).throttle_time_ms == 5000


def test_a_frame_that_is_none_ends_its_connection_alone(broker: str, tmp_path: Path) -> None:
    """With the reason in the recording; others go on."""
    with standing_between(broker, tmp_path / "r") as address:
        other = connect(address)
        other.call(VERSIONS, 3)
        broken = connect(address)
        broken.socket.sendall(b"\x7f\xff\xff\xff whatever")
        assert broken.socket.recv(1) == b""
        broken.close()
        assert other.call(VERSIONS, 3).api_keys
        other.close()
    closes = [event for event in Recording(str(tmp_path / "r")).events() if event["event"] == "close"]
    assert {event["by"] for event in closes} == {"recorder", "client"}


def test_a_broker_that_is_away_closes_the_connection(capfd: pytest.CaptureFixture[str]) -> None:
    """And standard error says so."""
    with standing_between("127.0.0.1:1") as address, pytest.raises(OSError):
        ask(address, VERSIONS, 3)
    assert "no connection to the broker at 127.0.0.1:1" in capfd.readouterr().err
