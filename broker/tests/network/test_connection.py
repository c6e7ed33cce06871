"""One client's connection: replies in order, overlap where order allows, and an end for every kind of misbehaviour."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import pytest
import trio
import trio.testing

from broker.context import CloseConnection, FirstPhase, Peer
from broker.handlers import Handler
from broker.network.connection import (
    BUFFER_KEPT_SECONDS,
    ENDED_SECONDS,
    FRAME_GRACE_SECONDS,
    MAX_QUEUED,
    WRITE_STALL_SECONDS,
    Connection,
    Surroundings,
)
from broker.network.watch import LOOK_SECONDS, SLOT_SECONDS, Ending, Watch
from broker.observe.turns import Turns
from broker.request_memory import RequestMemory
from broker.testing.transports import MemoryTransport
from kproto.connection import AT_ONCE, ReceivedRequest
from kproto.framing import SMALL_WINDOW, BufferPool, frame_prefix
from kproto.messages.api_versions import ApiVersion, ApiVersionsResponse
from storage.seams.logging import RateLimitedLogger, get_logger
from storage.seams.offload import InlineOffload

IDLE_SECONDS = 600


def request(number: int, api_key: int = 18, version: int = 0) -> bytes:
    """An ApiVersions v0 request with `number` as its correlation id."""
    body = api_key.to_bytes(2, "big") + version.to_bytes(2, "big") + number.to_bytes(4, "big") + b"\xff\xff"
    return frame_prefix(len(body)) + body


def replies(transport: MemoryTransport) -> list[int]:
    """Correlation ids of the replies sent so far, in order."""
    data, found = bytes(transport.sent_bytes), []
    while len(data) >= 8:
        size = int.from_bytes(data[:4], "big")
        found.append(int.from_bytes(data[4:8], "big"))
        data = data[4 + size :]
    return found


class Script:
    """A dispatcher whose answers the test writes: correlation id -> reply, coroutine function or exception."""

    def __init__(self, **answers: Any) -> None:
        self.answers = {int(key[1:]): answer for key, answer in answers.items()}
        self.begun: list[int] = []
        self.eager = True

    def begin(self, received: ReceivedRequest, peer: Peer) -> tuple[Handler, Any]:
        self.begun.append(received.correlation_id)
        answer = self.answers.get(received.correlation_id, ApiVersionsResponse())
        if isinstance(answer, Exception):
            raise answer
        if callable(answer):
            answer = answer()
        return Handler(len, len, self.eager), answer

    async def finish(self, received: ReceivedRequest, found: Handler, waiting: Any) -> Any:
        return await waiting


def connection_on(
    transport: MemoryTransport, script: Any, memory: RequestMemory | None = None, max_frame: int = 1000
) -> tuple[Connection, Watch[Connection]]:
    """A connection that is not served yet, and what says when it is looked at."""
    config = SimpleNamespace(socket_request_max_bytes=max_frame, connections_max_idle_ms=IDLE_SECONDS * 1000)
    services: Any = SimpleNamespace(
        config=config, request_memory=memory or RequestMemory(-1), offload=InlineOffload(), turns=Turns()
    )
    watch: Watch[Connection] = Watch(trio.current_time())
    log = RateLimitedLogger(get_logger("connections"), trio.current_time)
    around = Surroundings(watch, BufferPool(), log)
    return Connection(transport, Peer("192.0.2.1", 50_000), services, script, around), watch


@asynccontextmanager
async def connected(
    script: Script, memory: RequestMemory | None = None, max_frame: int = 1000, **options: Any
) -> AsyncIterator[tuple[MemoryTransport, Connection]]:
    """A connection being served and watched; at the end the peer leaves and the connection must end too."""
    transport = MemoryTransport(**options)
    connection, watch = connection_on(transport, script, memory, max_frame)

    async def look() -> None:
        while True:
            await trio.sleep_until(watch.next_turn(trio.current_time()))
            for overdue, ending in watch.turn(trio.current_time()):
                overdue.close(ending)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(connection.serve)
        nursery.start_soon(look)
        await trio.testing.wait_all_tasks_blocked()
        yield transport, connection
        transport.end()
        await trio.testing.wait_all_tasks_blocked()
        assert transport.closed
        assert len(watch) == 0
        nursery.cancel_scope.cancel()


async def settle() -> None:
    await trio.testing.wait_all_tasks_blocked()


def after(event: trio.Event) -> Callable[[], Any]:
    """An answer that waits for `event`."""

    async def wait() -> ApiVersionsResponse:
        await event.wait()
        return ApiVersionsResponse()

    return wait


async def test_pipelined_requests_are_answered_in_order() -> None:
    """C1: replies leave in the order of the requests."""
    async with connected(Script()) as (transport, _):
        transport.deliver(request(1) + request(2) + request(3))
        await settle()
        assert replies(transport) == [1, 2, 3]


async def test_a_reply_that_waits_holds_back_later_ones_but_not_their_first_phase() -> None:
    """C2: an eager request starts while an earlier reply waits; its reply leaves after that one."""
    durable = trio.Event()
    script = Script(_1=after(durable))
    async with connected(script) as (transport, _):
        transport.deliver(request(1) + request(2))
        await settle()
        assert script.begun == [1, 2]
        assert replies(transport) == []
        durable.set()
        await settle()
        assert replies(transport) == [1, 2]


async def test_a_request_that_is_not_eager_runs_alone() -> None:
    """C3: Kafka's rule: the next request is not looked at before this one has been answered."""
    answered = trio.Event()
    script = Script(_1=after(answered))
    script.eager = False
    async with connected(script) as (transport, _):
        transport.deliver(request(1) + request(2))
        await settle()
        assert script.begun == [1]
        answered.set()
        await settle()
        assert replies(transport) == [1, 2]


