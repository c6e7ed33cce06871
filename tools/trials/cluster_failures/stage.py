"""The cluster that is made to fail: all its processes, and the proxies between brokers, database and bucket.

The proxies run in a thread with an event loop of their own; `in_proxies` calls something there. Everything else blocks.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

import trio

from storage.servers.postgres import PostgresServer
from storage.servers.seaweedfs import SeaweedFS, write_credentials
from storage.testing.tcp_proxy import TcpProxy, tcp_proxy
from tools.trials.cluster_test.several import Brokers
from tools.trials.http_proxy import HttpProxy, http_proxy

BROKERS = 3
STANDBY = "standby"
DATABASE = "ottla"
T = TypeVar("T")


class Stage:
    """Everything, started with the `with` block and stopped with it."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._stack = ExitStack()
        self._closing = trio.Event()
        self._ready = threading.Event()
        self._token: trio.lowlevel.TrioToken | None = None
        settings = {"max_connections": "200"}
        self.primary = PostgresServer(directory / "primary", settings=settings)
        self.standby = PostgresServer(directory / "standby", settings=settings)
        self.bucket = SeaweedFS(directory / "bucket")
        self.database_proxy: TcpProxy
        self.bucket_proxy: HttpProxy
        self.brokers: Brokers

    @property
    def bootstrap(self) -> str:
        """Where clients begin."""
        return self.brokers.bootstrap

    def in_proxies(self, work: Callable[[], T]) -> T:
        """Call `work` in the event loop of the proxies."""
        return trio.from_thread.run_sync(work, trio_token=self._token)

    def fail_over(self) -> None:
        """End the primary as a lost machine does, promote the standby, and let the database's address lead there."""
        self.primary.kill()
        self.standby.promote()
        self.standby.execute("ALTER SYSTEM RESET synchronous_standby_names")
        self.standby.execute("SELECT pg_reload_conf()")
        self.in_proxies(lambda: self.database_proxy.retarget("127.0.0.1", self.standby.port))
        self.in_proxies(self.database_proxy.cut)

    @property
    def database(self) -> PostgresServer:
        """The one that takes commits now."""
        return self.primary if self.primary.running else self.standby

    def signal_broker(self, number: int, what: signal.Signals) -> None:
        """To a broker, as a whole."""
        os.killpg(self.brokers.processes[number].pid, what)

    def __enter__(self) -> Self:
        self.primary.start()
        self._stack.callback(lambda: self.primary.stop())
        self.primary.execute(f"CREATE DATABASE {DATABASE}")
        self.standby.standby_of(self.primary, STANDBY)
        self._stack.callback(lambda: self.standby.stop())
        self.primary.execute(f"ALTER SYSTEM SET synchronous_standby_names = 'ANY 1 ({STANDBY})'")
        self.primary.execute("SELECT pg_reload_conf()")
        self._stack.enter_context(self.bucket)
        thread = threading.Thread(target=trio.run, args=(self._run_proxies,), daemon=True)
        thread.start()
        self._ready.wait(20)
        self._stack.callback(thread.join, 20)
        self._stack.callback(lambda: self.in_proxies(self._closing.set))
        keys = self._directory / "credentials"
        write_credentials(keys)
        database = self.primary.url(DATABASE).replace(f":{self.primary.port}/", f":{self.database_proxy.port}/")
        objects = f"{self.bucket.url(self.bucket_proxy.address)}&credentials={keys}&timeout=5"
        self.brokers = self._stack.enter_context(Brokers(BROKERS, database, objects, self._directory))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.__exit__(kind, error, trace)

    async def _run_proxies(self) -> None:
        self._token = trio.lowlevel.current_trio_token()
        store = ("127.0.0.1", int(self.bucket.endpoint.rpartition(":")[2]))
        async with (
            tcp_proxy(("127.0.0.1", self.primary.port)) as self.database_proxy,
            http_proxy(store) as self.bucket_proxy,
        ):
            self._ready.set()
            await self._closing.wait()
