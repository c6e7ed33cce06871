"""Operations of the control API about all that the broker knows: reset, snapshots, backups.

They are given the lives of the broker (`broker/lifetimes.py`), which a life itself does not know. What is injected into
a life ends with it, faults included. Snapshots are kept beside the lives, so they outlast a reset, within the bounds of
`KeptBackups`; a body that is a backup has at most `MOST_UPLOADED` bytes, and is held in memory while it is read.
"""

from __future__ import annotations

from contextlib import aclosing
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import trio
from starlette.responses import Response

from broker import backups
from broker.backups import KeptBackups
from broker.control.app import Asked, Operation, Running
from broker.control.fields import BadRequest, Refusal
from storage.engine import StoreError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from broker.lifetimes import Lifetimes
    from broker.web.endpoints import Receive, Scope, Send

MOST_UPLOADED: Final = 256 << 20
UPLOAD_SECONDS: Final = 120.0
LONGEST_NAME: Final = 100
CONFLICT: Final = 409
TOO_LARGE: Final = 413


def life_operations(lifetimes: Lifetimes) -> tuple[Operation, ...]:
    """Those of a broker with these lives."""
    kept = KeptBackups()

    def about(work: Callable[[Lifetimes, KeptBackups, Asked], Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        return partial(_do, work, lifetimes, kept)

    return (
        Operation("POST", "/reset", about(_reset), "Bring the broker back to empty, as a new one would be."),
        Operation("POST", "/snapshots", about(_keep), "Keep all that the broker knows, under a name."),
        Operation("GET", "/snapshots", about(_list), "The snapshots that are kept, and their bytes."),
        Operation("DELETE", "/snapshots/{name}", about(_forget), "Forget a snapshot."),
        Operation("POST", "/restore", about(_restore), "Bring back the state of a snapshot."),
        Operation("GET", "/backup", about(_back_up), "A backup, as an archive; clients go on meanwhile."),
        Operation("POST", "/backup", about(_take), "Bring back the state of a backup, which is the body."),
    )


async def _do(
    work: Callable[[Lifetimes, KeptBackups, Asked], Awaitable[Any]],
    lifetimes: Lifetimes,
    kept: KeptBackups,
    running: Running,
    asked: Asked,
) -> Any:
    try:
        return await work(lifetimes, kept, asked)
    except StoreError as error:
        raise Refusal(CONFLICT, str(error)) from error


async def _reset(lifetimes: Lifetimes, kept: KeptBackups, asked: Asked) -> None:
    (await asked.fields()).done()
    await lifetimes.reset()


async def _keep(lifetimes: Lifetimes, kept: KeptBackups, asked: Asked) -> Any:
    fields = await asked.fields()
    name = fields.text("name", LONGEST_NAME)
    fields.done()
    if name is not None and (not name or "/" in name):
        raise BadRequest("a snapshot's name has a letter, and no slash")
    name = await kept.keep(lifetimes, name)
    return {"name": name, "bytes": kept.sizes()[name]}


async def _list(lifetimes: Lifetimes, kept: KeptBackups, asked: Asked) -> Any:
    return {"snapshots": kept.sizes()}


async def _forget(lifetimes: Lifetimes, kept: KeptBackups, asked: Asked) -> None:
    kept.forget(asked.path["name"])


async def _restore(lifetimes: Lifetimes, kept: KeptBackups, asked: Asked) -> None:
    fields = await asked.fields()
    name = fields.text("name", LONGEST_NAME)
    fields.done()
    if name is None:
        raise BadRequest("'name' must say which snapshot")
    await backups.take(lifetimes, kept.bytes_of(name))


async def _back_up(lifetimes: Lifetimes, kept: KeptBackups, asked: Asked) -> Response:
    return Archive(lifetimes)


async def _take(lifetimes: Lifetimes, kept: KeptBackups, asked: Asked) -> None:
    body = bytearray()
    with trio.move_on_after(UPLOAD_SECONDS) as limit:
        async with aclosing(asked.request.stream()) as pieces:
            async for piece in pieces:
                body += piece
                if len(body) > MOST_UPLOADED:
                    raise Refusal(
                        TOO_LARGE, f"a backup that is sent has {MOST_UPLOADED} bytes at most: start with serve --from"
                    )
    if limit.cancelled_caught:
        raise Refusal(TOO_LARGE, f"a backup is sent within {UPLOAD_SECONDS:g} s: start with serve --from")
    await backups.take(lifetimes, bytes(body))


class Archive(Response):
    """A backup, sent as it is made. If that fails half-way, the connection breaks before the end."""

    def __init__(self, lifetimes: Lifetimes) -> None:
        super().__init__(media_type="application/x-tar")
        del self.headers["content-length"]
        self._lifetimes = lifetimes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with aclosing(backups.stream(self._lifetimes)) as pieces:
            begun = False
            async for piece in pieces:
                if not begun:
                    await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
                    begun = True
                await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": b""})
