"""The servers that a cluster stands on start, keep what they were given, are killed, and leave with their parent."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from storage.servers.process import ServerError, ServerProcess


def test_a_server_that_fails_says_why(tmp_path: Path) -> None:
    """With the last lines that it has written."""
    server = ServerProcess("The server", ["/bin/sh", "-c", "echo no room >&2; exit 3"], log=str(tmp_path / "log"))
    with pytest.raises(ServerError, match=r"(?s)The server ended before it was ready.*no room"):
        server.wait_until(lambda: False, 10)
    server.stop()
    with pytest.raises(ServerError, match="there is no program"):
        ServerProcess("The server", [str(tmp_path / "nothing")], log=str(tmp_path / "log"))


def test_a_server_is_paused_and_goes_on(tmp_path: Path) -> None:
    """A paused one still runs, and can be stopped."""
    server = ServerProcess("The server", ["/bin/sleep", "60"], log=str(tmp_path / "log"))
    server.pause()
    assert server.is_running
    server.resume()
    server.pause()
    server.stop()
    assert not server.is_running


DEAF = ["/bin/sh", "-c", "trap '' TERM; exec sleep 60"]


def test_a_server_that_does_not_obey_is_killed(tmp_path: Path) -> None:
    """SeaweedFS, for one, now and then waits forever for its own parts to end."""
    server = ServerProcess("The server", DEAF, log=str(tmp_path / "log"), stop_seconds=0)
    server.stop()
    assert not server.is_running


@pytest.mark.parametrize("command", [["/bin/sleep", "60"], DEAF])
def test_no_server_outlives_its_parent(command: list[str], tmp_path: Path) -> None:
    """Even a parent that was ended by SIGKILL, and a server that does not obey."""
    program = textwrap.dedent(f"""
        from storage.servers.process import ServerProcess
        server = ServerProcess("The server", {command}, log={str(tmp_path / "log")!r}, stop_seconds=0)
        print(server.pid, flush=True)
        input()
    """)
    parent = subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stdin=subprocess.PIPE, text=True, cwd=os.getcwd()
    )
    assert parent.stdout is not None and parent.stdin is not None
    with parent.stdout, parent.stdin:
        pid = int(parent.stdout.readline())
        child = os.pidfd_open(pid)
        parent.send_signal(signal.SIGKILL)
        parent.wait()
        ended, _, _ = select.select([child], [], [], 10)
        os.close(child)
    assert ended, "the server outlives its parent"
