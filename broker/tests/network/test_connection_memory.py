"""What connections hold of memory: what has arrived of their requests, what their peers have not read, and no buffer
while they wait."""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import Any

import trio
import trio.testing

from broker.context import Peer
from broker.handlers import Handler
from broker.network.connection import (
    BUFFER_KEPT_SECONDS,
    COUNTED_ABOVE,
    FRAME_GRACE_SECONDS,
    MAX_QUEUED,
    SENT_TOGETHER,
    Connection,
)
from broker.network.watch import LOOK_SECONDS, Ending
from broker.request_memory import RequestMemory
from broker.testing.transports import MemoryTransport
from broker.tests.network.served import (
    LARGE,
    Script,
    after,
    buffered,
    connected,
    ended_after,
    large_request,
    replies,
    request,
    settle,
)
from kproto.connection import AT_ONCE, ReceivedRequest
from kproto.framing import SMALL_WINDOW, frame_prefix
from kproto.messages.api_versions import ApiVersion, ApiVersionsResponse


async def test_what_all_connections_hold_is_bounded() -> None:
    """C10: requests that have half arrived hold what has arrived; when there is no room, all but one are not read, and
    go on in turn."""
    memory = RequestMemory(4 * LARGE)
    script = Script()
    async with AsyncExitStack() as stack:
        peers = [(await stack.enter_async_context(connected(script, memory, LARGE)))[0] for _ in range(20)]
        for number, peer in enumerate(peers):
            peer.deliver(large_request(number)[:-1])
            await settle()
            memory.check()
            assert memory.total <= memory.limit + LARGE
        assert memory.waiting > 10
        for peer in peers:
            peer.deliver(b"\0")
        await settle()
        assert sorted(script.begun) == list(range(20))
        assert memory.waiting == 0
    assert memory.total == 0


async def test_a_claim_takes_nothing() -> None:
    """C10: a hundred peers that announce what they do not send keep none from sending a large request."""
    memory = RequestMemory(20 * LARGE)
    script = Script()
    async with AsyncExitStack() as stack:
        for _ in range(100):
            claiming, _ = await stack.enter_async_context(connected(script, memory, 100 << 20))
            claiming.deliver(frame_prefix(100 << 20) + b"x")
        honest, _ = await stack.enter_async_context(connected(script, memory, LARGE))
        honest.deliver(large_request(1))
        await settle()
        assert replies(honest) == [1]


async def nothing_left(memory: RequestMemory, stack: AsyncExitStack) -> tuple[MemoryTransport, Connection]:
    """A peer whose request, all but its last byte, goes beyond what all may hold; others find no room."""
    peer, connection = await stack.enter_async_context(connected(Script(), memory, LARGE))
    peer.deliver(large_request(0)[:-1])
    await settle()
    assert memory.beyond is connection._share
    return peer, connection


async def test_small_requests_do_not_wait_for_memory() -> None:
    """A heartbeat passes while bulk waits."""
    memory = RequestMemory(1)
    async with AsyncExitStack() as stack:
        await nothing_left(memory, stack)
        transport, _ = await stack.enter_async_context(connected(Script(), memory, LARGE))
        transport.deliver(request(1))
        await settle()
        assert replies(transport) == [1]


async def test_a_peer_that_leaves_gives_its_memory_back() -> None:
    """Half a large request, and one that still waits for memory, hold nothing once their connections are gone."""
    memory = RequestMemory(1)
    async with AsyncExitStack() as stack:
        await nothing_left(memory, stack)
        waiter, connection = await stack.enter_async_context(connected(Script(), memory, LARGE))
        waiter.deliver(large_request(2)[:-1])
        await settle()
        assert memory.waiting == 1
        connection.close(Ending.STOPPED)
        await settle()
        assert memory.waiting == 0
        assert memory.total > 0
    assert memory.total == 0


async def test_waiting_for_memory_is_not_the_peers_fault(autojump_clock: trio.testing.MockClock) -> None:
    """A request that may not be read yet does not count as one that fails to arrive; nor does its peer's pace, as long
    as it sends."""
    memory = RequestMemory(1)
    async with AsyncExitStack() as stack:
        holder, connection = await stack.enter_async_context(connected(Script(), memory, 100 << 20))
        holder.deliver(frame_prefix(100 << 20))
        await settle()
        transport, _ = await stack.enter_async_context(connected(Script(), memory, LARGE))
        transport.deliver(large_request(1))
        for _ in range(30):
            holder.deliver(bytes(1 << 20))
            await trio.sleep(10)
        assert not transport.closed
        connection.close(Ending.STOPPED)
        await trio.sleep(FRAME_GRACE_SECONDS - 1)
        assert replies(transport) == [1]


