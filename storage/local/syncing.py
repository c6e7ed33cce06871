"""One log's share of a round of group commit: what a worker thread does for it, and the ways in which that ends.

* **Synced** (None): the bytes, then the names that lead to them, are on the platter, and the files that were synced are
  still those that the log's names lead to.
* **OSError**: a sync has failed. That is final for the whole directory (`flusher.py` says why).
* **Postponed**: nothing was tried, because a file could not be opened for want of descriptors or memory, no thread
  could be had, or the round had its time. Nothing is lost and nothing is promised; a round that comes later tries
  again. It concerns only files that are opened for the sync: what was written is open already.
* **Lost**: the files are no longer the partition's. A person, or a program, has removed or replaced the directory, or
  has cut a file, under the broker. The sync has succeeded, on a file without a name: what it would promise, the next
  start would not find. The log stops, and says so. That is found here, before an acknowledgement is given, because here
  it costs two system calls beside one that waits for the disk.
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


class Lost:
    """What was synced is not the partition's any more. `reason` is one sentence that names the file."""

    __slots__ = ("reason",)

    def __init__(self, reason: str) -> None:
        self.reason = reason


Outcome = OSError | Postponed | Lost | None


def sync_log(disk: Disk, job: Unsynced) -> Outcome:
    """Bytes first, then names, so that a durable name never leads to missing bytes. In a thread."""
    try:
        for segment, file, size in job.segments:
            path = segment.path(".log")
            opened = file if file is not None else _open(disk, path)
            if isinstance(opened, Postponed | Lost):
                return opened
            opened.datasync()
            wrong = opened.strayed(path, size)
            if file is None:
                opened.close()
            if wrong is not None:
                return Lost(f"{path} {wrong}")
        for path in job.indexes:
            opened = _open(disk, path)
            if isinstance(opened, Postponed | Lost):
                return opened
            opened.datasync()
            opened.close()
        for path in dict.fromkeys(job.directories):
            try:
                disk.sync_directory(path)
            except FileNotFoundError:
                return Lost(f"{path} is gone")
            except OSError as error:
                if error.errno not in SHORT_OF:
                    raise
                return Postponed(error)
    except OSError as error:
        return error
    except Exception as error:  # nothing is known of the bytes: as after a sync that has failed
        return OSError(f"{type(error).__name__}: {error}")
    return None


def _open(disk: Disk, path: str) -> File | Postponed | Lost:
    try:
        return disk.open(path)
    except FileNotFoundError:
        return Lost(f"{path} is gone")
    except OSError as error:
        if error.errno not in SHORT_OF:
            raise
        return Postponed(error)
