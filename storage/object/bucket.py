"""The contract of a bucket: named objects that come whole and never change, in a store that other machines share.

What the engine asks of a store is little, so that many stores can be one. An object is put whole, once, under a key
that nothing else uses; it is read by ranges; it is listed and deleted. Nothing is conditional, nothing is renamed, and
no object is ever put twice with other bytes: order and agreement are the database's, and stores differ most in what
they make of conditions.

**A key** is names joined by slashes, of letters, digits, dots, hyphens and underscores. A *folder* is the beginning of
keys up to a slash; listing goes by folders.

**What an outcome means.** A request that has failed has one of these errors, and each is another duty of the caller:

* `ObjectMissing`: the store has answered that there is no such object.
* `Unavailable`: nothing has been changed, and the same request may succeed later. The store was not reached, or has
  said that it is busy, or an answer to a read was cut.
* `Ambiguous`: a put or a delete may have been done, or may yet be done: its answer was lost, or was an error of the
  server, which proxies before a store give after the work too. Putting the same bytes under the same key again is
  safe; deleting again, too. An object whose put was ambiguous must not be relied upon, nor may its key be given other
  bytes.
* `Refused`: the store has understood and will not, and will not tomorrow: no permission, no such bucket.
* `WrongAnswer`: the store has answered with something else than it was asked for: a whole object for a range, fewer
  bytes, more bytes. An engine that believed it would serve records that are not there, so it is no answer.

A put that returned is durable, and every later read by any broker sees the object (all supported stores are strongly
consistent in that). Bytes carry a checksum on their way in, which the store verifies; on the way out the engine checks
what it reads, for every batch has a checksum of its own.

**Cancellation**: a put or a delete that has begun is waited for, as all work with an effect is
(`storage/seams/offload.py`); a read is abandoned.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Sequence
from typing import Final, NamedTuple, Protocol

from kproto.batches.buffers import ReadableBuffer
from storage.statistics import BucketStatistics

KEY: Final = re.compile(r"[A-Za-z0-9._-]+(/[A-Za-z0-9._-]+)*")
LONGEST_KEY: Final = 900
"""Bytes; S3, Azure and GCS take 1024, and a bucket's own prefix comes before it."""
MOST_DELETED: Final = 1000
"""Keys of one call of `delete`: what S3 takes in one request."""


class BucketError(Exception):
    """What a bucket did not do. The text is one sentence without credentials."""


class ObjectMissing(BucketError):
    """There is no object of this key."""


class Unavailable(BucketError):
    """Nothing was done; the same request may succeed later."""


class Ambiguous(BucketError):
    """It may have been done. The same request again is safe."""


class Refused(BucketError):
    """The store will not do it, however often it is asked."""


class WrongAnswer(BucketError):
    """The store has answered something else than it was asked for."""


class StoredObject(NamedTuple):
    """One line of a listing."""

    key: str
    size: int  # bytes


class ByteRange(NamedTuple):
    """Bytes of an object, from `start` up to, not including, `end`; never empty."""

    start: int
    end: int


class Bucket(Protocol):
    """One bucket, or a folder of it. Its methods may be called by many tasks at once, and raise a `BucketError`."""

    @property
    def location(self) -> str:
        """The bucket as a person knows it, without credentials: `s3://logs/ottla`."""
        ...

    async def put(self, key: str, pieces: Sequence[ReadableBuffer], *, background: bool = False) -> None:
        """Make an object of the bytes of `pieces`, one behind the other, and return when it is durable.

        The pieces are not changed until this returns. Work in the background does not stand in the way of other work.
        Raises Unavailable, Ambiguous, Refused.
        """
        ...

    async def get(self, key: str, start: int, end: int, *, background: bool = False) -> memoryview:
        """The bytes of an object from `start` up to `end`, all of them. Raises ObjectMissing, Unavailable, Refused,
        and WrongAnswer, also if the object ends before `end`."""
        ...

    async def get_ranges(
        self, key: str, ranges: Sequence[ByteRange], *, background: bool = False
    ) -> Sequence[memoryview]:
        """Several ranges of one object, in the order in which they were asked for; those that lie close together may be
        read as one. Raises what `get` raises."""
        ...

    async def size(self, key: str) -> int:
        """The size of an object in bytes. Raises ObjectMissing, Unavailable, Refused."""
        ...

    def list(self, folder: str = "") -> AsyncIterator[Sequence[StoredObject]]:
        """All objects whose key begins with `folder`, which is empty or ends with a slash: page by page, in no order.
        Objects that come or go meanwhile may be among them or not. Raises Unavailable, Refused, WrongAnswer."""
        ...

    async def delete(self, keys: Sequence[str]) -> None:
        """Delete objects, `MOST_DELETED` at the most; one that is not there is no error. After an error some may be
        gone; the same call again is safe. Raises Unavailable, Ambiguous, Refused."""
        ...

    def statistics(self) -> BucketStatistics:
        """What was asked for since the bucket was opened. Cheap."""
        ...


def check_key(key: str) -> str:
    """`key`, which must be one: an assertion, for keys are made by the engine."""
    assert KEY.fullmatch(key) and len(key) <= LONGEST_KEY, f"not a key: {key!r}"
    assert not {".", ".."} & set(key.split("/")), f"not a key: {key!r}"
    return key


def check_folder(folder: str) -> str:
    """`folder`, which must be empty or a key and a slash."""
    assert not folder or (folder.endswith("/") and check_key(folder[:-1])), f"not a folder: {folder!r}"
    return folder


def check_ranges(ranges: Sequence[ByteRange]) -> Sequence[ByteRange]:
    """`ranges`, of which none is empty."""
    assert all(0 <= start < end for start, end in ranges), f"empty or turned ranges: {ranges}"
    return ranges