async def test_a_first_phase_that_waits_keeps_its_place() -> None:
    """C2: while a produce opens a batch in a thread, nothing of this connection is appended behind its back."""
    opened, durable = trio.Event(), trio.Event()

    async def first_phase() -> Any:
        await opened.wait()
        return after(durable)()

    script = Script(_1=lambda: FirstPhase(first_phase()))
    async with connected(script) as (transport, _):
        transport.deliver(request(1) + request(2))
        await settle()
        assert script.begun == [1]
        opened.set()
        await settle()
        assert script.begun == [1, 2]
        durable.set()
        await settle()
        assert replies(transport) == [1, 2]


async def test_no_reply_for_a_request_that_wants_none() -> None:
    """acks=0: the request is done, nothing is sent."""
    async with connected(Script(_1=lambda: None)) as (transport, _):
        transport.deliver(request(1) + request(2))
        await settle()
        assert replies(transport) == [2]


@pytest.mark.parametrize(
    "garbage",
    [
        frame_prefix(1001),
        b"\xff\xff\xff\xff",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",  # a TLS hello
        b"GET / HTTP/1.1\r\n\r\n",
        frame_prefix(3) + b"abc",
        request(1, api_key=999),
        request(1, api_key=3, version=99),
    ],
)
async def test_what_is_no_request_closes_the_connection(garbage: bytes) -> None:
    """C4: a peer that breaks the wire is cut off; requests before that are answered."""
    async with connected(Script()) as (transport, _):
        transport.deliver(request(7) + garbage)
        await settle()
        assert transport.closed
        assert replies(transport) in ([7], [])


async def test_an_unknown_version_of_api_versions_is_answered() -> None:
    """KIP-511: a client of the future gets the versions that are served."""
    async with connected(Script()) as (transport, _):
        transport.deliver(request(1, version=99))
        await settle()
        assert replies(transport) == [1]


async def test_a_refusal_that_closes_the_connection() -> None:
    """acks=0 with an error: Kafka closes, so that the producer learns at all."""
    async with connected(Script(_1=CloseConnection("refused"))) as (transport, _):
        transport.deliver(request(1))
        await settle()
        assert transport.closed


async def test_a_fault_of_ours_ends_only_this_connection() -> None:
    """C6: an unexpected error is logged and closes the connection; the broker lives on."""
    async with connected(Script(_1=ValueError("a bug"))) as (transport, _):
        transport.deliver(request(1))
        await settle()
        assert transport.closed