async def test_a_peer_that_stalls_while_others_wait_gives_way(autojump_clock: trio.testing.MockClock) -> None:
    """A peer whose connection holds memory that others wait for has FRAME_GRACE_SECONDS; as long as there is room for
    all it may take its time."""
    memory = RequestMemory(1)
    async with AsyncExitStack() as stack:
        holder, connection = await nothing_left(memory, stack)
        await trio.sleep(FRAME_GRACE_SECONDS)
        assert not holder.closed
        waiter, _ = await stack.enter_async_context(connected(Script(), memory, LARGE))
        waiter.deliver(large_request(1))
        taken = await ended_after(holder, trio.current_time())
        assert taken <= FRAME_GRACE_SECONDS + 2 * LOOK_SECONDS
        assert connection.ending in (Ending.WITHHOLDING, Ending.UNFINISHED)
        await settle()
        assert replies(waiter) == [1]


async def test_a_peer_that_trickles_while_others_wait_gives_way(autojump_clock: trio.testing.MockClock) -> None:
    """A byte now and then keeps a request alive, but not the memory that others wait for."""
    memory = RequestMemory(1)
    async with AsyncExitStack() as stack:
        holder, connection = await stack.enter_async_context(connected(Script(), memory, LARGE))
        holder.deliver(large_request(0)[: LARGE // 2])
        for _ in range(100):
            await trio.sleep(3)
            holder.deliver(b"\0")
        assert not holder.closed
        waiter, _ = await stack.enter_async_context(connected(Script(), memory, LARGE))
        waiter.deliver(large_request(1))
        for _ in range(15):
            await trio.sleep(3)
            holder.deliver(b"\0")
        assert (connection.ending, replies(waiter)) == (Ending.WITHHOLDING, [1])


async def test_a_kept_buffer_gives_way_to_a_request() -> None:
    """What a busy producer keeps for its next request is not kept from another's request of now."""
    memory = RequestMemory(4 * LARGE)
    async with AsyncExitStack() as stack:
        peers = [(await stack.enter_async_context(connected(Script(), memory, LARGE))) for _ in range(10)]
        for _ in range(2):
            for number, (peer, _) in enumerate(peers):
                peer.deliver(large_request(number))
                await settle()
                assert memory.waiting == 0
                assert memory.total <= memory.limit
        assert all(replies(peer) == [number, number] for number, (peer, _) in enumerate(peers))
        assert sum(buffered(connection) for _, connection in peers) == memory.total


class Muting(Script):
    """Every request has its peer muted for an hour."""

    def begin(self, received: ReceivedRequest, peer: Peer) -> tuple[Handler, Any]:
        peer.mute(3_600_000)
        return super().begin(received, peer)


async def test_what_a_muted_connection_kept_gives_way_too(autojump_clock: trio.testing.MockClock) -> None:
    """A client that quotas hold back does not hold back others meanwhile."""
    memory = RequestMemory(4 * LARGE)
    async with AsyncExitStack() as stack:
        peers = [(await stack.enter_async_context(connected(Muting(), memory, LARGE))) for _ in range(10)]
        for number, (peer, _) in enumerate(peers):
            peer.deliver(large_request(number))
            await settle()
            assert memory.waiting == 0
            assert memory.total <= memory.limit
        assert all(replies(peer) == [number] for number, (peer, _) in enumerate(peers))
        for peer, connection in peers:
            connection.close(Ending.STOPPED)
            peer.end()


REPLY = ApiVersionsResponse(api_keys=[ApiVersion(api_key=number % 100) for number in range(AT_ONCE - 10)])
REPLY_BYTES = 6 * (AT_ONCE - 10)
REPLY_SENT_IN_PIECES = ApiVersionsResponse(api_keys=[ApiVersion(api_key=number % 100) for number in range(4 * AT_ONCE)])


async def test_replies_that_are_not_read_are_counted_and_bounded() -> None:
    """C14: a peer that asks and does not read is answered until SENT_TOGETHER bytes wait, and these are counted."""
    memory = RequestMemory(-1)
    script = Script(**{f"_{number}": REPLY for number in range(MAX_QUEUED * 2)})
    async with connected(script, memory, takes=100) as (transport, _):
        transport.deliver(b"".join(request(number) for number in range(MAX_QUEUED * 2)))
        await settle()
        assert SENT_TOGETHER <= memory.total + 100 + 64 <= SENT_TOGETHER + REPLY_BYTES + 64
        assert len(script.begun) == SENT_TOGETHER // REPLY_BYTES + 1
        transport.take(1 << 30)
        await settle()
        assert memory.total == 0
        assert replies(transport) == list(range(MAX_QUEUED * 2))


async def test_replies_behind_one_that_waits_are_counted_and_bounded() -> None:
    """C14: the same for those that are ready and wait behind a Fetch that is parked."""
    memory = RequestMemory(-1)
    parked = trio.Event()
    script = Script(_0=after(parked), **{f"_{number}": REPLY for number in range(1, MAX_QUEUED)})
    async with connected(script, memory) as (transport, _):
        transport.deliver(b"".join(request(number) for number in range(MAX_QUEUED)))
        await settle()
        assert SENT_TOGETHER <= memory.total <= SENT_TOGETHER + REPLY_BYTES + 64
        assert len(script.begun) == SENT_TOGETHER // REPLY_BYTES + 2
        parked.set()
        await settle()
        assert memory.total == 0
        assert replies(transport) == list(range(MAX_QUEUED))


async def test_nothing_stands_still_when_all_wait_for_their_replies_to_be_read(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """Replies that are not read take all there is: large requests of others are served one by one all the same, and the
    peers that do not read give way."""
    memory = RequestMemory(1)
    async with AsyncExitStack() as stack:
        stuck = []
        for _ in range(5):
            peer, connection = await stack.enter_async_context(
                connected(Script(_1=REPLY_SENT_IN_PIECES), memory, takes=9)
            )
            peer.deliver(request(1))
            stuck.append((peer, connection))
        await settle()
        assert memory.total > 5 * COUNTED_ABOVE
        honest = [await stack.enter_async_context(connected(Script(), memory, LARGE)) for _ in range(5)]
        for peer, _ in honest:
            peer.deliver(large_request(1))
        await settle()
        assert [replies(peer) for peer, _ in honest] == [[1]] * 5
        slow, _ = await stack.enter_async_context(connected(Script(), memory, LARGE))
        slow.deliver(large_request(1)[:-1])
        await settle()
        honest[0][0].deliver(large_request(2))
        await trio.sleep(FRAME_GRACE_SECONDS + 2 * LOOK_SECONDS)
        assert {connection.ending for _, connection in stuck} == {Ending.WITHHOLDING}
        assert replies(honest[0][0]) == [1, 2]


async def test_a_connection_that_waits_for_its_peer_holds_no_buffer() -> None:
    """C13: between requests nothing is held; within one, what has arrived of it."""
    async with connected(Script()) as (transport, connection):
        assert buffered(connection) == 0
        transport.deliver(request(1) + request(2)[:9])
        await settle()
        assert buffered(connection) == 9
        transport.deliver(request(2)[9:])
        await settle()
        assert (buffered(connection), replies(transport)) == (0, [1, 2])
        assert connection._current is None, "the last request's records lie in a buffer"


async def test_a_connection_whose_handler_waits_holds_no_buffer() -> None:
    """C13: a thousand members that are parked in JoinGroup would hold 64 MiB; what came behind it is kept."""
    later = trio.Event()
    script = Script(_1=after(later))
    script.eager = False
    async with connected(script) as (transport, connection):
        transport.deliver(request(1) + request(2) + request(3)[:9])
        await settle()
        assert buffered(connection) == len(request(2)) + 9
        later.set()
        transport.deliver(request(3)[9:])
        await settle()
        assert (buffered(connection), replies(transport)) == (0, [1, 2, 3])


async def test_a_still_connection_does_not_keep_a_grown_buffer(autojump_clock: trio.testing.MockClock) -> None:
    """What large requests needed is given back after BUFFER_KEPT_SECONDS without any."""
    async with connected(Script(), max_frame=LARGE) as (transport, connection):
        transport.deliver(large_request(1))
        await settle()
        assert buffered(connection) > LARGE // 2
        await trio.sleep(BUFFER_KEPT_SECONDS + 2 * LOOK_SECONDS)
        assert buffered(connection) == 0
        transport.deliver(large_request(2))
        await settle()
        assert replies(transport) == [1, 2]


async def test_a_slow_sender_holds_what_it_has_sent(autojump_clock: trio.testing.MockClock) -> None:
    """Many peers that stop in the midst of a request hold no window each."""
    async with connected(Script(), max_frame=SMALL_WINDOW) as (transport, connection):
        transport.deliver(frame_prefix(60_000) + bytes(5_000))
        await trio.sleep(BUFFER_KEPT_SECONDS + LOOK_SECONDS + 1)
        assert buffered(connection) == 5_004
