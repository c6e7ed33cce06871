"""What becomes of a request that fails, or whose reply cannot be sent."""

from __future__ import annotations

from typing import Any

import pytest
import trio
import trio.testing

from broker.context import Peer
from broker.handlers import Handler, describe_groups, loaded
from broker.network.connection import Connection, Surroundings
from broker.network.dispatch import Dispatcher
from broker.network.rounds import Rounds
from broker.network.watch import Watch
from broker.testing.contexts import World, world
from broker.testing.transports import MemoryTransport
from kproto.connection import AT_ONCE, ClientConnection, ReceivedRequest
from kproto.errors import ErrorCode
from kproto.framing import BufferPool
from kproto.messages.describe_groups import DescribeGroupsRequest
from kproto.messages.find_coordinator import FindCoordinatorRequest
from kproto.schema.declare import Request
from storage.seams.logging import RateLimitedLogger, get_logger

PEER = Peer("192.0.2.1", 50_000)


async def answered(w: World, request: Request, version: int) -> Any:
    """The reply to a request, over a connection of its own; None if there was none."""
    transport, client = MemoryTransport(), ClientConnection()
    log = RateLimitedLogger(get_logger(__name__), trio.current_time)
    around = Surroundings(Watch(trio.current_time()), BufferPool(), log, Rounds(w.services.turns))
    connection = Connection(transport, PEER, w.services, Dispatcher(w.services), around)
    transport.deliver(b"".join(bytes(each) for each in client.encode_request(request, version)[1]))
    transport.end()
    await connection.serve()
    data = bytes(transport.sent_bytes)
    while data:
        window = client.window()
        count = min(len(window), len(data))
        window[:count] = data[:count]
        client.received(count)
        data = data[count:]
    reply = client.next_reply()
    return None if reply is None else reply[1]


async def test_a_reply_too_large_for_a_frame_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """C16: the request is answered UNKNOWN_SERVER_ERROR, as in Kafka, and its connection goes on."""
    names = [f"group-{number:05}" for number in range(AT_ONCE + 1)]
    dead = len(names) * (2 + 13 + 6 + 2 + 2 + 4)  # of which the state, `Dead`, is no part of a refusal
    async with world(groups=True) as w:
        await w.ask(FindCoordinatorRequest(coordinator_keys=["g"]), 4)
        for size, code in ((dead + 8, ErrorCode.NONE), (dead + 7, ErrorCode.UNKNOWN_SERVER_ERROR)):
            monkeypatch.setattr("kproto.connection.MAX_FRAME", size)
            response = await answered(w, DescribeGroupsRequest(groups=names), 0)
            assert {group.error_code for group in response.groups} == {code}


async def test_faults_of_one_api_cost_a_line_a_second(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: trio.testing.MockClock
) -> None:
    """A peer that has found a fault of ours repeats it as often as it likes; the log does not."""

    def handle(request: Request, ctx: object) -> None:
        raise RuntimeError("a fault")

    monkeypatch.setitem(loaded, 15, Handler(handle, describe_groups.refuse, False))
    lines: list[dict[str, Any]] = []

    class Lines:
        def error(self, event: str, **fields: Any) -> None:
            lines.append({"event": event, **fields})

    async with world() as w:
        dispatcher = Dispatcher(w.services)
        dispatcher.log = RateLimitedLogger(Lines(), trio.current_time)  # type: ignore[arg-type]
        request = ReceivedRequest(15, 0, 7, "client", DescribeGroupsRequest(groups=["g"]))
        for _ in range(1000):
            found, first = dispatcher.begin(request, PEER)
            assert found is not None
            response = await dispatcher.finish(request, found, first.coroutine, PEER)
            assert response.groups[0].error_code == ErrorCode.UNKNOWN_SERVER_ERROR
        assert len(lines) == 1
        await trio.sleep(1)
        dispatcher.log.flush()
        assert [line.get("left_out", 0) for line in lines] == [0, 998]
        assert {line["api"] for line in lines} == {"describe_groups"}
