"""No list in a request holds the event loop: each array of each API that is served, with thousands of elements.

The requests are made from the declarations (`broker/testing/long_lists.py`) and go through a connection, so a new API
is tried by being there. `ENTRIES` are a tenth of what the decoder takes: enough to show a loop that does not give way.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest
import trio
import trio.testing

from broker.context import Peer
from broker.coordinators.cluster import NewTopic
from broker.handlers import HANDLERS, SERVED_VERSIONS
from broker.network.connection import Connection, Surroundings
from broker.network.dispatch import Dispatcher
from broker.network.rounds import Rounds
from broker.network.watch import Watch
from broker.observe.turns import LONGEST_SECONDS
from broker.testing.contexts import World, world
from broker.testing.long_lists import BATCH, arrays_of, filled
from broker.testing.transports import MemoryTransport
from broker.tests.handlers.acl_requests import SECURED
from kproto.connection import frame_buffers
from kproto.framing import BufferPool
from kproto.headers import write_request_header
from kproto.messages import request_type
from kproto.messages.find_coordinator import FindCoordinatorRequest
from kproto.messages.metadata import MetadataRequest, MetadataRequestTopic
from kproto.messages.produce import PartitionProduceData, ProduceRequest, TopicProduceData
from kproto.schema.compile import encode
from kproto.schema.declare import Request
from storage.seams.logging import RateLimitedLogger, get_logger
from storage.seams.offload import ThreadOffload

ENTRIES = 20_000
OF_ACLS = (29, 30, 31)
"""APIs that do nothing without an authorizer."""


@pytest.fixture(autouse=True)
def _no_searches() -> Iterator[None]:
    """The process of the tests holds a million objects, and a search for cycles would be blamed on whatever runs."""
    gc.disable()
    yield
    gc.enable()


def framed(request: Request, version: int) -> bytes:
    """A request as bytes."""
    header = write_request_header(request.api_key, version, 7, "client", version >= request.flexible_version)
    return b"".join(bytes(part) for part in frame_buffers(header, encode(request, version)))


async def answer(w: World, data: bytes) -> int:
    """Bytes of the reply to a request, over a connection of its own."""
    transport = MemoryTransport()
    log = RateLimitedLogger(get_logger(__name__), trio.current_time)
    around = Surroundings(Watch(trio.current_time()), BufferPool(), log, Rounds(w.services.turns))
    connection = Connection(transport, Peer("192.0.2.1", 50_000), w.services, Dispatcher(w.services), around)
    transport.deliver(data)
    transport.end()
    await connection.serve()
    return len(transport.sent_bytes)


@pytest.mark.parametrize("api_key", HANDLERS)
def test_a_long_list_holds_up_no_other_client(api_key: int) -> None:
    """C15: not for longer than 20 ms of the processor's time, whether the elements are equal or all different."""
    request, version = request_type(api_key), SERVED_VERSIONS[api_key][1]
    found: dict[str, float] = {}

    async def ask() -> None:
        settings = SECURED if api_key in OF_ACLS else None
        async with world(settings, groups=True, offload=ThreadOffload()) as w:
            await w.ask(FindCoordinatorRequest(coordinator_keys=["lists"]), 4)
            for path in arrays_of(request, version):
                for equal in (True, False):
                    await answer(w, framed(filled(request, version, path, equal, 1), version))  # imports, compilation
                    data = framed(filled(request, version, path, equal, ENTRIES), version)
                    turns = w.services.turns = type(w.services.turns)()
                    trio.lowlevel.add_instrument(turns)
                    await trio.lowlevel.checkpoint()
                    assert await answer(w, data) > 0
                    await trio.lowlevel.checkpoint()
                    trio.lowlevel.remove_instrument(turns)
                    if turns.statistics().too_long:
                        words = "equal" if equal else "different"
                        found[f"{'.'.join(field.name for field in path)}, {words}"] = turns.statistics().longest_ms

    trio.run(ask)
    assert not found, f"milliseconds, of {1000 * LONGEST_SECONDS} at most"


def test_a_batch_for_each_of_thousands_of_partitions_holds_up_no_other_client() -> None:
    """The partitions exist, and each takes its batch."""
    part = [PartitionProduceData(index=number, records=BATCH) for number in range(5_000)]
    data = framed(
        ProduceRequest(acks=-1, timeout_ms=60_000, topic_data=[TopicProduceData(name="t", partition_data=part)]), 9
    )

    async def ask() -> None:
        async with world(offload=ThreadOffload()) as w:
            await w.cluster.create_topics([NewTopic("t", 5_000)])
            await answer(w, data)  # imports, compilation
            turns = w.services.turns = type(w.services.turns)()
            trio.lowlevel.add_instrument(turns)
            await trio.lowlevel.checkpoint()
            assert await answer(w, data) > 5_000
            await trio.lowlevel.checkpoint()
            trio.lowlevel.remove_instrument(turns)
            assert turns.statistics().too_long == 0, turns.statistics()
            last = w.services.partitions.get("t", 4_999)
            assert last is not None and last.log.log_end_offset == 2

    trio.run(ask)


def test_many_small_requests_hold_up_no_other_client() -> None:
    """A connection that sends thousands of them at once gives way between them."""
    data = framed(MetadataRequest(topics=[MetadataRequestTopic(name="t")]), 8)

    async def ask() -> None:
        async with world(offload=ThreadOffload()) as w:
            await answer(w, data)
            trio.lowlevel.add_instrument(w.services.turns)
            await trio.lowlevel.checkpoint()
            await answer(w, data * 3000)
            await trio.lowlevel.checkpoint()
            trio.lowlevel.remove_instrument(w.services.turns)
            assert w.services.turns.statistics().too_long == 0

    trio.run(ask)
