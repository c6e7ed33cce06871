"""One client's connection: replies in order, overlap where order allows, and an end for every kind of misbehaviour."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
import trio
import trio.testing

from broker.context import CloseConnection, FirstPhase
from broker.network.connection import (
    ENDED_SECONDS,
    FETCH,
    FRAME_GRACE_SECONDS,
    MAX_PARKED,
    MAX_QUEUED,
    REQUESTS_BEFORE_YIELD,
    WRITE_STALL_SECONDS,
)
from broker.network.watch import LOOK_SECONDS, SLOT_SECONDS, Ending
from broker.testing.transports import MemoryTransport
from broker.tests.network.served import (
    IDLE_SECONDS,
    Awaited,
    Script,
    after,
    connected,
    connection_on,
    ended_after,
    replies,
    request,
    settle,
)
from kproto.connection import AT_ONCE
from kproto.framing import frame_prefix
from kproto.messages.api_versions import ApiVersion, ApiVersionsResponse


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


async def test_replies_that_are_at_hand_leave_with_the_one_that_was_waited_for() -> None:
    """Five batches of a producer are durable together: their acknowledgements are one system call."""
    durable = trio.Event()

    waiting = partial(Awaited, durable)
    script = Script(_1=waiting, _2=waiting, _3=waiting)
    async with connected(script) as (transport, _):
        transport.deliver(request(1) + request(2) + request(3) + request(4))
        await settle()
        sends = transport.sends
        durable.set()
        await settle()
        assert replies(transport) == [1, 2, 3, 4]
        assert transport.sends == sends + 1


async def test_a_reply_is_not_held_back_for_one_that_must_be_waited_for() -> None:
    """What is at hand leaves before the connection waits for the next."""
    first, second = trio.Event(), trio.Event()
    script = Script(_1=partial(Awaited, first), _2=partial(Awaited, second))
    async with connected(script) as (transport, _):
        transport.deliver(request(1) + request(2) + request(3))
        await settle()
        first.set()
        await settle()
        assert replies(transport) == [1]
        second.set()
        await settle()
        assert replies(transport) == [1, 2, 3]


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


async def test_a_peer_that_parks_fetches_is_slowed_down() -> None:
    """C5: at most MAX_PARKED Fetches of a connection wait, for they may wait for half an hour."""
    later = trio.Event()
    script = Script(**{f"_{number}": after(later) for number in range(1, 50)})
    fetch = bytes(4 + 4 + 4 + 4 + 1 + 4)  # version 4, with no topics
    sent = [frame_prefix(10 + len(fetch)) + request(number, FETCH, 4)[4:] + fetch for number in range(1, 50)]
    async with connected(script) as (transport, _):
        transport.deliver(b"".join(sent))
        await settle()
        assert len(script.begun) == MAX_PARKED
        later.set()
        await settle()
        assert len(script.begun) == len(sent)


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


async def test_many_requests_at_once_leave_turns_to_others() -> None:
    """Another client's request does not wait for all that one peer has sent."""
    script = Script()
    async with connected(script) as (busy, _), connected(script) as (other, _):

        def first() -> ApiVersionsResponse:
            other.deliver(request(1_000))
            return ApiVersionsResponse()

        script.answers[0] = first
        busy.deliver(b"".join(request(number) for number in range(10 * REQUESTS_BEFORE_YIELD)))
        await settle()
        assert script.begun.index(1_000) <= 2 * REQUESTS_BEFORE_YIELD
        assert replies(busy) == list(range(10 * REQUESTS_BEFORE_YIELD))


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
