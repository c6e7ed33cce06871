"""The door to other processes: long work in Python that would hold up the event loop even from a thread.

Python runs one thread at a time. A thread that computes for seconds takes turns with the event loop, five milliseconds
each, at every system call of the latter; requests then take ten times as long. So such work goes to a process of its
own, of lower priority, which is started for it and ends with it.

    async with apart.state(make, argument) as state:       # make(argument) runs over there and its result stays there
        answer = await state.run(work, other)              # work(that result, other) runs over there

What is sent, either way, is pickled: functions of modules, plain data, exceptions.

**No process outlives us.** The other one reads its orders from a pipe; a thread of it does nothing else, and when the
pipe ends, because we closed it or died, the process ends at once, whatever it is doing. Cancelling the task that waits
has the same effect, so half-done work must be something that can be thrown away.

`ThreadApart` is the twin that does the same in a thread of this process: where no process can be started, and in tests.
An object that is asked to stop (`stop`, a method) then has to do so by itself, soon.
"""

from __future__ import annotations

import os
import pickle
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Final, Generic, Protocol, TypeVar, TypeVarTuple

import trio

from storage.seams.offload import Offload

Arguments = TypeVarTuple("Arguments")
Result = TypeVar("Result")
Made = TypeVar("Made")
There = TypeVar("There", covariant=True)

NICENESS: Final = 10
_LENGTH: Final = 8
_START: Final = (
    "import pickle, sys; sys.path[:] = pickle.load(sys.stdin.buffer); import storage.seams.apart as a; a.serve()"
)


class ProcessDied(Exception):
    """The other process ended before it answered: it was killed, or it ran out of memory."""


class State(Protocol[There]):
    """Something that exists elsewhere."""

    async def run(self, work: Callable[[There, *Arguments], Result], *arguments: *Arguments) -> Result:
        """Call `work` with it, where it is; return or raise what that does. Raises ProcessDied."""
        ...


class Apart(Protocol):
    """Where long work goes."""

    def state(
        self, make: Callable[[*Arguments], Made], *arguments: *Arguments
    ) -> AbstractAsyncContextManager[State[Made]]:
        """Have `make(*arguments)` made elsewhere, for as long as the context lasts. Raises what that raises."""
        ...


class ThreadApart:
    """In a thread of this process."""

    def __init__(self, offload: Offload) -> None:
        self._offload = offload

    @asynccontextmanager
    async def state(self, make: Callable[[*Arguments], Made], *arguments: *Arguments) -> AsyncIterator[State[Made]]:
        yield _InThread(self._offload, await self._offload.run(make, *arguments))


class _InThread(Generic[Made]):
    def __init__(self, offload: Offload, made: Made) -> None:
        self._offload = offload
        self._made = made

    async def run(self, work: Callable[[Made, *Arguments], Result], *arguments: *Arguments) -> Result:
        done: list[Result] = []
        failure: Exception | None = None
        over = False

        async def stop_when_cancelled() -> None:
            try:
                await trio.sleep_forever()
            finally:
                if not over and (stop := getattr(self._made, "stop", None)) is not None:
                    stop()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(stop_when_cancelled)
            try:
                done.append(await self._offload.run(work, self._made, *arguments))
            except Exception as error:
                failure = error
            over = True
            nursery.cancel_scope.cancel()
        if failure is not None:
            raise failure
        return done[0]


class ProcessApart:
    """In a process of its own; where the system starts none, as `otherwise` says."""

    def __init__(self, otherwise: Apart) -> None:
        self._otherwise = otherwise

    @asynccontextmanager
    async def state(self, make: Callable[[*Arguments], Made], *arguments: *Arguments) -> AsyncIterator[State[Made]]:
        try:
            process = await trio.lowlevel.open_process(
                [sys.executable, "-c", _START], stdin=subprocess.PIPE, stdout=subprocess.PIPE
            )
        except (OSError, ValueError):
            async with self._otherwise.state(make, *arguments) as state:
                yield state
            return
        try:
            there = _InProcess[Made](process)
            await there.introduce(make, arguments)
            yield there
        finally:
            with trio.CancelScope(shield=True):
                process.kill()
                await process.wait()
                for stream in (process.stdin, process.stdout):
                    if stream is not None:
                        await stream.aclose()


class _InProcess(Generic[Made]):
    def __init__(self, process: trio.Process) -> None:
        assert process.stdin is not None and process.stdout is not None
        self._orders = process.stdin
        self._answers = process.stdout

    async def introduce(self, make: Callable[..., Made], arguments: tuple[Any, ...]) -> None:
        await self._ask(pickle.dumps(sys.path) + _frame((make, arguments)))

    async def run(self, work: Callable[[Made, *Arguments], Result], *arguments: *Arguments) -> Result:
        result: Result = await self._ask(_frame((work, arguments)))
        return result

    async def _ask(self, order: bytes) -> Any:
        try:
            await self._orders.send_all(order)
            size = int.from_bytes(await self._receive(_LENGTH), "big")
            succeeded, result = pickle.loads(await self._receive(size))
        except (trio.BrokenResourceError, EOFError):
            raise ProcessDied("a process of ours ended before its work was done") from None
        if not succeeded:
            raise result
        return result

    async def _receive(self, size: int) -> bytes:
        data = bytearray()
        while len(data) < size:
            part = await self._answers.receive_some(size - len(data))
            if not part:
                raise EOFError
            data += part
        return bytes(data)


def _frame(message: object) -> bytes:
    data = pickle.dumps(message)
    return len(data).to_bytes(_LENGTH, "big") + data


# -- over there --------------------------------------------------------------------------------------------------------


def serve() -> None:
    """The main function of the other process: carry out orders from standard input until it ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for our owner, who closes the pipe
    if hasattr(os, "nice"):
        os.nice(NICENESS)
    answers = sys.stdout.buffer
    sys.stdout = sys.stderr
    orders: queue.SimpleQueue[Any] = queue.SimpleQueue()
    threading.Thread(target=_read_orders, args=(orders,), daemon=True).start()
    make, arguments = orders.get()
    made: Any = None
    work: Callable[..., Any] = make
    while True:
        try:
            result = work(*arguments)
            if work is make:
                made, result = result, None
            answer = _frame((True, result))
        except Exception as error:
            answer = _frame_of_error(error)
        answers.write(answer)
        answers.flush()
        work, arguments = orders.get()
        arguments = (made, *arguments)


def _frame_of_error(error: Exception) -> bytes:
    try:
        frame = _frame((False, error))
        pickle.loads(frame[_LENGTH:])
    except Exception:  # not every exception survives the journey
        return _frame((False, RuntimeError(f"{type(error).__name__}: {error}")))
    return frame


def _read_orders(orders: queue.SimpleQueue[Any]) -> None:
    source = sys.stdin.buffer
    while True:
        size = source.read(_LENGTH)
        if len(size) < _LENGTH:
            os._exit(0)
        order = source.read(int.from_bytes(size, "big"))
        orders.put(pickle.loads(order))
