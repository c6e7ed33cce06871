"""What is looked at of every HTTP request that may see or change a cluster, before anything else of it is.

Such an address can be reached by every program of the machine, and by every site that is open in a browser on it. So:

* **The name.** A request must name the host by one of the names that the server was given (`Host`, exactly one):
  another site's page, whose name was made to lead here (DNS rebinding), names that site.
* **Other sites.** No request may come from another site's page (`Sec-Fetch-Site`, which no script can set).
* **The token.** 128 bits of chance, new at each start unless it was chosen, compared in a time that says nothing.
* **Afterwards.** Nothing is kept by caches, guessed to be of another type, framed, or read by other sites.

A query is bounded here, the header by the server (`serving.py`), a body by `read_body`. Who uses this adds what is its
own: cookies and forms (`tools/page/guard.py`), super users (`broker/control/guard.py`).

Promises kept here: W4 in docs/invariants.md.
"""

from __future__ import annotations

import base64
import hmac
from collections.abc import Awaitable, Callable, Collection, Mapping, MutableMapping, Sequence
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias

import trio
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request

if TYPE_CHECKING:
    from storage.seams.entropy import Entropy

Scope: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send: TypeAlias = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Application: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]

MOST_QUERY_BYTES: Final = 8 * 1024
MOST_BODY_BYTES: Final = 2 << 20
BODY_SECONDS: Final = 15
LOOPBACK: Final = ("127.0.0.1", "::1", "localhost")

ALWAYS: Final = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
"""Headers of every answer."""


class TooLarge(Exception):
    """The body of a request is larger than may be, or did not come in time."""


class Refused(NamedTuple):
    """Why a request is not let in: a status of HTTP, and a sentence."""

    status: int
    sentence: str


def new_token(entropy: Entropy) -> str:
    """128 bits of chance, in letters that need no quoting anywhere."""
    return base64.urlsafe_b64encode(entropy.bytes(16)).decode().rstrip("=")


def is_same(word: str, token: str) -> bool:
    """Whether this is the token."""
    return hmac.compare_digest(word.encode("utf-8", "replace"), token.encode())


def bearer(headers: Headers) -> str:
    """The token that a program sends along; empty if it sends none."""
    return headers.get("authorization", "").removeprefix("Bearer ")


def refusal(scope: Scope, headers: Headers, hosts: Collection[str] | None) -> Refused | None:
    """Why a request is not answered that is for another server, from another site, or too long; None if it is none of
    these. `hosts` are the values of Host that are answered, None for any."""
    named = headers.getlist("host")
    if len(named) != 1 or (hosts is not None and named[0].lower() not in hosts):
        return Refused(421, "nothing is served here by that name")
    if len(scope.get("query_string", b"")) > MOST_QUERY_BYTES:
        return Refused(414, "the query is too long")
    if headers.get("sec-fetch-site", "none") not in ("none", "same-origin"):
        return Refused(403, "requests from other sites are not answered")
    return None


def with_headers(send: Send, always: Mapping[str, str]) -> Send:
    """`send`, which adds `ALWAYS` and `always` to the headers of an answer."""
    added = {**ALWAYS, **always}

    async def send_with_headers(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in added.items():
                headers.setdefault(name, value)
        await send(message)

    return send_with_headers


def own_hosts(host: str, port: int, names: Sequence[str] = ()) -> frozenset[str]:
    """The values of Host by which what listens at this address is asked for: its own, and `names`, which lead to it."""
    if host in LOOPBACK:
        own: tuple[str, ...] = ("127.0.0.1", "localhost", "[::1]")
    else:
        own = (f"[{host}]" if ":" in host else host,)
    lower = [name.lower() for name in (*own, *names)]
    return frozenset([*(f"{name}:{port}" for name in lower), *(lower if port == 80 else ())])


async def read_body(request: Request, most: int = MOST_BODY_BYTES) -> bytes:
    """The body of a request, of at most `most` bytes. Raises TooLarge."""
    body = bytearray()
    with trio.move_on_after(BODY_SECONDS) as limit:
        async with aclosing(request.stream()) as stream:
            async for some in stream:
                body += some
                if len(body) > most:
                    raise TooLarge
    if limit.cancelled_caught:
        raise TooLarge
    return bytes(body)
