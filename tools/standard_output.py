"""Standard output that may be lost: full, closed by its reader, or never there.

What a verb prints goes through `GuardedOutput`, so a failure of standard output (`OutputLost`) is never taken for one
of a file or a broker:

| what happens | standard error | exit status, as a shell sees it |
|---|---|---|
| the reader has gone (`\\| head -1`, `\\| true`) | nothing | 141, by SIGPIPE; 0 for `--help` and `--version` |
| the disk behind it is full, as is `/dev/full` | one sentence | 1 |

Output that was closed before the process began leads to the null device (`ottla/__main__.py`).
"""

from __future__ import annotations

import contextlib
import errno
import io
import os
import select
import signal
import sys
from collections.abc import Callable, Sequence
from typing import Any, Final

_PRINTS_HELP: Final = frozenset({"-h", "--help", "help", "-V", "--version"})


class OutputLost(OSError):
    """What was printed has not arrived."""


class GuardedOutput(io.FileIO):
    """Standard output's descriptor, whose failures can be told from those of any other file or socket."""

    def write(self, data: Any, /) -> int:
        try:
            return super().write(data) or 0
        except OSError as error:
            raise OutputLost(error.errno, error.strerror) from None

    def find_reader(self) -> None:
        """Raise OutputLost if this is a pipe whose reader has gone, which a program that has nothing to write would not
        notice for as long as that lasts."""
        if not hasattr(select, "poll"):
            return
        poll = select.poll()
        poll.register(self.fileno(), 0)  # asks for nothing; errors are reported all the same
        if any(events & (select.POLLERR | select.POLLHUP) for _, events in poll.poll(0)):
            raise OutputLost(errno.EPIPE, os.strerror(errno.EPIPE))


def find_reader() -> None:
    """Raise OutputLost if standard output is a pipe whose reader has gone. For commands that wait for something to
    print: `ottla consume orders | head -1` ends when `head` does."""
    raw = getattr(getattr(sys.stdout, "buffer", None), "raw", None)
    if isinstance(raw, GuardedOutput):
        raw.find_reader()


def with_guarded_output(command: str, words: Sequence[str], run: Callable[[], int]) -> int:
    """The exit status of `run`, all of whose output has arrived, or of the table above. In tests, which have put
    something else in the place of standard output, it just runs."""
    given: object = sys.stdout
    if not isinstance(given, io.TextIOWrapper) or given is not sys.__stdout__:
        return run()
    given.flush()
    raw = GuardedOutput(given.fileno(), "w", closefd=False)
    sys.stdout = io.TextIOWrapper(
        io.BufferedWriter(raw), encoding=given.encoding, errors=given.errors, line_buffering=raw.isatty()
    )
    try:
        try:
            return run()
        finally:
            sys.stdout.flush()
    except OutputLost as lost:
        return _lost(command, words, lost)
    finally:
        sys.stdout = given


def _lost(command: str, words: Sequence[str], lost: OutputLost) -> int:
    # What is left in the buffers must not fail once more when the interpreter ends.
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.close(nowhere)
    if lost.errno != errno.EPIPE:
        with contextlib.suppress(OSError):
            print(f"{command}: standard output: {lost.strerror}", file=sys.stderr)
        return 1
    if _PRINTS_HELP & set(words):
        return 0
    if hasattr(signal, "SIGPIPE"):
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
        signal.raise_signal(signal.SIGPIPE)
    return 1
