"""Reset, snapshots and backups over HTTP: what a program in any language asks for."""

from __future__ import annotations

import http.client
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import NamedTuple
from urllib.parse import urlsplit

import pytest
import trio

from broker.backups import KeptBackups
from broker.lifetimes import Lifetimes
from broker.tests.test_lifetimes import living, make_topic, topics
from storage.engine import StoreError


class Refused(Exception):
    """An answer that is a sentence, and its status."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status


class Served(NamedTuple):
    """A broker in this process, and the address of its control API."""

    lifetimes: Lifetimes
    address: str

    async def ask(self, method: str, path: str, body: object = None) -> object:
        """The answer, JSON or bytes. Asked in a thread, which waits. Raises Refused."""
        return await trio.to_thread.run_sync(self._ask, method, path, body)

    def _ask(self, method: str, path: str, body: object) -> object:
        parts = urlsplit(self.address)
        assert parts.hostname is not None
        connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=60)
        data = body if isinstance(body, bytes) else None if body is None else json.dumps(body).encode()
        connection.request(method, path, data, {"Ottla-Token": parts.query.removeprefix("token=")})
        response = connection.getresponse()
        answer = response.read()
        is_json = response.headers.get_content_type() == "application/json"
        connection.close()
        if response.status != 200:
            raise Refused(response.status, json.loads(answer)["error"])
        found: object = json.loads(answer) if is_json else answer
        return found


@asynccontextmanager
async def served() -> AsyncIterator[Served]:
    """As long as the block lasts."""
    async with living(ottla_control_listener="0") as broker:
        yield Served(broker.lifetimes, broker.control)


async def test_a_reset_answers_when_it_is_done() -> None:
    """With an empty object; no topic is left."""
    async with served() as broker:
        await make_topic(broker.lifetimes)
        assert await broker.ask("POST", "/reset") == {}
        assert topics(broker.lifetimes) == set()


async def test_snapshots_are_kept_under_names() -> None:
    """A given one or a new one, over a reset, until they are forgotten."""
    async with served() as broker:
        await make_topic(broker.lifetimes, "one")
        first = await broker.ask("POST", "/snapshots", {"name": "first"})
        await make_topic(broker.lifetimes, "two")
        second = await broker.ask("POST", "/snapshots")
        assert isinstance(first, dict) and isinstance(second, dict)
        assert (first["name"], second["name"]) == ("first", "snapshot-1")
        await broker.ask("POST", "/reset")
        for name, expected in (("first", {"one"}), ("snapshot-1", {"one", "two"}), ("first", {"one"})):
            await broker.ask("POST", "/restore", {"name": name})
            assert topics(broker.lifetimes) == expected
        await broker.ask("DELETE", "/snapshots/first")
        assert await broker.ask("GET", "/snapshots") == {"snapshots": {"snapshot-1": second["bytes"]}}
        for method, path, body in (("POST", "/restore", {"name": "first"}), ("DELETE", "/snapshots/first", None)):
            with pytest.raises(Refused, match="no snapshot is called 'first'") as refused:
                await broker.ask(method, path, body)
            assert refused.value.status == 409


async def test_a_backup_goes_out_and_comes_back() -> None:
    """As bytes; one that is not whole is refused, and the broker goes on."""
    async with served() as broker:
        await make_topic(broker.lifetimes, records=200)
        backup = await broker.ask("GET", "/backup")
        assert isinstance(backup, bytes)
        await broker.ask("POST", "/reset")
        with pytest.raises(Refused, match="cut short"):
            await broker.ask("POST", "/backup", backup[:-3000])
        assert topics(broker.lifetimes) == set()
        assert await broker.ask("POST", "/backup", backup) == {}
        assert topics(broker.lifetimes) == {"orders"}


@pytest.mark.parametrize("body", [{"name": 3}, {"name": ""}, {"name": "a/b"}, {"name": "x" * 101}, {"nmae": "x"}])
async def test_a_snapshot_that_makes_no_sense_is_refused(body: object) -> None:
    """By the word that is wrong."""
    async with served() as broker:
        with pytest.raises(Refused, match=r"name|nmae") as refused:
            await broker.ask("POST", "/snapshots", body)
        assert refused.value.status == 400


async def test_snapshots_take_a_bounded_part_of_memory() -> None:
    """In number and in bytes; what is replaced makes room first."""
    async with living() as broker:
        few = KeptBackups(most=2)
        for name in ("a", "b", "a"):
            await few.keep(broker.lifetimes, name)
        with pytest.raises(StoreError, match="2 snapshots are kept"):
            await few.keep(broker.lifetimes, None)
        few.forget("a")
        assert await few.keep(broker.lifetimes, None) == "snapshot-2"
        small = KeptBackups(most_bytes=20_000)
        with pytest.raises(StoreError, match="20000 bytes at most"):
            for name in ("a", "b", "c", "d"):
                await small.keep(broker.lifetimes, name)
        assert sum(small.sizes().values()) <= 20_000
