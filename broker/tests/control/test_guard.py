"""Who may command a broker, and how much a request may be."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final, NamedTuple

import pytest
import trio

from broker.config.settings import ConfigError
from broker.control.app import MOST_BODY_BYTES, Asked, Controlled, Operation, Running, control_app
from broker.control.guard import ControlGuard, basic
from broker.control.serving import check_that_it_may_be
from broker.coordinators.cluster.credentials import Upsertion
from broker.network.connections import Connections
from broker.network.listener import Listener
from broker.security.sasl.scram import HASHES, credential_of, salted
from broker.testing.contexts import World, config, world
from broker.web.serving import HttpServer

TOKEN: Final = "0123456789abcdef"
LOGINS: Final = {
    "listeners": "SASL_PLAINTEXT://127.0.0.1:0",
    "sasl.enabled.mechanisms": "PLAIN,SCRAM-SHA-256",
    "listener.name.sasl_plaintext.plain.sasl.jaas.config": "org.apache.kafka.common.security.plain.PlainLoginModule "
    'required user_admin="adminsecret" user_alice="alicesecret";',
}
SECURED: Final = {
    **LOGINS,
    "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
    "super.users": "User:admin",
}


class Answer(NamedTuple):
    """A status, and what stands in the JSON."""

    status: int
    body: Any


class Api(NamedTuple):
    """A control API with one operation, `POST /echo`, and who asks it."""

    port: int
    world: World

    async def ask(
        self, method: str = "POST", path: str = "/echo", body: str = "", headers: Mapping[str, str] | None = None
    ) -> Answer:
        """One request, with the token unless `headers` say otherwise; one that is empty is left out."""
        given = {"Host": f"localhost:{self.port}", "Ottla-Token": TOKEN, **(headers or {})}
        lines = [f"{name}: {value}\r\n" for name, value in given.items() if value]
        head = f"{method} {path} HTTP/1.1\r\nConnection: close\r\nContent-Length: {len(body)}\r\n{''.join(lines)}\r\n"
        stream = await trio.open_tcp_stream("127.0.0.1", self.port)
        async with stream:
            answer = b""
            with trio.fail_after(10):
                try:
                    await stream.send_all(head.encode() + body.encode())
                    async for some in stream:
                        answer += some
                except trio.BrokenResourceError:
                    pass
        front, _, rest = answer.decode().partition("\r\n\r\n")
        return Answer(int(front.split()[1]), json.loads(rest) if rest.startswith("{") else rest)


async def _echo(running: Running, asked: Asked) -> Any:
    fields = await asked.fields()
    word = fields.text("word")
    fields.done()
    return {"word": word}


@asynccontextmanager
async def api(settings: Mapping[str, str] | None = None) -> AsyncIterator[Api]:
    """The control API of a broker without listeners for clients."""
    echo = Operation("POST", "/echo", _echo, "Say it again.")
    async with world(settings) as w, trio.open_nursery() as nursery:
        controlled = Controlled()
        controlled.serving(w.services, Connections(w.services, [], nursery))
        listener = Listener("control", "127.0.0.1", 0)
        guarded = ControlGuard(control_app(controlled, [echo]), controlled, TOKEN, "127.0.0.1", listener.port)
        nursery.start_soon(HttpServer(guarded, listener).run)
        yield Api(listener.port, w)
        nursery.cancel_scope.cancel()
        listener.close()


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Ottla-Token": ""}, 401),
        ({"Ottla-Token": "x"}, 401),
        ({"Ottla-Token": "", "Authorization": f"Bearer {TOKEN}"}, 200),
        ({"Ottla-Token": "", "Authorization": "Bearer x"}, 401),
        ({"Host": "evil.example"}, 421),
        ({"Host": "127.0.0.1"}, 421),
        ({"Origin": "http://localhost"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({}, 200),
    ],
)
async def test_who_is_let_in(headers: dict[str, str], status: int) -> None:
    """W10: With the token, by the right name, from no page in a browser."""
    async with api() as broker:
        answer = await broker.ask(body='{"word": "x"}', headers=headers)
        assert (answer.status, answer.body.get("word")) == (status, "x" if status == 200 else None)


async def test_a_secured_broker_obeys_super_users_only() -> None:
    """W10: A user of PLAIN or of SCRAM, with the right password, who is one of super.users; and the token as well."""
    async with api(SECURED) as broker:

        async def status(user: str, password: str, token: str = TOKEN) -> int:
            word = base64.b64encode(f"{user}:{password}".encode()).decode()
            headers = {"Authorization": f"Basic {word}", "Ottla-Token": token}
            return (await broker.ask(body="{}", headers=headers)).status

        assert await status("admin", "adminsecret") == 200
        assert await status("admin", "adminsecret", token="x") == 401
        assert await status("admin", "wrong") == 401
        assert await status("bob", "adminsecret") == 401
        assert await status("alice", "alicesecret") == 403
        assert (await broker.ask(headers={"Authorization": f"Bearer {TOKEN}"})).status == 401
        assert (await broker.ask()).status == 401


async def test_users_of_scram_are_known() -> None:
    """By the password that the credential in the cluster's log was made of, and no other."""
    async with world(LOGINS) as w:
        which = HASHES["SCRAM-SHA-256"]
        credential = credential_of(which, salted(which, "secret", b"salt", 4096), b"salt", 4096)
        await w.cluster.alter_credentials((), [Upsertion("carol", which.number, credential)])
        assert await w.services.authentication.has_password("carol", "secret")
        assert not await w.services.authentication.has_password("carol", "Secret")
        assert not await w.services.authentication.has_password("dave", "secret")


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "word"),
    [
        ("POST", "/echo", "{", 400, "not JSON"),
        ("POST", "/echo", "[" * 50_000, 400, "not JSON"),
        ("POST", "/echo", "[1]", 400, "JSON object"),
        ("POST", "/echo", '{"word": 1}', 400, "'word' must be a text"),
        ("POST", "/echo", '{"wrod": "x"}', 400, "'wrod' is not known"),
        ("POST", "/echo", " " * (MOST_BODY_BYTES + 1), 413, "at most"),
        ("GET", "/echo", "", 404, "GET / lists"),
        ("POST", "/nothing", "", 404, "GET / lists"),
        ("PUT", "/echo", "", 405, "GET, POST, DELETE"),
    ],
)
async def test_what_makes_no_sense_is_refused_in_a_sentence(
    method: str, path: str, body: str, status: int, word: str
) -> None:
    """And is no fault of the broker's."""
    async with api() as broker:
        answer = await broker.ask(method, path, body)
        assert answer.status == status
        assert word in answer.body["error"]


async def test_what_there_is_can_be_asked_for() -> None:
    """A table of operations, from the one that routes are made from."""
    async with api() as broker:
        (operation,) = (await broker.ask("GET", "/")).body["operations"]
        assert operation == {"method": "POST", "path": "/echo", "what": "Say it again."}


@pytest.mark.parametrize(
    ("settings", "host", "word"),
    [
        (LOGINS, "0.0.0.0", "own machine only"),
        ({"authorizer.class.name": SECURED["authorizer.class.name"]}, "127.0.0.1", "no listener of this broker has"),
    ],
)
def test_what_could_not_be_guarded_is_not_started(settings: dict[str, str], host: str, word: str) -> None:
    """Passwords in clear over a network, or super users who could not prove that they are."""
    with pytest.raises(ConfigError, match=word):
        check_that_it_may_be(config(settings), host)


@pytest.mark.parametrize("value", ["", "Basic", "Basic !", "Basic YQ==", "Bearer YTpi", "Basic /w=="])
def test_other_credentials_are_none(value: str) -> None:
    """What is no name and password is as if it were not there."""
    assert basic(value) == ("", "")
