"""libpq on trio: what a failure means, what is believed of a database, and what is never shown of it."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio

from storage.engine import StoreError
from storage.object.control_plane import LogName, NewerSchema, OutcomeUnknown, Unavailable
from storage.object.postgres.connection import Connection, Refused, Statement
from storage.object.postgres.conninfo import parse, reachable, shown
from storage.object.postgres.control_plane import PostgresControlPlane
from storage.object.postgres.pool import Pool
from storage.object.postgres.schema import OLDEST, VERSION
from storage.object.postgres.values import number, numbers, optional_numbers, raw, raws, text, texts, truths, uuid
from storage.seams.clock import SystemClock
from storage.seams.entropy import SystemEntropy
from storage.testing.postgres import binaries, empty_database, shared_server

pytestmark = pytest.mark.skipif(binaries() is None, reason="there are no binaries of PostgreSQL for this platform")

SECRET = "do-not-show-me"
SLEEP = Statement("sleep", "SELECT pg_sleep($1::int)")
ONE = Statement("one", "SELECT 1")


def plane(url: str, node_id: int = 1, **settings: Any) -> PostgresControlPlane:
    return PostgresControlPlane(
        url, node_id, bytes([node_id] * 16), clock=SystemClock(), entropy=SystemEntropy(), **settings
    )


@asynccontextmanager
async def connection() -> AsyncIterator[Connection]:
    opened = await Connection.open(parse(empty_database()), "test")
    yield opened
    opened.close()


async def test_values_come_back_as_they_went() -> None:
    """Of every type that the schema has."""
    echo = Statement(
        "echo",
        "SELECT $1::bigint, $2::text, $3::bytea, $4::uuid, $5::bigint[], $6::int[], $7::boolean[]::text, "
        "$8::bytea[]::text, $9::text[]::text, NULL::bigint, $10::smallint[], '{}'::bigint[]",
    )
    sent = [
        number(-(1 << 62)), text("\u00e4'\\"), raw(b"\0\xff"), uuid(bytes(range(16))), numbers([1, -2, 1 << 50]),
        optional_numbers([1, None, -3]), truths([True, False]), raws([b"a", None, b""]), texts(["x,y", None]),
        numbers([7, -7]),
    ]  # fmt: skip
    async with connection() as opened:
        ((row,),) = await opened.run([(echo, sent)], changes=False)
        assert row[:6] == (-(1 << 62), "\u00e4'\\", b"\0\xff", bytes(range(16)), [1, -2, 1 << 50], [1, None, -3])
        assert row[6:] == ("{t,f}", '{"\\\\x61",NULL,"\\\\x"}', '{"x,y",NULL}', None, [7, -7], [])


async def test_several_statements_are_one_transaction() -> None:
    """The second fails, so the first has not happened; the connection can be used again."""
    async with connection() as opened:
        make = Statement("make", "CREATE TABLE t (a int)")
        fail = Statement("fail", "SELECT 1 / $1::int")
        with pytest.raises(Refused) as refused:
            await opened.run([(make, ()), (fail, (number(0),))], changes=True)
        assert refused.value.sqlstate == "22012"
        there = Statement("there", "SELECT to_regclass('t') IS NULL")
        assert await opened.run([(there, ()), (there, ())], changes=False) == [[(True,)], [(True,)]]


async def test_large_parameters_and_answers() -> None:
    """More than a socket holds, both ways at once."""
    async with connection() as opened:
        big = bytes(5_000_000)
        echo = Statement("echo", "SELECT $1::bytea")
        assert await opened.run([(echo, (raw(big),))] * 4, changes=False) == [[(big,)]] * 4


async def test_what_is_cut_off_may_have_happened() -> None:
    """A change whose answer does not come is unknown, a question unavailable; the connection is not used again."""
    for changes, raised in ((True, OutcomeUnknown), (False, Unavailable)):
        async with connection() as opened:
            with pytest.raises(raised):
                await opened.run([(SLEEP, (number(5),))], changes=changes, within=0.05)
            assert not opened.usable
        async with connection() as opened, trio.open_nursery() as nursery:

            async def end(opened: Connection = opened) -> None:
                await trio.sleep(0.1)
                shared_server().execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep%'"
                )

            nursery.start_soon(end)
            with pytest.raises(raised):
                await opened.run([(SLEEP, (number(5),))], changes=changes)
            assert not opened.usable


async def test_a_warning_at_the_commit_is_no_confirmation() -> None:
    """As when the wait for a synchronous standby is cut short (01000)."""
    async with connection() as opened:
        warn = Statement("warn", "DO $$ BEGIN RAISE WARNING 'x'; END $$")
        with pytest.raises(OutcomeUnknown):
            await opened.run([(warn, ())], changes=True)
        assert await opened.run([(ONE, ())], changes=True) == [[(1,)]]


async def test_prepared_statements_may_be_gone() -> None:
    """As when a pooler has given the session to another client: nothing has happened, and the next one works."""
    pool = Pool(parse(empty_database()), "test", connections=1)
    await pool.run([(ONE, ())], changes=False)
    await pool.run([(Statement("forget", "DEALLOCATE ALL"), ())], changes=False)
    with pytest.raises(Unavailable, match="is another one"):
        await pool.run([(ONE, ())], changes=True)
    assert await pool.run([(ONE, ())], changes=True) == [[(1,)]]
    pool.close()


async def test_cancelling_a_task_closes_its_connection() -> None:
    """What the server goes on with is not waited for."""
    pool = Pool(parse(empty_database()), "test", connections=1)
    await pool.run([(ONE, ())], changes=False)
    with trio.move_on_after(0.05):
        await pool.run([(SLEEP, (number(5),))], changes=False)
    assert await pool.run([(ONE, ())], changes=False) == [[(1,)]]
    assert pool.reconnects == 2
    pool.close()
    with pytest.raises(Unavailable):
        await pool.run([(ONE, ())], changes=False)


async def test_names_are_looked_up_before_libpq_sees_them() -> None:
    """Each address is a host to try; the name stays, and so does what the user has said."""
    conninfo = (await reachable(parse("postgresql://u@localhost:7001,localhost:7002/d?sslmode=disable"), "x")).decode()
    assert "host='localhost,localhost" in conninfo
    assert "127.0.0.1" in conninfo
    assert "target_session_attrs='read-write'" in conninfo
    assert "sslmode='disable'" in conninfo
    assert "target_session_attrs='any'" in (await reachable(parse("host=/tmp target_session_attrs=any"), "x")).decode()


@pytest.mark.parametrize(
    "url",
    [
        f"postgresql://ottla:{SECRET}@127.0.0.1:1/db",
        f"postgresql://ottla:{SECRET}@no-such-host.invalid/db",
        f"host=127.0.0.1 port=1 password={SECRET}",
        f"postgresql://ottla:{SECRET}@127.0.0.1:99999999/db",
        f"postgresql://ottla:{SECRET}@[/db",
        f"host=x pass word={SECRET}",
        "SERVER",
    ],
)
async def test_no_error_shows_a_password(url: str, caplog: pytest.LogCaptureFixture) -> None:
    """Not one that is wrong, nor one that stands where it cannot be read; and nothing is logged."""
    caplog.set_level(logging.DEBUG)
    if url == "SERVER":
        url = f"postgresql://ottla:{SECRET}@127.0.0.1:{shared_server().port}/postgres"
    error: BaseException | None
    try:
        opened = plane(url)
        assert SECRET not in repr(vars(opened.pool)["place"])
        await opened.open()
        raise AssertionError("it was let in")
    except StoreError as raised:
        error = raised
    while error is not None:
        assert SECRET not in str(error)
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    assert SECRET not in caplog.text


def test_what_is_shown_of_a_database() -> None:
    """Where it is and who asks."""
    assert shown(parse(f"postgresql://me:{SECRET}@a:1,b:2/d?sslpassword={SECRET}")) == "me@a:1,b:2/d"


async def test_an_older_broker_refuses_a_newer_schema() -> None:
    """And one that the database says is old enough to go on is let in."""
    url = shared_server().create_database()
    database = url.rpartition("/")[2]
    first = plane(url)
    await first.open()
    await first.close()
    shared_server().execute("UPDATE ottla.meta SET version = 99, oldest = 99", database)
    with pytest.raises(NewerSchema, match="schema 99, made by a newer"):
        await plane(url, 2).open()
    shared_server().execute("UPDATE ottla.meta SET oldest = 1", database)
    third = plane(url, 3)
    await third.open()
    await third.close()


async def test_a_newer_broker_migrates_an_older_schema() -> None:
    """Several that start together do it once; the cluster stays the same, and older brokers may go on."""
    url = shared_server().create_database()
    database = url.rpartition("/")[2]
    first = plane(url)
    await first.open()
    functions = (
        "SELECT oid::regprocedure::text, prosrc FROM pg_proc WHERE pronamespace = 'ottla'::regnamespace ORDER BY 1"
    )
    made = shared_server().execute(functions, database)
    older = (
        "CREATE OR REPLACE FUNCTION ottla.check_fence(p_node integer, p_incarnation uuid) RETURNS void LANGUAGE plpgsql"
    )
    shared_server().execute(f"{older} AS $$ BEGIN RAISE EXCEPTION 'older'; END $$", database)
    shared_server().execute("DROP FUNCTION ottla.lock_parts(bigint[])", database)
    shared_server().execute("UPDATE ottla.meta SET version = 1, oldest = 1", database)
    planes = [plane(url, node) for node in range(2, 5)]
    async with trio.open_nursery() as nursery:
        for each in planes:
            nursery.start_soon(each.open)
    assert {each.cluster_id for each in planes} == {first.cluster_id}
    assert shared_server().execute(functions, database) == made
    assert shared_server().execute("SELECT version, oldest FROM ottla.meta", database) == [(str(VERSION), str(OLDEST))]
    for each in [first, *planes]:
        await each.close()


async def test_brokers_that_start_together_make_one_schema() -> None:
    """And one cluster."""
    url = shared_server().create_database()
    planes = [plane(url, node) for node in range(1, 5)]
    async with trio.open_nursery() as nursery:
        for each in planes:
            nursery.start_soon(each.open)
    assert len({each.cluster_id for each in planes}) == 1
    for each in planes:
        await each.close()


async def test_a_replaced_primary_is_not_believed() -> None:
    """Its timeline is older than one that was seen."""
    pool = Pool(parse(empty_database()), "test")
    await pool.run([(ONE, ())], changes=False)
    pool._timeline = 9
    pool._idle.clear()
    with pytest.raises(Unavailable, match="has been replaced by a newer one"):
        await pool.run([(ONE, ())], changes=False)
    pool.close()


async def test_a_read_only_database_is_refused() -> None:
    """Whatever the user says of which server to take."""
    url = f"{empty_database()}?target_session_attrs=any&options=-cdefault_transaction_read_only%3Don"
    with pytest.raises(StoreError, match="read-only"):
        await plane(url).open()


async def test_a_lock_that_is_not_to_be_had_is_no_outcome() -> None:
    """Nothing has happened, and it is asked again later."""
    url = empty_database()
    opened = plane(url, lease_ms=3_600_000)
    await opened.open()
    [log_id] = await opened.create_logs([LogName("t", bytes(16), 0)])
    blocker = await Connection.open(parse(url), "blocker")
    await blocker.script(f"BEGIN; SELECT 1 FROM ottla.part WHERE part_id = {log_id} FOR UPDATE")
    with pytest.raises(Unavailable):
        await opened.delete_before(log_id, 0)
    blocker.close()
    await opened.delete_before(log_id, 0)
    await opened.close()
