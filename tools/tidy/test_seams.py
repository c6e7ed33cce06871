"""Time, chance, files, threads, processes and the network come in through the doors of `DOORS` and nowhere else.

The whole broker can then run in one thread on a virtual clock, a simulated disk and a seeded source of chance, and a
failure found there can be played again. One forgotten `time.time()` undoes that, so these tests read every file of
`kproto`, `storage` and `broker` and name each use outside its door. Tests, `tools`, `compat_tests` and `ottla` are free
to use what they need: they are the outside world.

Trio's own clock is no violation: `trio.current_time`, `trio.sleep` and deadlines follow the clock given to `trio.run`.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

import pytest

from tools.tidy.source_tree import Source, python_sources

# What a door lets in, and what all other code does instead.
INSTEAD = {
    "time": "time is injected: ask the Clock you were given (storage/seams/clock.py), or take `now` as an argument",
    "chance": "chance is injected: ask the Entropy you were given (storage/seams/entropy.py)",
    "files": "files are injected: go through the Disk you were given (storage/seams/disk.py)",
    "locks": "only what runs in worker threads needs locks, and that is storage/seams/{disk,offload}.py",
    "threads": "threads are injected: hand the work to the Offload you were given (storage/seams/offload.py)",
    "network": "the network is injected: only broker/network/listener.py opens sockets; take a stream as an argument",
    "environment": "settings are injected: they come from broker/config/loading.py, with the name of their file "
    "or flag",
    "processes": "the broker waits in no other event loop than trio's, and starts processes only by the Apart it was "
    "given (storage/seams/apart.py)",
}

DOORS: dict[str, set[str]] = {
    "storage/seams/clock.py": {"time"},
    "storage/seams/entropy.py": {"chance"},
    # The environment variable OTTLA_PORTABLE forces the code that runs where Linux's fast paths are missing.
    "storage/seams/disk.py": {"files", "environment", "locks"},
    "storage/seams/offload.py": {"threads", "locks", "time"},  # a worker thread sleeps to give way
    "storage/seams/commanded_disk.py": {"threads"},  # a sync that is slow on command waits in its thread
    # What runs in the other process waits for orders in a thread, and leaves by os._exit.
    "storage/seams/apart.py": {"processes", "threads", "files"},
    "storage/seams/pacing.py": {"time"},
    # Servers of other makers, for tests and for a cluster on one machine; no broker imports them.
    "storage/testing/tcp_proxy.py": {"network"},
    "storage/servers/process.py": {"processes", "files", "network", "time", "environment", "chance"},
    "storage/servers/seaweedfs.py": {"files"},
    "storage/seams/slices.py": {"time"},
    "broker/observe/turns.py": {"time"},
    "broker/observe/garbage.py": {"time"},
    "broker/web/sampling.py": {"time", "threads"},  # it waits between its looks, in a thread
    "broker/observe/free_memory.py": {"time"},
    "storage/seams/process_memory.py": {"files"},
    "broker/network/listener.py": {"network", "environment"},
    "broker/network/peers.py": {"network"},  # connections to the other brokers of a cluster
    "broker/shared_engine.py": {"environment"},  # where a bucket is, and with which credentials
    "broker/network/key_sets.py": {"network", "time"},  # the keys with which an issuer signs tokens (JWKS)
    # OpenSSL takes keys by the name of a file, so one is made that is on no disk, or that is encrypted.
    "broker/security/tls/memory_files.py": {"files", "chance"},
    # TLS libraries take the time from the machine; files for tests whose clients run in other processes.
    "broker/testing/certificates.py": {"time", "files"},
    # libpq waits in `getaddrinfo` for a name, so names are looked up before it sees them.
    "storage/object/postgres/conninfo.py": {"network"},
    # A database on one machine is a process with files and a port.
    "storage/servers/postgres.py": {"time", "files", "network", "processes"},
    "storage/testing/postgres.py": {"files"},
}

# Dotted names, as prefixes: `os` covers `os.replace`. The longest match counts, None allows.
BANNED: dict[str, str | None] = {
    "time": "time",
    "datetime.datetime.now": "time",
    "datetime.datetime.utcnow": "time",
    "datetime.datetime.today": "time",
    "datetime.date.today": "time",
    "random": "chance",
    "secrets": "chance",
    "os.urandom": "chance",
    "os.getrandom": "chance",
    "uuid.uuid1": "chance",
    "uuid.uuid4": "chance",
    "open": "files",
    "io.open": "files",
    "io.FileIO": "files",
    "os": "files",
    "os.environ": "environment",
    "os.getenv": "environment",
    "os.sendfile": "network",
    "os.name": None,
    "os.PathLike": None,
    "os.fspath": None,
    "os.fsencode": None,
    "os.fsdecode": None,
    "os.sep": None,
    "os.linesep": None,
    "os.path": "files",
    "os.path.basename": None,
    "os.path.commonpath": None,
    "os.path.dirname": None,
    "os.path.isabs": None,
    "os.path.join": None,
    "os.path.normpath": None,
    "os.path.split": None,
    "os.path.splitext": None,
    "pathlib": "files",
    "pathlib.PurePath": None,
    "pathlib.PurePosixPath": None,
    "pathlib.PureWindowsPath": None,
    "fcntl": "files",
    "glob": "files",
    "msvcrt": "files",
    "shutil": "files",
    "tempfile": "files",
    "ctypes": "files",
    "trio.Path": "files",
    "trio.open_file": "files",
    "threading": "threads",
    "threading.Lock": "locks",
    "_thread": "threads",
    "concurrent": "threads",
    "queue": "threads",
    "trio.to_thread": "threads",
    "trio.from_thread": "threads",
    "socket": "network",
    "socketserver": "network",
    "select": "network",
    "selectors": "network",
    "http": "network",
    "urllib.request": "network",
    "trio.socket": "network",
    "trio.SocketListener": "network",
    "trio.open_tcp_listeners": "network",
    "trio.open_tcp_stream": "network",
    "trio.open_unix_socket": "network",
    "trio.serve_tcp": "network",
    "trio.serve_listeners": "network",
    "asyncio": "processes",
    "multiprocessing": "processes",
    "subprocess": "processes",
    "trio.run_process": "processes",
    "trio.lowlevel.open_process": "processes",
}

CHECKED = ("kproto", "storage", "broker")


def seams(source: Source) -> Iterator[str]:
    """Findings: uses of time, chance, files, threads or the network outside their door."""
    if source.package not in CHECKED or source.is_test:
        return
    open_doors = DOORS.get(source.path, set())
    names = _names_bound_by_imports(source.tree)
    for node in ast.walk(source.tree):
        for line, dotted in _uses(node, names):
            kind = _kind(dotted)
            if kind is not None and kind not in open_doors:
                yield source.at(line, f"uses {dotted}; {INSTEAD[kind]}.")


def _names_bound_by_imports(tree: ast.Module) -> dict[str, str]:
    """What each imported name stands for: `import a.b` binds a, `from a import b as c` binds c to a.b."""
    bound = {"open": "open"}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                bound[alias.asname or alias.name.partition(".")[0]] = (
                    alias.name if alias.asname else alias.name.partition(".")[0]
                )
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            for alias in node.names:
                bound[alias.asname or alias.name] = f"{node.module}.{alias.name}"
    return bound


def _uses(node: ast.AST, names: dict[str, str]) -> Iterator[tuple[int, str]]:
    """(line, dotted name) of what this one node uses, with imported names spelt out."""
    if isinstance(node, ast.ImportFrom) and node.level == 0:
        yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)
    elif isinstance(node, ast.Attribute):
        parts = [node.attr]
        value = node.value
        while isinstance(value, ast.Attribute):
            parts.append(value.attr)
            value = value.value
        if isinstance(value, ast.Name) and value.id in names:
            yield node.lineno, ".".join([names[value.id], *reversed(parts)])
    elif isinstance(node, ast.Name) and node.id == "open":
        yield node.lineno, names["open"]


def _kind(dotted: str) -> str | None:
    """Which door a name belongs to, by its longest prefix in the table; None if to none."""
    parts = dotted.split(".")
    for length in range(len(parts), 0, -1):
        prefix = ".".join(parts[:length])
        if prefix in BANNED:
            # `os.path` alone is how `os.path.join` begins; what follows decides, and is a node of its own.
            return None if dotted == "os.path" else BANNED[prefix]
    return None


def test_the_tree_keeps_the_seams() -> None:
    """Nothing below the tools reaches for the clock, chance, files, threads or the network but through its door."""
    findings = sorted({finding for source in python_sources() for finding in seams(source)})
    assert not findings, "\n" + "\n".join(findings)


@pytest.mark.parametrize(
    "text",
    [
        "import time\ntime.monotonic()",
        "from time import monotonic as now",
        "import time as clock\nclock.time()",
        "import datetime\ndatetime.datetime.now()",
        "from datetime import datetime\ndatetime.now()",
        "import random\nrandom.random()",
        "from uuid import uuid4",
        "import os\nos.urandom(8)",
        "import os\nos.path.exists('x')",
        "from os import path\npath.getsize('x')",
        "from os.path import exists",
        "with open('x') as file:\n    pass",
        "from pathlib import Path",
        "import pathlib\npathlib.Path('x').read_text()",
        "def f():\n    import threading\n    threading.Thread()",
        "from threading import Lock",
        "import trio\ntrio.to_thread.run_sync(print)",
        "from trio import to_thread",
        "import socket\nsocket.create_connection(('localhost', 1))",
        "import trio\nasync def f():\n    await trio.open_tcp_stream('localhost', 1)",
        "import asyncio\nasyncio.sleep(1)",
    ],
)
def test_the_seam_check_finds_a_planted_violation(text: str) -> None:
    """A use is found whichever way the name was imported, and the finding says what to do instead."""
    findings = list(seams(Source("storage/local/log.py", text)))
    assert findings
    assert all(any(advice in finding for advice in INSTEAD.values()) for finding in findings)


@pytest.mark.parametrize(
    "text",
    [
        "import os\nos.path.join('a', 'b')",
        "from pathlib import PurePath",
        "import trio\nasync def f():\n    await trio.sleep(1)\n    trio.current_time()",
        "import datetime\ndatetime.datetime.fromtimestamp(0, tz=datetime.UTC)",
        "def f(disk, path):\n    return disk.open(path)",
        "class Disk:\n    time = 1\n    def open(self):\n        return self.time",
    ],
)
def test_the_seam_check_leaves_the_pure_alone(text: str) -> None:
    """Arithmetic on names, paths and given objects needs no door."""
    assert not list(seams(Source("storage/local/log.py", text)))


def test_a_door_lets_in_its_own_kind_only() -> None:
    """The clock's seam may ask for the time, and may not open a file for that."""
    text = "import time\ntime.monotonic()\nopen('x')"
    findings = list(seams(Source("storage/seams/clock.py", text)))
    assert len(findings) == 1
    assert "open" in findings[0]
