"""One connection to PostgreSQL: libpq without blocking, its socket waited for by trio.

libpq does what a client of PostgreSQL has to do (protocol, TLS, SCRAM, several hosts); psycopg's `pq` binding is a thin
layer over it that starts no event loop. What is left is to wait for a socket when libpq would block: a page.

**Several statements, one way there and back.** `run` sends its statements in pipeline mode with one synchronisation
point behind them, so they are one transaction, and one answer. A statement is prepared when a connection sees it first.

**What an error means** is decided here, in one table, since everything that keeps a promise hangs on it:

============================================  ==================================================================
what comes back                               what it means
============================================  ==================================================================
no connection, or lost before anything went   Unavailable: nothing has happened
an error of the statement                     rolled back: nothing has happened. `Refused`, with its SQLSTATE
lost, or cancelled, or too slow, afterwards   OutcomeUnknown, if `changes`; else Unavailable
the server ends (57P01, 57P02, 57P03)         as lost: the end may have come while the commit waited
prepared statements are not what they were    Unavailable, and the connection is closed
COMMIT with the warning 01000                 OutcomeUnknown: the wait for the synchronous standby was cut short
============================================  ==================================================================

A connection that was lost, cancelled or too slow is closed, never used again; what the server is still doing on it goes
on there, and a commit that is asked for again waits for that.

Sources: PostgreSQL's documentation, chapters libpq (Asynchronous Command Processing, Pipeline Mode) and Error Codes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import psycopg
import trio
from psycopg import pq
from psycopg.pq.abc import PGconn, PGresult

from storage.object.control_plane import ControlPlaneError, OutcomeUnknown, Unavailable
from storage.object.postgres.conninfo import CONNECT_SECONDS, Options, reachable, shown
from storage.object.postgres.values import Parameter, Row, reader

SCRIPT_SECONDS: Final = 60.0
ANSWER_SECONDS: Final = 15.0
"""How long an answer is waited for. A commit may have to wait for row locks (2 s) and for a standby."""

_ENDING: Final = frozenset({"57P01", "57P02", "57P03"})
_WARNING: Final = "01000"
_STALE: Final = frozenset({"26000", "42P05", "0A000"})
"""A prepared statement is gone, is there already, or no longer fits: a pooler has changed sessions, or the schema was
migrated. Another connection has none of it."""


class Refused(ControlPlaneError):
    """The server has refused a statement and rolled the transaction back."""

    def __init__(self, sqlstate: str, message: str, detail: str) -> None:
        super().__init__(f"PostgreSQL refuses: {message} ({sqlstate})")
        self.sqlstate = sqlstate
        self.detail = detail


@dataclass(frozen=True, slots=True, eq=False)
class Statement:
    """SQL that is prepared once per connection; `name` is its own. `$1` and so on are cast in the SQL."""

    name: str
    sql: str


Call = tuple[Statement, Sequence[Parameter]]


class Connection:
    """A connection that one task uses at a time."""

    def __init__(self, connection: PGconn, place: str) -> None:
        self._connection = connection
        self._place = place
        self._prepared: set[str] = set()
        self._warned = False
        connection.notice_handler = self._notice

    @classmethod
    async def open(cls, options: Options, application_name: str) -> Connection:
        """Connect. Raises Unavailable, which names the place and what libpq says, without credentials."""
        place = shown(options)
        try:
            with trio.fail_after(CONNECT_SECONDS):
                connection = await _connect(await reachable(options, application_name))
        except trio.TooSlowError:
            raise Unavailable(f"the database {place} has not answered within {CONNECT_SECONDS:g} s") from None
        except OSError as error:
            raise Unavailable(f"the database {place} was not reached: {error}") from None
        except psycopg.Error as error:
            raise Unavailable(f"the database {place} was not reached: {_first_line(error)}") from None
        return cls(connection, place)

    @property
    def usable(self) -> bool:
        """Whether it may be used (again)."""
        return self._connection.status == pq.ConnStatus.OK

    @property
    def server_version(self) -> int:
        """As libpq numbers it: 160004 is 16.4."""
        return self._connection.server_version

    def close(self) -> None:
        """Let go of it, whatever the server is doing."""
        if self._connection.status == pq.ConnStatus.OK:
            _before_close(self._connection)
        self._connection.finish()

    async def run(self, calls: Sequence[Call], *, changes: bool, within: float = ANSWER_SECONDS) -> list[list[Row]]:
        """Run these as one transaction; the rows of each. `within` in seconds.

        `changes` says whether the transaction may have changed something when this returns. Raises Unavailable,
        OutcomeUnknown, Refused.
        """
        unknown = OutcomeUnknown if changes else Unavailable
        self._warned = False
        answered = False
        try:
            with trio.fail_after(within):
                self._send(calls)
                results = await self._exchange()
            answered = True
        except trio.TooSlowError:
            raise unknown(f"the database {self._place} has not answered within {within:g} s") from None
        except (psycopg.Error, OSError) as error:
            raise unknown(f"the connection to the database {self._place} was lost: {_first_line(error)}") from None
        finally:
            if not answered:
                self.close()
        rows = self._read(calls, results, unknown)
        if changes and self._warned:
            raise OutcomeUnknown(f"the database {self._place} has not waited for its standby to the end")
        return rows

    async def script(self, sql: str) -> None:
        """Run a text of many statements, in the transaction that is open. Raises as `run` does, for no change."""
        answered = False
        try:
            with trio.fail_after(SCRIPT_SECONDS):
                if self._connection.pipeline_status != pq.PipelineStatus.OFF:
                    self._connection.exit_pipeline_mode()
                self._connection.send_query(sql.encode())
                results = await self._exchange()
            answered = True
        except trio.TooSlowError:
            raise Unavailable(f"the database {self._place} has not answered within {SCRIPT_SECONDS:g} s") from None
        except (psycopg.Error, OSError) as error:
            raise Unavailable(f"the connection to the database {self._place} was lost: {_first_line(error)}") from None
        finally:
            if not answered:
                self.close()
        for result in results:
            self._check(result, Unavailable)

    # -- sending -------------------------------------------------------------------------------------------------------

    def _send(self, calls: Sequence[Call]) -> None:
        connection = self._connection
        if connection.pipeline_status == pq.PipelineStatus.OFF:
            connection.enter_pipeline_mode()
        sent: set[str] = set()
        for statement, parameters in calls:
            name = statement.name.encode()
            if statement.name not in self._prepared and statement.name not in sent:
                sent.add(statement.name)
                connection.send_prepare(name, statement.sql.encode())
            connection.send_query_prepared(
                name,
                [parameter.data for parameter in parameters],
                [1 if parameter.binary else 0 for parameter in parameters],
                1,
            )
        connection.pipeline_sync()

    async def _exchange(self) -> list[PGresult]:
        """Everything out, and all results in, of preparing too."""
        connection = self._connection
        pipelined = connection.pipeline_status != pq.PipelineStatus.OFF
        descriptor = connection.socket
        while connection.flush():
            await _either(descriptor)
            connection.consume_input()
        results: list[PGresult] = []
        while True:
            while connection.is_busy():
                await trio.lowlevel.wait_readable(descriptor)
                connection.consume_input()
            result = connection.get_result()
            if result is None:
                if pipelined:
                    continue
                return results
            if result.status == pq.ExecStatus.PIPELINE_SYNC:
                return results
            results.append(result)

    # -- what has come back --------------------------------------------------------------------------------------------

    def _read(
        self, calls: Sequence[Call], results: list[PGresult], unknown: type[ControlPlaneError]
    ) -> list[list[Row]]:
        """The rows of each call. What was prepared in front of a failure stays prepared."""
        position = 0
        found = []
        for statement, _ in calls:
            if statement.name not in self._prepared:
                self._check(results[position], unknown)
                self._prepared.add(statement.name)
                position += 1
            self._check(results[position], unknown)
            found.append(_rows(results[position]))
            position += 1
        return found

    def _check(self, result: PGresult, unknown: type[ControlPlaneError]) -> None:
        if result.status in (pq.ExecStatus.TUPLES_OK, pq.ExecStatus.COMMAND_OK):
            return
        sqlstate = (result.error_field(pq.DiagnosticField.SQLSTATE) or b"").decode()
        message = (result.error_field(pq.DiagnosticField.MESSAGE_PRIMARY) or b"").decode(errors="replace")
        if sqlstate in _ENDING or not sqlstate:
            self.close()
            raise unknown(f"the database {self._place} ends the connection: {message}")
        if sqlstate in _STALE:
            self.close()
            raise Unavailable(f"the session at the database {self._place} is another one: {message}")
        raise Refused(sqlstate, message, (result.error_field(pq.DiagnosticField.MESSAGE_DETAIL) or b"").decode())

    def _notice(self, result: PGresult) -> None:
        if result.error_field(pq.DiagnosticField.SQLSTATE) == _WARNING.encode():
            self._warned = True


async def _connect(conninfo: bytes) -> PGconn:
    connection = pq.PGconn.connect_start(conninfo)
    try:
        while True:
            if connection.status == pq.ConnStatus.BAD:
                raise psycopg.OperationalError(connection.error_message.decode(errors="replace"))
            status = connection.connect_poll()
            if status == pq.PollingStatus.READING:
                await trio.lowlevel.wait_readable(connection.socket)
            elif status == pq.PollingStatus.WRITING:
                await trio.lowlevel.wait_writable(connection.socket)
            elif status == pq.PollingStatus.OK:
                connection.nonblocking = 1
                return connection
            else:
                raise psycopg.OperationalError(connection.error_message.decode(errors="replace"))
    except BaseException:
        connection.finish()
        raise


async def _either(descriptor: int) -> None:
    """Wait until the socket can be read or written: a server that cannot send may not read either."""
    async with trio.open_nursery() as nursery:

        async def wait_readable() -> None:
            await trio.lowlevel.wait_readable(descriptor)
            nursery.cancel_scope.cancel()

        nursery.start_soon(wait_readable)
        await trio.lowlevel.wait_writable(descriptor)
        nursery.cancel_scope.cancel()


def _before_close(connection: PGconn) -> None:
    """No task waits for this connection's socket any more, for its number may soon be another's."""
    trio.lowlevel.notify_closing(connection.socket)


def _rows(result: PGresult) -> list[Row]:
    columns = range(result.nfields)
    readers = [reader(result.ftype(column)) for column in columns]
    get = result.get_value
    return [
        tuple(None if (value := get(row, column)) is None else readers[column](value) for column in columns)
        for row in range(result.ntuples)
    ]


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
