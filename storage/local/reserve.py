"""Room set aside on the disk, so that a full one can still be emptied.

To delete records or a topic, something small has to be written first: a checkpoint, a record of the cluster log. On a
disk where not a byte is left that fails, and nothing but what lies outside of our directory could ever be freed. So a
file takes `RESERVE_BYTES` of the disk (of a small one a 64th) and is worth nothing. When a write that helps to make
room finds none, the file is removed and the write tried again. From then on producers are refused, since they would
have the room before anybody could use it well; the logs of coordinators (`LogSpec.internal`) and checkpoints go
on. When there is room twice over, the file is made again and producers are welcome.

The file has no content, and Kafka does not look at it.
"""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Callable
from typing import Final

from storage.seams.disk import Disk
from storage.seams.logging import get_logger

NAME: Final = "ottla-reserve"
RESERVE_BYTES: Final = 8 << 20
SMALLEST_SHARE: Final = 64

NO_ROOM: Final = frozenset(
    number for name in ("ENOSPC", "EDQUOT") if (number := getattr(errno, name, None)) is not None
)


class Reserve:
    """The file in one directory. Any method in any thread."""

    def __init__(self, disk: Disk, directory: str) -> None:
        self._disk = disk
        self._directory = directory
        self._path = f"{directory}/{NAME}"
        self.spent = False
        """Whether the room has been used, and not been found again."""

    def make(self) -> None:
        """Set the room aside, if there is twice as much; else it counts as spent."""
        try:
            total, usable = self._disk.space(self._directory)
            size = min(RESERVE_BYTES, total // SMALLEST_SHARE)
            if not self._disk.file_size(self._path):
                if usable < 2 * size:
                    self._note(True)
                    return
                self._disk.allocate(self._path, size)
            self._note(False)
        except OSError as error:
            with contextlib.suppress(OSError):
                self._disk.remove(self._path)
            self._note(error.errno in NO_ROOM)

    def spend(self) -> bool:
        """Give the room to a write that has found none; False if it had been given away before."""
        if self.spent:
            return False
        self._note(True)
        try:
            self._disk.remove(self._path)
        except OSError:
            return False
        return True

    def _note(self, spent: bool) -> None:
        if spent != self.spent:
            self.spent = spent
            if spent:
                get_logger("storage").error("disk full: producers are refused", directory=self._directory)
            else:
                get_logger("storage").warning("disk has room again", directory=self._directory)

    def help(self, write: Callable[[], None]) -> None:
        """Do `write`; if there is no room for it, once more with what was set aside. Raises OSError."""
        try:
            write()
        except OSError as error:
            if error.errno not in NO_ROOM or not self.spend():
                raise
            write()