async def test_a_peer_that_sends_without_reading_replies_is_slowed_down() -> None:
    """C5: at most MAX_QUEUED replies wait; then the reader stops, and TCP holds the peer."""
    later = trio.Event()
    script = Script(**{f"_{number}": after(later) for number in range(1, 200)})
    async with connected(script) as (transport, _):
        transport.deliver(b"".join(request(number) for number in range(1, 200)))
        await settle()
        assert len(script.begun) == MAX_QUEUED
        later.set()


LARGE = 200_000


def large_request(number: int) -> bytes:
    """ApiVersions v0 in a frame of LARGE bytes: those behind its last field are passed over."""
    small = request(number)[4:]
    return frame_prefix(LARGE - 4) + small + bytes(LARGE - 4 - len(small))


async def test_large_requests_wait_for_memory() -> None:
    """C10: what is taken is bounded; a connection that finds nothing left does not read, and goes on when there is
    room."""
    memory = RequestMemory(LARGE)
    script = Script()
    async with connected(script, memory, LARGE) as (first, _), connected(script, memory, LARGE) as (second, _):
        first.deliver(large_request(1)[:1000])
        await settle()
        assert memory.taken == LARGE
        second.deliver(large_request(2))
        await settle()
        assert (memory.taken, memory.waiting, script.begun) == (LARGE, 1, [])
        first.deliver(large_request(1)[1000:])
        await settle()
        assert sorted(script.begun) == [1, 2]
        assert (memory.taken, memory.waiting) == (0, 0)


async def test_small_requests_do_not_wait_for_memory() -> None:
    """A heartbeat passes while bulk waits."""
    memory = RequestMemory(LARGE)
    await memory.take(LARGE)
    async with connected(Script(), memory, LARGE) as (transport, _):
        transport.deliver(request(1))
        await settle()
        assert replies(transport) == [1]


async def test_a_peer_that_leaves_gives_its_memory_back() -> None:
    """Half a large request, and one that still waits for memory, hold nothing once their connections are gone."""
    memory = RequestMemory(LARGE)
    async with connected(Script(), memory, LARGE) as (holder, _):
        holder.deliver(large_request(1)[:1000])
        await settle()
        async with connected(Script(), memory, LARGE) as (waiter, connection):
            waiter.deliver(large_request(2)[:1000])
            await settle()
            assert memory.waiting == 1
            connection.close(Ending.STOPPED)
            await settle()
            assert (memory.taken, memory.waiting) == (LARGE, 0)
    assert memory.taken == 0


async def test_waiting_for_memory_is_not_the_peers_fault(autojump_clock: trio.testing.MockClock) -> None:
    """A request that may not be read yet does not count as one that fails to arrive."""
    memory = RequestMemory(LARGE)
    await memory.take(LARGE)
    async with connected(Script(), memory, LARGE) as (transport, _):
        transport.deliver(large_request(1))
        await trio.sleep(IDLE_SECONDS - 1)
        assert not transport.closed
        memory.give_back(LARGE)
        await settle()
        assert replies(transport) == [1]


def buffered(connection: Connection) -> int:
    return connection.statistics().buffer_bytes


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


async def ended_after(transport: MemoryTransport, begun: float) -> float:
    """How long after `begun` the connection ended."""
    await transport.has_closed.wait()
    return trio.current_time() - begun


@pytest.mark.parametrize("deliveries", [[], [request(1)], [request(1)[:7], request(1)[7:] + request(2)]])
async def test_an_idle_connection_is_closed(deliveries: list[bytes], autojump_clock: trio.testing.MockClock) -> None:
    """connections.max.idle.ms counts from the last byte, to a quarter of a second."""
    async with connected(Script()) as (transport, connection):
        for delivery in deliveries:
            await trio.sleep(7.3)
            transport.deliver(delivery)
        begun = trio.current_time()
        assert 0 <= await ended_after(transport, begun) - IDLE_SECONDS <= 2 * SLOT_SECONDS
        assert connection.ending is Ending.IDLE


async def test_a_connection_in_use_is_not_idle(autojump_clock: trio.testing.MockClock) -> None:
    """Every request starts the time again, also after a long rest."""
    async with connected(Script()) as (transport, _):
        for number, pause in enumerate((3, IDLE_SECONDS - 1, 1, IDLE_SECONDS - 1)):
            await trio.sleep(pause)
            transport.deliver(request(number))
        await settle()
        assert replies(transport) == [0, 1, 2, 3]


