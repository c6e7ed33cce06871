"""The examination finds each way in which a store may not do what it promised, and leaves nothing behind."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from storage.object.bucket import Ambiguous, ByteRange, ObjectMissing, Refused, WrongAnswer
from storage.object.bucket_check import examine_bucket
from storage.object.findings import Level
from storage.seams.entropy import SeededEntropy
from storage.testing.bucket import MemoryBucket


async def found(bucket: MemoryBucket) -> dict[str, Level]:
    """The sentences, with their levels."""
    return {finding.sentence: finding.level async for finding in examine_bucket(bucket, SeededEntropy(1))}


async def test_a_sound_bucket_has_nothing_wrong() -> None:
    """Every sentence is good, and nothing is left in it."""
    bucket = MemoryBucket(location="s3://logs")
    sentences = await found(bucket)
    assert set(sentences.values()) == {Level.OK}
    assert next(iter(sentences)).startswith("the bucket s3://logs keeps a small object in 0 ms")
    assert bucket.objects == {}


class IgnoresRanges(MemoryBucket):
    """Gives the whole object, which its client does not take for an answer."""

    async def get_ranges(self, key: str, ranges: Sequence[ByteRange], *, background: bool = False) -> list[memoryview]:
        whole = memoryview(self.objects[key]) if key in self.objects else None
        if whole is not None and list(ranges) != [ByteRange(0, len(whole))]:
            raise WrongAnswer("all of it")
        return list(await super().get_ranges(key, ranges))


class Rots(MemoryBucket):
    """Gives other bytes."""

    async def get_ranges(self, key: str, ranges: Sequence[ByteRange], *, background: bool = False) -> list[memoryview]:
        return [memoryview(bytes(len(each))) for each in await super().get_ranges(key, ranges)]


class Forbids(MemoryBucket):
    """Says "forbidden" of what is not there."""

    async def get_ranges(self, key: str, ranges: Sequence[ByteRange], *, background: bool = False) -> list[memoryview]:
        try:
            return list(await super().get_ranges(key, ranges))
        except ObjectMissing:
            raise Refused("forbidden") from None


class DeletesOneByOne(MemoryBucket):
    """Fails with many keys at once."""

    async def delete(self, keys: Sequence[str]) -> None:
        if len(keys) > 1:
            raise Ambiguous("what?")
        await super().delete(keys)


class ForgetsToDelete(MemoryBucket):
    """Answers, and deletes nothing, when there are many."""

    async def delete(self, keys: Sequence[str]) -> None:
        if len(keys) == 1:
            await super().delete(keys)


@pytest.mark.parametrize(
    ("bucket", "level", "said"),
    [
        (IgnoresRanges(), Level.FAIL, "does not give the range"),
        (Rots(), Level.FAIL, "other bytes than it was given"),
        (Forbids(), Level.WARN, "s3:ListBucket"),
        (DeletesOneByOne(), Level.FAIL, "bulk_delete=false"),
        (ForgetsToDelete(), Level.FAIL, "10 of 10 objects are listed after they were deleted"),
    ],
)
async def test_a_promise_that_is_not_kept_is_one_sentence(bucket: MemoryBucket, level: Level, said: str) -> None:
    """Which says what would come of it; what is kept is still said."""
    sentences = await found(bucket)
    (sentence,) = [each for each, how in sentences.items() if said in each and how is level]
    assert Level.OK in sentences.values()
    assert bucket.objects == {}, sentence


async def test_a_bucket_that_is_not_reached_is_the_only_sentence() -> None:
    """Nothing else can be said of it."""
    bucket = MemoryBucket()
    bucket.down = True
    ((sentence, level),) = (await found(bucket)).items()
    assert (level, "is not reached" in sentence) == (Level.FAIL, True)
