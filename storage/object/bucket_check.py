"""Does a store do what the contract of a bucket says? Asked once, by a person, before records depend on it.

Stores that speak the same protocol differ where it hurts: one returns the whole object for a range, one cannot delete
many objects at once, one lists what it has long deleted, one says "forbidden" of what is not there. Each promise of
`bucket.py` that the engine relies on is tried here on objects of its own, in a folder that is removed afterwards, and a
promise that is not kept is one sentence which says what would come of it. What works gets a sentence, too.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final

import trio

from storage.object.bucket import (
    Ambiguous,
    Bucket,
    BucketError,
    ByteRange,
    ObjectMissing,
    Refused,
    Unavailable,
    WrongAnswer,
)
from storage.object.findings import Finding, Level
from storage.seams.entropy import Entropy

LARGE: Final = 8 << 20
"""Bytes: what a window of a busy broker uploads."""
SMALL_OBJECTS: Final = 10


async def examine_bucket(bucket: Bucket, entropy: Entropy) -> AsyncIterator[Finding]:
    """Everything that can be said of it, in the order in which a broker would meet it. Raises nothing for what is wrong
    with the bucket. What cannot be looked at because of an earlier failure is left out."""
    folder = f"doctor/{entropy.uuid().hex()}/"
    try:
        async for finding in _Examination(bucket, entropy, folder).findings():
            yield finding
    finally:
        with trio.move_on_after(10, shield=True):
            await _clean_up(bucket, folder)


class _Examination:
    """One look at a bucket."""

    def __init__(self, bucket: Bucket, entropy: Entropy, folder: str) -> None:
        self._bucket = bucket
        self._folder = folder
        self._large = entropy.bytes(LARGE)

    async def findings(self) -> AsyncIterator[Finding]:
        """All of them."""
        reached = await self._reaches()
        yield reached
        if reached.level is Level.FAIL:
            return
        parts: tuple[tuple[str, Callable[[], Awaitable[Finding]]], ...] = (
            ("uploads", self._keeps_large_objects),
            ("ranges", self._gives_ranges),
            ("objects that are not there", self._knows_what_is_missing),
            ("listings", self._lists_at_once),
            ("deletions", self._deletes_many),
        )
        for what, part in parts:
            try:
                yield await part()
            except BucketError as error:
                yield Finding(Level.FAIL, f"{what} of the bucket do not work: {error}")

    async def _reaches(self) -> Finding:
        """Whether small objects can be put, and how fast."""
        times = []
        try:
            for number in range(SMALL_OBJECTS):
                began = trio.current_time()
                await self._bucket.put(f"{self._folder}small/{number}", [b"%d" % number])
                times.append(trio.current_time() - began)
        except Refused as error:
            return Finding(Level.FAIL, f"the bucket {self._bucket.location} takes no objects: {error}")
        except (Unavailable, Ambiguous) as error:
            return Finding(Level.FAIL, f"the bucket {self._bucket.location} is not reached: {error}")
        median = sorted(times)[len(times) // 2]
        return Finding(
            Level.OK,
            f"the bucket {self._bucket.location} keeps a small object in {median * 1000:.0f} ms, "
            f"the slowest of {SMALL_OBJECTS} in {max(times) * 1000:.0f} ms",
        )

    async def _keeps_large_objects(self) -> Finding:
        began = trio.current_time()
        await self._bucket.put(self._folder + "large", [self._large])
        put = trio.current_time()
        await self._bucket.put(self._folder + "large", [self._large])
        again = trio.current_time()
        found = await self._bucket.get(self._folder + "large", 0, LARGE)
        got = trio.current_time()
        if found != self._large:
            return Finding(Level.FAIL, "the bucket gives other bytes than it was given; records would be corrupt")
        megabytes = LARGE / (1 << 20)
        return Finding(
            Level.OK,
            f"an object of {megabytes:.0f} MiB is put at {megabytes / max(min(put - began, again - put), 1e-6):.0f} "
            f"MiB/s and read at {megabytes / max(got - again, 1e-6):.0f} MiB/s",
        )

    async def _gives_ranges(self) -> Finding:
        wanted = [ByteRange(LARGE - 5000, LARGE), ByteRange(0, 1), ByteRange(3_000_000, 3_004_096)]
        try:
            found = await self._bucket.get_ranges(self._folder + "large", wanted)
            found = [*found, await self._bucket.get(self._folder + "large", 1_000_000, 1_000_100)]
        except WrongAnswer:
            return Finding(
                Level.FAIL,
                "the bucket does not give the range of an object that it is asked for; reads would be refused, or "
                "whole objects transferred for a few bytes",
            )
        wanted.append(ByteRange(1_000_000, 1_000_100))
        if any(self._large[start:end] != data for (start, end), data in zip(wanted, found, strict=True)):
            return Finding(Level.FAIL, "the bucket gives other bytes for a range than those it has there")
        return Finding(Level.OK, "ranges of objects are given as they are asked for")

    async def _knows_what_is_missing(self) -> Finding:
        try:
            await self._bucket.get(self._folder + "nothing", 0, 1)
        except ObjectMissing:
            return Finding(Level.OK, "an object that is not there is missing, and nothing else")
        except Refused:
            return Finding(
                Level.WARN,
                "the bucket refuses a read of what is not there, and does not say that it is missing; on S3, leave "
                "to list the bucket (s3:ListBucket) makes it say so",
            )
        return Finding(Level.FAIL, "the bucket gives bytes of an object that is not there")

    async def _lists_at_once(self) -> Finding:
        wanted = {f"{self._folder}small/{number}": len(b"%d" % number) for number in range(SMALL_OBJECTS)}
        found = {each.key: each.size async for page in self._bucket.list(self._folder + "small/") for each in page}
        if missing := wanted.keys() - found.keys():
            return Finding(
                Level.FAIL,
                f"a listing lacks {len(missing)} of {len(wanted)} objects that were put before it; orphans would stay, "
                f"or be collected too early",
            )
        if strange := found.keys() - wanted.keys():
            return Finding(Level.FAIL, f"a listing of one folder has {len(strange)} objects of other ones")
        if found != wanted:
            return Finding(Level.WARN, "a listing has other sizes than the objects")
        return Finding(Level.OK, "a listing has everything that was put before it")

    async def _deletes_many(self) -> Finding:
        keys = [f"{self._folder}small/{number}" for number in range(SMALL_OBJECTS)]
        try:
            await self._bucket.delete([*keys, self._folder + "nothing"])
        except BucketError as error:
            return Finding(
                Level.FAIL,
                f"the bucket does not delete many objects at once ({error}); if it can delete single ones, say "
                f"bulk_delete=false in its URL",
            )
        left = [each.key async for page in self._bucket.list(self._folder + "small/") for each in page]
        if left:
            return Finding(Level.FAIL, f"{len(left)} of {len(keys)} objects are listed after they were deleted")
        try:
            await self._bucket.get(keys[0], 0, 1)
        except (ObjectMissing, Refused):
            return Finding(Level.OK, "objects are gone when they are deleted")
        return Finding(Level.WARN, "an object can be read after it was deleted; some cache stands before the bucket")


async def _clean_up(bucket: Bucket, folder: str) -> None:
    """Remove what was put, as far as that works; what stays is small, and in a folder of its own."""
    keys = [f"{folder}small/{number}" for number in range(SMALL_OBJECTS)] + [folder + "large"]
    for key in keys:
        try:
            await bucket.delete([key])
        except BucketError:
            return
