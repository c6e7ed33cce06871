"""One log's share of a round of group commit: what a worker thread does for it, and the ways in which that ends.

* **Synced** (None): the bytes, then the names that lead to them, are on the platter.
* **OSError**: a sync has failed. That is final for the whole directory (`flusher.py` says why).
* **Postponed**: nothing was tried, because a file could not be opened for want of descriptors or memory, no thread
  could be had, or the round had its time. Nothing is lost and nothing is promised; a round that comes later tries
  again. It concerns only files that are opened for the sync: what was written is open already.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from storage.seams.disk import SHORT_OF, Disk, File

if TYPE_CHECKING:
    from storage.local.log import Unsynced


class Postponed:
    """Nothing was tried. `error` is what was missing; None if the round was over before."""

    __slots__ = ("error",)

    def __init__(self, error: Exception | None) -> None:
        self.error = error


Outcome = OSError | Postponed | None


def sync_log(disk: Disk, job: Unsynced) -> Outcome:
    """Bytes first, then names, so that a durable name never leads to missing bytes. In a thread."""
    try:
        for _, file, _ in job.segments:
            file.datasync()
        for path in job.indexes:
            opened = _open(disk, path)
            if isinstance(opened, Postponed):
                return opened
            opened.datasync()
            opened.close()
        for path in dict.fromkeys(job.directories):
            try:
                disk.sync_directory(path)
            except OSError as error:
                if error.errno not in SHORT_OF:
                    raise
                return Postponed(error)
    except OSError as error:
        return error
    except Exception as error:  # nothing is known of the bytes: as after a sync that has failed
        return OSError(f"{type(error).__name__}: {error}")
    return None


def _open(disk: Disk, path: str) -> File | Postponed:
    try:
        return disk.open(path)
    except OSError as error:
        if error.errno not in SHORT_OF:
            raise
        return Postponed(error)
