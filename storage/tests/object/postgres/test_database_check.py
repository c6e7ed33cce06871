"""The examination of a database says in a sentence each what a cluster would suffer from."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from storage.object.findings import Level
from storage.object.postgres.conninfo import parse
from storage.object.postgres.database_check import examine_database
from storage.seams.clock import SystemClock, VirtualClock
from storage.testing.postgres import UNSAFE, PostgresServer


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresServer]:
    """A server that keeps nothing through a power cut, as tests have them."""
    made = PostgresServer(tmp_path_factory.mktemp("postgres"), settings=UNSAFE)
    made.start()
    yield made
    made.stop()


async def found(url: str) -> dict[str, Level]:
    """The sentences, with their levels."""
    return {finding.sentence: finding.level async for finding in examine_database(parse(url), SystemClock())}


def said(sentences: dict[str, Level], words: str) -> Level:
    """The level of the one sentence with these words."""
    (level,) = [level for sentence, level in sentences.items() if words in sentence]
    return level


async def test_a_database_that_may_lose_records_fails(server: PostgresServer) -> None:
    """Each setting that is to blame is named; what is right is said, too; no password is."""
    sentences = await found(server.url())
    assert said(sentences, "fsync is off") is Level.FAIL
    assert said(sentences, "full_page_writes is off") is Level.FAIL
    assert said(sentences, "synchronous_commit is off") is Level.FAIL
    assert said(sentences, "no synchronous standby (synchronous_standby_names is empty)") is Level.WARN
    assert said(sentences, "ms apart") is Level.OK
    assert said(sentences, "a commit takes") is Level.OK
    assert said(sentences, "is PostgreSQL 16") is Level.OK
    assert "password" not in " ".join(sentences)


async def test_a_standby_that_is_not_there_is_a_failure(server: PostgresServer) -> None:
    """Every commit would wait for it; so does this one, which is cut short and says so."""
    server.execute("ALTER SYSTEM SET synchronous_standby_names = 'ANY 1 (elsewhere)'")
    server.execute("SELECT pg_reload_conf()")
    try:
        sentences = await found(server.url())
    finally:
        server.execute("ALTER SYSTEM RESET synchronous_standby_names")
        server.execute("SELECT pg_reload_conf()")
    assert said(sentences, "no synchronous standby (ANY 1 (elsewhere)) is connected") is Level.FAIL


async def test_a_clock_that_is_not_ours_is_a_warning(server: PostgresServer) -> None:
    """With which way, and how far."""
    sentences = {
        finding.sentence: finding.level async for finding in examine_database(parse(server.url()), VirtualClock())
    }
    assert said(sentences, "ahead of this machine's") is Level.WARN


async def test_a_user_who_may_do_nothing_is_told_apart(server: PostgresServer) -> None:
    """What the user lacks is named."""
    server.execute("CREATE USER stranger PASSWORD 'x'")
    server.execute("REVOKE CREATE ON DATABASE postgres FROM PUBLIC")
    url = f"postgresql://stranger:x@127.0.0.1:{server.port}/postgres"
    assert said(await found(url), "may not make a schema") is Level.FAIL


async def test_a_database_that_is_not_there_is_the_only_sentence() -> None:
    """With its place, and without the password."""
    ((sentence, level),) = (await found("postgresql://me:hush@127.0.0.1:1/logs")).items()
    assert level is Level.FAIL
    assert "me@127.0.0.1:1/logs" in sentence and "hush" not in sentence
