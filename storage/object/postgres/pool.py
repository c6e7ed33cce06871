"""A few connections, and one task at a time on each of them.

Statements are short, so few connections are enough for many tasks: those that find none wait for one. A connection that
has failed is not given out again. Each time one is made, it is asked whether the database behind it may be believed:

* it is a primary (`target_session_attrs` sees to that, and `transaction_read_only` is looked at again);
* its **timeline** is not older than the newest that this broker has seen. A timeline begins with each promotion, so an
  older one is a primary that has been replaced and does not know it. With a synchronous standby it could confirm
  nothing, but it could answer questions with what is no longer true.

Some managed databases do not say what their timeline is; then it is not looked at.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Final

import trio

from storage.object.control_plane import Unavailable
from storage.object.postgres.connection import ANSWER_SECONDS, Call, Connection, Refused, Statement
from storage.object.postgres.conninfo import Options, shown
from storage.object.postgres.values import Row

CONNECTIONS: Final = 4

_TIMELINE: Final = Statement("timeline", "SELECT left(pg_walfile_name(pg_current_wal_insert_lsn()), 8)")
_READ_ONLY: Final = Statement("read_only", "SELECT current_setting('transaction_read_only') = 'on'")
_SETTINGS: Final = Statement(
    "settings",
    "SELECT set_config('lock_timeout', '2s', false), set_config('idle_in_transaction_session_timeout', '5s', false), "
    "set_config('default_transaction_isolation', 'read committed', false)",
)


class Pool:
    """Connections to one database."""

    def __init__(self, options: Options, application_name: str, *, connections: int = CONNECTIONS) -> None:
        self.place = shown(options)
        self.reconnects = 0
        """Connections made, counted."""
        self._options = options
        self._application_name = application_name
        self._idle: list[Connection] = []
        self._limit = trio.CapacityLimiter(connections)
        self._timeline = 0
        self._closed = False

    def another(self, *, connections: int) -> Pool:
        """A pool to the same database, for what must not wait behind the users of this one."""
        return Pool(self._options, self._application_name, connections=connections)

    async def run(self, calls: Sequence[Call], *, changes: bool, within: float = ANSWER_SECONDS) -> list[list[Row]]:
        """Run these as one transaction, on any connection. Raises Unavailable, OutcomeUnknown, Refused."""
        async with self._limit:
            connection = await self.take()
            try:
                return await connection.run(calls, changes=changes, within=within)
            finally:
                self.give_back(connection)

    @property
    def limit(self) -> trio.CapacityLimiter:
        """What a task holds that uses `take` and `give_back` by itself, for several transactions on one connection."""
        return self._limit

    async def take(self) -> Connection:
        """A connection that no other task uses. Raises Unavailable."""
        while self._idle:
            connection = self._idle.pop()
            if connection.usable:
                return connection
            connection.close()
        if self._closed:
            raise Unavailable(f"the database {self.place} has been closed")
        connection = await Connection.open(self._options, self._application_name)
        try:
            await self._believe(connection)
        except BaseException:
            connection.close()
            raise
        self.reconnects += 1
        return connection

    def give_back(self, connection: Connection) -> None:
        """It is idle, or of no more use."""
        if connection.usable and not self._closed:
            self._idle.append(connection)
        else:
            connection.close()

    def close(self) -> None:
        """Let go of all of them."""
        self._closed = True
        while self._idle:
            self._idle.pop().close()

    async def _believe(self, connection: Connection) -> None:
        (((read_only,),), _) = await connection.run([(_READ_ONLY, ()), (_SETTINGS, ())], changes=False)
        if read_only:
            raise Unavailable(f"the database {self.place} is a standby, or read-only")
        with suppress(Refused):
            (((text,),),) = await connection.run([(_TIMELINE, ())], changes=False)
            timeline = int(text, 16)
            if timeline < self._timeline:
                raise Unavailable(f"the primary of {self.place} that was found has been replaced by a newer one")
            self._timeline = timeline
