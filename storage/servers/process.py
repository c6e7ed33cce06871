"""A server of another maker, as a child process: started, waited for, stopped, killed, paused.

* **It does not outlive its parent.** A small shell stands between the two and holds the reading end of a pipe whose
  other end only the parent has. However the parent ends, SIGKILL included, the pipe closes and the shell ends the
  server, by force if it does not obey in time. That needs a POSIX shell, so this is not for Windows.
* It has a process group of its own: Ctrl-C in a terminal reaches its parent first, which may still need it.
* What it writes goes into a file, whose last lines an error repeats.
* Its ports are free ones, chosen together (`free_ports`), and stay the same when it is started again: both servers keep
  them in their files, and clients know them.

Everything here blocks; trials and fixtures call it from threads or before a loop runs.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from typing import Final

LAST_LINES: Final = 15
STOP_SECONDS: Final = 20

# $1 is the signal that ends the server when the parent has gone, $2 for how many seconds it may go on then, the rest
# its command. The server itself gets neither end of the pipe. The first line of output is its process id; the shell
# ends as the server does.
_SHELL: Final = (
    'farewell="$1"; left="$2"; shift 2; exec 3<&0; "$@" <&- 3<&- >&2 & pid=$!; echo $pid; exec >&-; '
    '(read -r _ <&3; kill -"$farewell" $pid; '
    'while [ "$left" -gt 0 ] && kill -0 $pid; do sleep 1; left=$((left-1)); done; '
    "kill -KILL $pid) >&- 2>&- & exec 3<&-; wait $pid"
)


class ServerError(Exception):
    """A server did not start, or is not running. One sentence, and the last lines of what the server has written."""


class ServerProcess:
    """One run of a server."""

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        *,
        log: str,
        environment: Mapping[str, str] | None = None,
        farewell: signal.Signals = signal.SIGTERM,
        stop_seconds: int = STOP_SECONDS,
    ) -> None:
        """Start `command`, which writes into the file `log`. `environment` is added to that of this process; `farewell`
        asks the server to end, and to do so soon: it is killed after `stop_seconds`. Raises ServerError if the command
        does not exist."""
        self.name = name
        self._log = log
        self._farewell = farewell
        self._stop_seconds = stop_seconds
        if not os.access(command[0], os.X_OK):
            raise ServerError(f"{name} cannot be started: there is no program {command[0]}")
        with open(log, "ab") as output:
            self._shell = subprocess.Popen(
                ["/bin/sh", "-c", _SHELL, name, farewell.name.removeprefix("SIG"), str(stop_seconds), *command],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=output,
                env={**os.environ, **(environment or {})},
                process_group=0,
            )
        assert self._shell.stdout is not None
        with self._shell.stdout as first:
            self.pid = int(first.readline())

    @property
    def is_running(self) -> bool:
        """Whether the server has not ended; a paused one has not."""
        return self._shell.poll() is None

    def wait_until(self, ready: Callable[[], bool], seconds: float) -> None:
        """Return when `ready` is true, which is asked again and again. Raises ServerError."""
        until = time.monotonic() + seconds
        while not ready():
            if not self.is_running:
                raise ServerError(f"{self.name} ended before it was ready{self.last_words()}")
            if time.monotonic() > until:
                raise ServerError(f"{self.name} was not ready within {seconds:g} s{self.last_words()}")
            time.sleep(0.02)

    def stop(self) -> None:
        """Ask the server to end, and wait for it; one that does not is killed. Idempotent."""
        self.resume()
        self._signal(self._farewell)
        try:
            self._shell.wait(self._stop_seconds)
        except subprocess.TimeoutExpired:
            self._signal(signal.SIGKILL)
        self._clean_up()

    def kill(self) -> None:
        """End the server at once, as SIGKILL does. Idempotent."""
        self._signal(signal.SIGKILL)
        self._clean_up()

    def pause(self) -> None:
        """Stop the server where it is (SIGSTOP): its connections stay, and are not answered."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let a paused server go on."""
        self._signal(signal.SIGCONT)

    def last_words(self) -> str:
        """The end of what it has written, to be put behind a sentence."""
        try:
            with open(self._log, errors="replace") as file:
                lines = file.read().splitlines()[-LAST_LINES:]
        except OSError:
            lines = []
        return "".join(f"\n    {line}" for line in lines)

    def _signal(self, number: signal.Signals) -> None:
        if self.is_running:
            with suppress(ProcessLookupError):  # it has ended, and its shell has yet to notice
                os.kill(self.pid, number)

    def _clean_up(self) -> None:
        self._shell.wait()
        assert self._shell.stdin is not None
        self._shell.stdin.close()


def free_ports(count: int) -> list[int]:
    """Ports of the loopback address that nothing listens on, all different.

    They lie below those that the system gives to outgoing connections (Linux: 32768 and up), so that none of these
    takes one before its server does.
    """
    found: list[int] = []
    with ExitStack() as held:
        while len(found) < count:
            candidate = 20_000 + int.from_bytes(os.urandom(2), "big") % 12_000
            each = held.enter_context(socket.socket())
            try:
                each.bind(("127.0.0.1", candidate))
            except OSError:
                continue
            found.append(candidate)
    return found


def is_listening(port: int) -> bool:
    """Whether a connection to this port of the loopback address is accepted."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0
