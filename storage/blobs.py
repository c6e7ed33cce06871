"""What a log may have beside its records: whole, named files, which its owner understands and an engine does not.

The cluster's own log has such files (snapshots of what its records add up to, a note of who leads; what is in them
stands in `broker/coordinators/cluster/quorum_files.py`). The contract is about names and bytes that come and go whole:

* a blob is there, whole and durable, name included, once `write` has returned; before that, or if it fails, there is
  what was there before;
* an engine never removes one by itself, not even one that looks damaged;
* a log's blobs go with the log.

A name is that of a file in Kafka's directory of a log, so it must not be one that the engine has given to a file of its
own; it has letters, digits, dots and hyphens. What a directory holds besides is listed too: its owner knows its names.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple, Protocol

from kproto.batches.buffers import ReadableBuffer


class StoredBlob(NamedTuple):
    """The name and the size of a blob."""

    name: str
    size: int  # bytes


class LogBlobs(Protocol):
    """The blobs of one log. Any method raises KafkaError(KAFKA_STORAGE_ERROR) when the disk does not do it."""

    async def stored(self) -> list[StoredBlob]:
        """Those that are there, by name."""
        ...

    async def read(self, name: str) -> bytes | None:
        """The bytes of a blob, whose name is durable from now on; None if there is none of that name."""
        ...

    async def write(self, name: str, pieces: Callable[[], Iterable[ReadableBuffer]]) -> None:
        """Make a blob of what `pieces` gives, which is called outside the event loop. It takes the place of one of that
        name. The log must exist (KAFKA_STORAGE_ERROR). Raises what `pieces` raises; then nothing has changed."""
        ...

    async def remove(self, names: Sequence[str]) -> None:
        """Remove blobs; one that is not there is no error."""
        ...