@pytest.mark.parametrize("eager", [True, False])
async def test_a_parked_request_does_not_make_a_connection_busy(
    eager: bool, autojump_clock: trio.testing.MockClock
) -> None:
    """As on Kafka (seen on a running one: a Fetch and a JoinGroup of 8 s, closed after 3 s): no bytes is no bytes."""
    script = Script(_1=after(trio.Event()))
    script.eager = eager
    async with connected(script) as (transport, connection):
        transport.deliver(request(1))
        assert await ended_after(transport, trio.current_time()) == pytest.approx(IDLE_SECONDS, abs=2 * SLOT_SECONDS)
        assert connection.ending is Ending.IDLE


async def test_no_limit_to_idleness(autojump_clock: trio.testing.MockClock) -> None:
    """connections.max.idle.ms=-1 keeps connections forever, and looks at them no more."""
    transport = MemoryTransport()
    connection, watch = connection_on(transport, Script())
    connection._idle_seconds = float("inf")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(connection.serve)
        await settle()
        await trio.sleep(LOOK_SECONDS + SLOT_SECONDS)
        assert watch.turn(trio.current_time()) == []
        assert len(watch) == 0
        transport.end()


async def test_a_request_that_never_finishes_arriving(autojump_clock: trio.testing.MockClock) -> None:
    """A slow or stuck sender holds a buffer for FRAME_GRACE_SECONDS, not forever."""
    async with connected(Script()) as (transport, connection):
        await trio.sleep(IDLE_SECONDS / 2)  # at rest, so its next look is far away
        transport.deliver(frame_prefix(900) + b"x" * 10)
        taken = await ended_after(transport, trio.current_time())
        assert FRAME_GRACE_SECONDS < taken < FRAME_GRACE_SECONDS + 2 * LOOK_SECONDS
        assert connection.ending is Ending.UNFINISHED


async def test_a_request_that_waits_for_its_turn_has_arrived(autojump_clock: trio.testing.MockClock) -> None:
    """A JoinGroup may wait for minutes; what the peer has sent behind it is not late."""
    joined = trio.Event()
    script = Script(_1=after(joined))
    script.eager = False
    async with connected(script) as (transport, _):
        transport.deliver(request(1) + request(2) + request(3)[:5])
        await trio.sleep(IDLE_SECONDS - 1)
        joined.set()
        await settle()
        assert replies(transport) == [1, 2]


async def test_a_peer_that_does_not_read(autojump_clock: trio.testing.MockClock) -> None:
    """A reply that cannot be sent holds its buffers for WRITE_STALL_SECONDS; any progress starts the time again."""
    async with connected(Script(), takes=5) as (transport, connection):
        transport.deliver(request(1))
        await trio.sleep(WRITE_STALL_SECONDS - 1)
        transport.take(1)
        taken = await ended_after(transport, trio.current_time())
        assert WRITE_STALL_SECONDS < taken < WRITE_STALL_SECONDS + 3 * LOOK_SECONDS
        assert connection.ending is Ending.NOT_READING


async def test_what_was_sent_before_the_end_is_answered() -> None:
    """A peer that closes its sending side gets its replies, as on Kafka: of a Fetch that waits, and what is behind."""
    fetched = trio.Event()
    async with connected(Script(_1=after(fetched))) as (transport, connection):
        transport.deliver(request(1) + request(2))
        transport.end()
        await settle()
        assert not transport.closed
        fetched.set()
        await settle()
        assert replies(transport) == [1, 2]
        assert transport.closed
        assert connection.ending is Ending.LEFT


