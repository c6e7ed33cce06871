"""What brokers stand on, as targets of faults: the database and the bucket are killed and paused as brokers are."""

from __future__ import annotations

from storage.servers.postgres import PostgresServer
from storage.servers.process import ServerError
from storage.servers.seaweedfs import SeaweedFS
from tools.trials.brokers import BrokerFailed


class DatabaseTarget:
    """The PostgreSQL, all its processes."""

    role = "database"

    def __init__(self, server: PostgresServer) -> None:
        self._server = server

    def check_alive(self) -> None:
        """Raise BrokerFailed if it has ended by itself."""
        if not self._server.running:
            raise BrokerFailed("the database ended by itself")

    def kill(self) -> None:
        """SIGKILL, and a start, with a recovery."""
        self._server.kill()
        try:
            self._server.start()
        except AssertionError as error:
            raise BrokerFailed(str(error)) from None

    def pause(self, paused: bool) -> None:
        """SIGSTOP, SIGCONT."""
        self._server.pause(paused)


class BucketTarget:
    """The SeaweedFS."""

    role = "bucket"

    def __init__(self, server: SeaweedFS) -> None:
        self._server = server

    def check_alive(self) -> None:
        """Raise BrokerFailed if it has ended by itself."""
        if not self._server.process.is_running:
            raise BrokerFailed(f"the bucket ended by itself{self._server.process.last_words()}")

    def kill(self) -> None:
        """SIGKILL, and a start. It takes objects again some seconds after that."""
        self._server.kill()
        try:
            self._server.start()
        except ServerError as error:
            raise BrokerFailed(str(error)) from None

    def pause(self, paused: bool) -> None:
        """SIGSTOP, SIGCONT."""
        (self._server.process.pause if paused else self._server.process.resume)()
