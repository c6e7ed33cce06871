"""Who is let in, before anything of a request is looked at.

The page shows what is in a cluster and can write to it, at an address that every program of the machine, and every site
open in a browser on it, can send requests to. So:

* **The name.** A request must name the host by one of the names that the page was given (`Host`, exactly one): another
  site's page, whose name was made to lead here (DNS rebinding), names that site.
* **The token.** 128 bits of chance, printed in the address at the start. The first request brings it in the query and
  gets a cookie for it, which no script can read (HttpOnly) and no other site's page can have sent along
  (SameSite=Strict); the address is then without it. Programs may send it as `Authorization: Bearer`.
* **The origin.** What changes something is a POST whose `Origin` is this page, and no request may come from another
  site's page (`Sec-Fetch-Site`), with or without a cookie.
* **What a page may do.** No script, style, picture or connection but from here, no frame around it, no form elsewhere
  (Content-Security-Policy); nothing is kept by caches, no address is given to other sites.

The referrer's policy is `same-origin`: with `no-referrer` a browser sends `Origin: null` with the page's own forms.

A query is bounded here, the header by the server, a body by `read_body`.

Promises kept here: W4 in docs/invariants.md.
"""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable, Collection, MutableMapping
from typing import Any, Final, TypeAlias
from urllib.parse import parse_qsl, urlencode

import trio
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request, cookie_parser
from starlette.responses import PlainTextResponse, RedirectResponse, Response

Scope: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send: TypeAlias = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Application: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]

MOST_QUERY_BYTES: Final = 8 * 1024
MOST_BODY_BYTES: Final = 2 << 20
BODY_SECONDS: Final = 15

ALWAYS: Final = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
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


class Guard:
    """Lets requests to `app` in, or answers them itself."""

    def __init__(self, app: Application, token: str, hosts: Collection[str]) -> None:
        """`hosts` are the values of Host that are answered, in lower case: a name and, where it is not 80, the port."""
        self._app = app
        self._token = token
        self._hosts = frozenset(hosts)
        self._cookie = "ottla_page_" + (min(self._hosts).rpartition(":")[2])  # cookies do not know ports

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return  # a websocket, or the server's own messages: there is nothing for them

        async def send_with_headers(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in ALWAYS.items():
                    headers.setdefault(name, value)
            await send(message)

        refusal = self._refusal(scope)
        await (self._app if refusal is None else refusal)(scope, receive, send_with_headers)

    def _refusal(self, scope: Scope) -> Response | None:
        """What is answered instead; None if the request may come in."""
        headers = Headers(scope=scope)
        hosts = headers.getlist("host")
        if len(hosts) != 1 or hosts[0].lower() not in self._hosts:
            return PlainTextResponse("this page is not served by that name\n", 421)
        if len(scope.get("query_string", b"")) > MOST_QUERY_BYTES:
            return PlainTextResponse("the query is too long\n", 414)
        if headers.get("sec-fetch-site", "none") not in ("none", "same-origin"):
            return PlainTextResponse("requests from other sites are not answered\n", 403)
        if scope["path"].startswith("/static/"):
            return None
        if scope["method"] not in ("GET", "HEAD", "POST"):
            return PlainTextResponse("the page knows GET and POST\n", 405)
        if scope["method"] == "POST" and headers.getlist("origin") != [f"http://{hosts[0].lower()}"]:
            return PlainTextResponse("only the page itself may post\n", 403)
        brought = [value for name, value in parse_qsl(scope["query_string"].decode("latin-1")) if name == "token"]
        if brought and scope["method"] != "POST":
            return self._greeting(scope, brought[0])
        kept = cookie_parser(headers.get("cookie", "")).get(self._cookie, "")
        bearer = headers.get("authorization", "").removeprefix("Bearer ")
        if self._is_token(kept) or self._is_token(bearer):
            return None
        return PlainTextResponse("open the address that was printed at the start: it has the token\n", 401)

    def _greeting(self, scope: Scope, brought: str) -> Response:
        """The cookie for the token, and the address without it."""
        if not self._is_token(brought):
            return PlainTextResponse("that is not the token of this start\n", 401)
        rest = [each for each in parse_qsl(scope["query_string"].decode("latin-1")) if each[0] != "token"]
        path = "/" + scope["path"].lstrip("/\\")  # never //host, which would lead away
        response = RedirectResponse(path + ("?" + urlencode(rest) if rest else ""), 303)
        response.set_cookie(self._cookie, self._token, httponly=True, samesite="strict", path="/")
        return response

    def _is_token(self, word: str) -> bool:
        return hmac.compare_digest(word.encode("utf-8", "replace"), self._token.encode())


async def read_body(request: Request) -> bytes:
    """The body of a request. Raises TooLarge."""
    body = bytearray()
    with trio.move_on_after(BODY_SECONDS) as limit:
        async for some in request.stream():
            body += some
            if len(body) > MOST_BODY_BYTES:
                raise TooLarge
    if limit.cancelled_caught:
        raise TooLarge
    return bytes(body)