@pytest.mark.parametrize("behind", [0, MAX_QUEUED + 5])
@pytest.mark.parametrize("eager", [True, False])
async def test_a_peer_that_goes_while_it_waits_gives_its_place_back(
    eager: bool, behind: int, autojump_clock: trio.testing.MockClock
) -> None:
    """C12: one whose JoinGroup or Fetches are parked is not waited for longer than ENDED_SECONDS after its end."""
    script = Script(**{f"_{number}": after(trio.Event()) for number in range(behind + 1)})
    script.eager = eager
    async with connected(script) as (transport, connection):
        transport.deliver(b"".join(request(number) for number in range(behind + 1)))
        await trio.sleep(60)
        assert not transport.closed
        transport.end()
        assert await ended_after(transport, trio.current_time()) <= ENDED_SECONDS + 2 * LOOK_SECONDS
        assert connection.ending is Ending.GONE


async def test_a_peer_that_resets_is_seen_at_the_next_look(autojump_clock: trio.testing.MockClock) -> None:
    """There is no peer left to answer."""
    script = Script(_1=after(trio.Event()))
    script.eager = False
    async with connected(script) as (transport, connection):
        transport.deliver(request(1))
        await trio.sleep(60)
        transport.resets = True
        assert await ended_after(transport, trio.current_time()) <= LOOK_SECONDS + SLOT_SECONDS
        assert connection.ending is Ending.GONE


async def test_statistics_of_a_connection(autojump_clock: trio.testing.MockClock) -> None:
    """A frozen value: what came, what went, what waits, and for how long there was nothing."""
    parked = trio.Event()
    async with connected(Script(_2=after(parked))) as (transport, connection):
        transport.deliver(request(1) + request(2))
        await settle()
        await trio.sleep(3)
        found = connection.statistics()
        assert (found.requests, found.received_bytes) == (2, 2 * len(request(1)))
        assert found.sent_bytes == len(transport.sent_bytes) > 0
        assert (found.replies_waiting, found.still) == (1, 3)
        parked.set()
        await settle()
        assert connection.statistics().replies_waiting == 0


async def test_stopping_waits_for_acknowledgements_under_way() -> None:
    """C9: `quiet` returns when what was appended has been answered."""
    durable = trio.Event()
    async with connected(Script(_1=after(durable))) as (transport, connection), trio.open_nursery() as nursery:
        transport.deliver(request(1))
        await settle()
        done = trio.Event()

        async def wait() -> None:
            await connection.quiet()
            done.set()

        nursery.start_soon(wait)
        await settle()
        assert not done.is_set()
        durable.set()
        await done.wait()
        assert replies(transport) == [1]


async def test_stopping_does_not_wait_for_a_peer_that_has_gone(autojump_clock: trio.testing.MockClock) -> None:
    """An acknowledgement that no peer is there to read any more holds up no stop."""
    async with connected(Script(_1=after(trio.Event()))) as (transport, connection), trio.open_nursery() as nursery:
        transport.deliver(request(1))
        await settle()
        nursery.start_soon(connection.quiet)
        await settle()
        transport.end()
    assert transport.closed


def request_of_many(number: int) -> bytes:
    """A Metadata v1 request with more topics than are decoded in one go."""
    names = b"\x00\x01t" * (AT_ONCE + 1)
    head = b"\x00\x03\x00\x01" + number.to_bytes(4, "big") + b"\xff\xff" + (AT_ONCE + 1).to_bytes(4, "big")
    return frame_prefix(len(head) + len(names)) + head + names


async def test_a_request_of_many_elements_is_decoded_elsewhere() -> None:
    """The event loop is not held up by it, and its handler finds it decoded, in its turn."""
    script = Script()
    async with connected(script, max_frame=1_000_000) as (transport, _):
        transport.deliver(request(1) + request_of_many(2) + request(3))
        await settle()
        assert script.begun == [1, 2, 3]
        assert replies(transport) == [1, 2, 3]


async def test_a_large_reply_leaves_in_its_order_and_whole() -> None:
    """A reply with very many elements is encoded as it is sent, whether it was ready at once or had to wait."""
    large = ApiVersionsResponse(api_keys=[ApiVersion(api_key=number % 100) for number in range(AT_ONCE + 1)])
    durable = trio.Event()

    async def wait() -> ApiVersionsResponse:
        await durable.wait()
        return large

    async with connected(Script(_1=large, _2=wait)) as (transport, _):
        transport.deliver(request(1) + request(2) + request(3))
        await settle()
        assert replies(transport) == [1]
        durable.set()
        await settle()
        assert replies(transport) == [1, 2, 3]
