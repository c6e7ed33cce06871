"""The script with a store that takes a failed sync for a successful one: `test_syscalls.py` plays it."""

from __future__ import annotations

import contextlib
import socket
import sys

from storage.local.flusher import Flusher
from storage.local.log import Unsynced
from tools.trials.crash_test import script


def sync(self: Flusher, jobs: list[Unsynced]) -> list[OSError | None]:
    """Sync, and say that it went well."""
    for job in jobs:
        for _, file, _ in job.segments:
            with contextlib.suppress(OSError):
                file.datasync()
    return [None for _ in jobs]


if __name__ == "__main__":
    Flusher.sync = sync  # type: ignore[method-assign]  # the planted bug
    script.serve(socket.socket(fileno=int(sys.argv[1])))
