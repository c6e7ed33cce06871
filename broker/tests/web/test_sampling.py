"""What a stack is at work on, and that looking at a thread finds it."""

from __future__ import annotations

import sys
import threading
from types import FrameType

import trio

from broker.web.sampling import IDLE, OTHER, watched, work_of
from storage.seams.offload import Lane, ThreadOffload


def stack(*files: str) -> FrameType:
    """The innermost frame of functions that call each other, each in a file of this name, the outermost first."""
    inner: list[FrameType] = []

    def end() -> None:
        inner.append(sys._getframe(1))

    names: dict[str, object] = {"next_0": end}
    for depth, file in enumerate(reversed(files)):
        code = compile(f"def next_{depth + 1}():\n    next_{depth}()", file, "exec")
        exec(code, names)
    called = names[f"next_{len(files)}"]
    assert callable(called)
    called()
    return inner[0]


def test_a_handler_on_the_stack_names_its_api() -> None:
    """Whatever it has called."""
    assert work_of(stack("/x/broker/network/connection.py", "/x/broker/handlers/offset_fetch.py")) == "OffsetFetch"
    assert work_of(stack("/x/broker/handlers/produce.py", "/x/storage/local/log.py")) == "Produce"


def test_else_it_is_the_innermost_part() -> None:
    """The one that calls is not what is at work."""
    assert work_of(stack("/x/trio/_core/_run.py", "/x/storage/local/upkeep.py")) == "logs and their upkeep"
    assert (
        work_of(stack("C:\\x\\broker\\network\\connection.py", "C:\\x\\kproto\\framing.py")) == "encoding and decoding"
    )


async def test_a_loop_that_waits_is_found_waiting() -> None:
    """From a thread beside it; nothing of it is held up."""
    found = await ThreadOffload().run(watched, threading.get_ident(), 0.05, lane=Lane.LOOKING)
    assert found.samples > 0
    assert dict(found.shares).keys() <= {IDLE, "the event loop itself", OTHER}
    assert abs(sum(share for _, share in found.shares) - 1) < 1e-9
    await trio.lowlevel.checkpoint()
