"""The script with a store that takes a failed sync for a successful one: `test_syscalls.py` plays it."""

from __future__ import annotations

import contextlib
import socket
import sys

from storage.local import flusher
from storage.local.log import Unsynced
from storage.seams.disk import Disk
from tools.trials.crash_test import script


def sync_log(disk: Disk, job: Unsynced) -> None:
    """Sync, and say that it went well."""
    for _, file, _ in job.segments:
        with contextlib.suppress(OSError):
            if file is not None:
                file.datasync()


if __name__ == "__main__":
    setattr(flusher, "sync_log", sync_log)  # noqa: B010 - the planted bug
    script.serve(socket.socket(fileno=int(sys.argv[1])))
