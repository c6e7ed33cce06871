"""An OSError ends a connection in two ways: the peer has gone, which is no news, or something of ours has failed."""

from __future__ import annotations

import errno
import inspect
import json
import os
from collections.abc import Iterator
from io import StringIO
from typing import Any

import pytest

from broker.context import FirstPhase
from broker.network.watch import Ending
from broker.testing.transports import MemoryTransport
from broker.tests.network.served import Script, connection_on, request
from storage.seams.logging import process_lines


@pytest.fixture
def lines() -> Iterator[StringIO]:
    """What is logged."""
    stream = StringIO()
    process_lines().configure(form="json", stream=stream)
    yield stream
    process_lines().configure()


class BrokenTransport(MemoryTransport):
    """One whose sending fails with this error."""

    def __init__(self, code: int) -> None:
        super().__init__()
        self._code = code

    def send_now(self, buffers: Any) -> Any:
        raise OSError(self._code, os.strerror(self._code))


@pytest.mark.parametrize("code", [errno.EPIPE, errno.ECONNRESET, errno.ETIMEDOUT, errno.EHOSTUNREACH])
async def test_a_peer_that_has_gone_is_no_news(code: int, lines: StringIO) -> None:
    """It ends as broken, without a line."""
    assert await ended_by(code) is Ending.BROKEN
    assert lines.getvalue() == ""


@pytest.mark.parametrize("code", [errno.EIO, errno.EMFILE, errno.ENOMEM, errno.ESTALE])
async def test_an_error_of_ours_is_logged(code: int, lines: StringIO) -> None:
    """A file that cannot be read while it is sent, or what this process is short of, is not the peer's end."""
    assert await ended_by(code) is Ending.FAULT
    [line] = lines.getvalue().splitlines()
    assert json.loads(line)["event"] == "connection closed by a fault"


@pytest.mark.parametrize("as_first_phase", [False, True])
@pytest.mark.parametrize("eager", [False, True])
async def test_work_that_a_client_did_not_wait_for_is_given_up(eager: bool, as_first_phase: bool) -> None:
    """Its coroutine is closed, and not forgotten, which Python would complain about."""

    async def work() -> None:
        raise AssertionError("the client has gone")

    waiting = work()
    script = Script(_2=lambda: FirstPhase(waiting) if as_first_phase else waiting)
    script.eager = eager
    transport = BrokenTransport(errno.ECONNRESET)
    connection, _ = connection_on(transport, script)
    transport.deliver(request(1) + request(2))
    await connection.serve()
    assert script.begun == [1, 2]
    assert inspect.getcoroutinestate(waiting) == inspect.CORO_CLOSED


async def ended_by(code: int) -> Ending:
    """How a connection ends whose reply cannot be sent."""
    transport = BrokenTransport(code)
    connection, _ = connection_on(transport, Script())
    transport.deliver(request(1))
    await connection.serve()
    return connection.ending
