"""Who is let in to the page, before anything of a request is looked at.

What is asked of every request stands in `broker/web/guard.py`: the name, no other site, the token. The page adds what a
browser needs:

* **The token** is printed in the address at the start. The first request brings it in the query and gets a cookie for
  it, which no script can read (HttpOnly) and no other site's page can have sent along (SameSite=Strict); the address is
  then without it. Programs may send it as `Authorization: Bearer`.
* **The origin.** What changes something is a POST whose `Origin` is this page.
* **What a page may do.** No script, style, picture or connection but from here, no frame around it, no form elsewhere
  (Content-Security-Policy); no address is given to other sites.

The referrer's policy is `same-origin`: with `no-referrer` a browser sends `Origin: null` with the page's own forms.

Promises kept here: W4 in docs/invariants.md.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final
from urllib.parse import parse_qsl, urlencode

from starlette.datastructures import Headers
from starlette.requests import cookie_parser
from starlette.responses import PlainTextResponse, RedirectResponse, Response

from broker.web.guard import Application, Receive, Scope, Send, bearer, is_same, refusal, with_headers

OF_A_PAGE: Final = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
}
"""Headers of every answer, beside those of every server."""


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
        refused = self._refusal(scope)
        await (self._app if refused is None else refused)(scope, receive, with_headers(send, OF_A_PAGE))

    def _refusal(self, scope: Scope) -> Response | None:
        """What is answered instead; None if the request may come in."""
        headers = Headers(scope=scope)
        if (refused := refusal(scope, headers, self._hosts)) is not None:
            return PlainTextResponse(f"{refused.sentence}\n", refused.status)
        if scope["path"].startswith("/static/"):
            return None
        if scope["method"] not in ("GET", "HEAD", "POST"):
            return PlainTextResponse("the page knows GET and POST\n", 405)
        if scope["method"] == "POST" and headers.getlist("origin") != [f"http://{headers['host'].lower()}"]:
            return PlainTextResponse("only the page itself may post\n", 403)
        brought = [value for name, value in parse_qsl(scope["query_string"].decode("latin-1")) if name == "token"]
        if brought and scope["method"] != "POST":
            return self._greeting(scope, brought[0])
        kept = cookie_parser(headers.get("cookie", "")).get(self._cookie, "")
        if is_same(kept, self._token) or is_same(bearer(headers), self._token):
            return None
        return PlainTextResponse("open the address that was printed at the start: it has the token\n", 401)

    def _greeting(self, scope: Scope, brought: str) -> Response:
        """The cookie for the token, and the address without it."""
        if not is_same(brought, self._token):
            return PlainTextResponse("that is not the token of this start\n", 401)
        rest = [each for each in parse_qsl(scope["query_string"].decode("latin-1")) if each[0] != "token"]
        path = "/" + scope["path"].lstrip("/\\")  # never //host, which would lead away
        response = RedirectResponse(path + ("?" + urlencode(rest) if rest else ""), 303)
        response.set_cookie(self._cookie, self._token, httponly=True, samesite="strict", path="/")
        return response
