"""A whole cluster in a directory: a PostgreSQL, a bucket, and brokers over them, all processes of this trial.

The directory outlives it. A cluster that is made of one where another has been goes on with what that has kept, so that
a long trial can be played in pieces.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from storage.servers.postgres import PostgresServer
from storage.servers.seaweedfs import SeaweedFS, write_credentials
from tools.trials.cluster_test.several import Brokers

DATABASE = "ottla"


class Cluster:
    """All of it, started with the `with` block and stopped with it.

    `bucket` is None when a folder keeps the objects. Raises BrokerFailed, ServerError.
    """

    def __init__(self, directory: Path, brokers: int, settings: Sequence[str] = (), *, seaweedfs: bool = True) -> None:
        self._directory = directory = directory.absolute()  # brokers run elsewhere
        self._count = brokers
        self._settings = settings
        self._stack = ExitStack()
        directory.mkdir(parents=True, exist_ok=True)
        self.database = PostgresServer(directory / "database", settings={"max_connections": "200"})
        self.bucket = SeaweedFS(directory / "bucket") if seaweedfs else None
        self.brokers: Brokers

    @property
    def bootstrap(self) -> str:
        """Where clients begin."""
        return self.brokers.bootstrap

    def __enter__(self) -> Self:
        with self._stack:
            self.database.start()
            self._stack.callback(self.database.stop)
            if not self.database.execute(f"SELECT 1 FROM pg_database WHERE datname = '{DATABASE}'"):
                self.database.execute(f"CREATE DATABASE {DATABASE}")
            objects = self._place_of_objects()
            self.brokers = Brokers(self._count, self.database.url(DATABASE), objects, self._directory, self._settings)
            self._stack.enter_context(self.brokers)
            self._stack = self._stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.__exit__(kind, error, trace)

    def _place_of_objects(self) -> str:
        """What `--objects` gets. Starts the bucket."""
        if self.bucket is None:
            (self._directory / "objects").mkdir(exist_ok=True)
            return f"file://{self._directory / 'objects'}"
        self._stack.enter_context(self.bucket)
        keys = self._directory / "credentials"
        write_credentials(keys)
        return f"{self.bucket.url()}&credentials={keys}"
