"""Who may command this broker.

What is asked of every request stands in `broker/web/guard.py`: the name, no other site, the token. Here besides:

* **No browser.** A program has no use for `Origin`, so a request that has one comes from a page, and is refused. There
  is no cookie: the token comes as `Authorization: Bearer TOKEN`, or as `Ottla-Token: TOKEN`.
* **The name** is looked at where the listener is on loopback. Elsewhere (in a container, whose ports have other numbers
  outside) it is not known; the token, which no page of another site can have, is what guards.
* **Super users only.** On a secured broker, one that has a listener with SASL or an authorizer, a request must also
  bring the name and the password of a user (`Authorization: Basic`; the token then comes as `Ottla-Token`), as any
  listener with PLAIN or SCRAM would let in. Where there is an authorizer, that user must be one of `super.users`.
  Passwords are not encrypted here, so such a broker is controlled from its own machine only; anything else stops
  its start.

Passwords are tried one at a time, behind the token; a refusal is a line of the audit log of authentication.
"""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING, Final

import trio
from starlette.datastructures import Headers
from starlette.responses import JSONResponse, Response

from broker.security.principals import USER, Principal
from broker.web.guard import (
    LOOPBACK,
    Application,
    Receive,
    Refused,
    Scope,
    Send,
    bearer,
    is_same,
    own_hosts,
    refusal,
    with_headers,
)

if TYPE_CHECKING:
    from broker.config.settings import BrokerConfig
    from broker.context import Services
    from broker.control.app import Controlled

TOKEN_HEADER: Final = "ottla-token"
NO_TOKEN: Final = Refused(401, "send the token of this start: Authorization: Bearer TOKEN, or Ottla-Token: TOKEN")
NO_USER: Final = Refused(
    401, "this broker is secured: send Authorization: Basic with the name and password of a super user, and Ottla-Token"
)
A_BROWSER: Final = Refused(403, "pages in a browser may not command a broker")
METHODS: Final = ("GET", "POST", "DELETE")


class ControlGuard:
    """Lets requests to `app` in, or answers them itself."""

    def __init__(self, app: Application, controlled: Controlled, token: str, host: str, port: int) -> None:
        self._app = app
        self._controlled = controlled
        self._token = token
        self._hosts = own_hosts(host, port) if host in LOOPBACK else None
        self._one_at_a_time = trio.Lock()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        headers = Headers(scope=scope)
        refused = self._refusal(scope, headers)
        services = self._controlled.services
        if refused is None and services is not None and is_secured(services.config):
            async with self._one_at_a_time:
                refused = await self._not_a_super_user(services, headers)
        answer: Application | Response = self._app if refused is None else error_of(refused)
        await answer(scope, receive, with_headers(send, {}))

    def _refusal(self, scope: Scope, headers: Headers) -> Refused | None:
        if (refused := refusal(scope, headers, self._hosts)) is not None:
            return refused
        if "origin" in headers:
            return A_BROWSER
        if scope["method"] not in METHODS:
            return Refused(405, f"there are {', '.join(METHODS)} here")
        words = headers.getlist(TOKEN_HEADER) or [bearer(headers)]
        return None if len(words) == 1 and is_same(words[0], self._token) else NO_TOKEN

    async def _not_a_super_user(self, services: Services, headers: Headers) -> Refused | None:
        user, password = basic(headers.get("authorization", ""))
        if not user:
            return NO_USER
        if not await services.authentication.has_password(user, password):
            return Refused(401, "no user has this name and this password")
        authorizer = services.authorizer
        if authorizer is not None and not authorizer.is_super_user(Principal(USER, user)):
            return Refused(403, "this user is none of super.users")
        return None


def is_secured(config: BrokerConfig) -> bool:
    """Whether a client of this broker must prove who it is, or what it may do is asked."""
    return bool(config.authorizer_class_name) or any(
        listener.protocol.startswith("SASL") for listener in config.listeners
    )


def basic(value: str) -> tuple[str, str]:
    """(user, password) of an `Authorization: Basic` (RFC 7617); two empty words if it is none."""
    word, _, coded = value.partition(" ")
    if word.lower() != "basic":
        return "", ""
    try:
        user, colon, password = base64.b64decode(coded.strip(), validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return "", ""
    return (user, password) if colon else ("", "")


def error_of(refused: Refused) -> Response:
    """A refusal as the API words it."""
    headers = {"WWW-Authenticate": 'Basic realm="ottla"'} if refused is NO_USER else None
    return JSONResponse({"error": refused.sentence}, refused.status, headers)
