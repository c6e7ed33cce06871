"""Every bucket keeps the contract: the double of the tests, obstore's memory, a directory, an S3 store over HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio

from storage.object.bucket import Ambiguous, Bucket, ObjectMissing, Refused, Unavailable, WrongAnswer
from storage.object.stores import ObstoreBucket, open_bucket
from storage.seams.clock import SystemClock
from storage.seams.disk import SystemDisk
from storage.seams.offload import ThreadOffload
from storage.testing.bucket import Fault, MemoryBucket
from storage.testing.conformance.buckets import BucketConformance, keys_in, raising
from storage.tests.object.moto_store import KEYS, moto_store, new_bucket


def opened(url: str) -> ObstoreBucket:
    """The bucket of this URL."""
    return open_bucket(url, offload=ThreadOffload(), disk=SystemDisk(), clock=SystemClock())


class TestDouble(BucketConformance):
    """The bucket that fails on demand, when nothing is demanded."""

    @asynccontextmanager
    async def bucket(self) -> AsyncIterator[Bucket]:
        yield MemoryBucket()


class TestMemory(BucketConformance):
    """obstore's own."""

    @asynccontextmanager
    async def bucket(self) -> AsyncIterator[Bucket]:
        yield opened("memory:")


class TestDirectory(BucketConformance):
    """Files."""

    @pytest.fixture(autouse=True)
    def _place(self, tmp_path: Path) -> None:
        self.path = tmp_path / "bucket"

    @asynccontextmanager
    async def bucket(self) -> AsyncIterator[Bucket]:
        yield opened(f"file://{self.path}")


@pytest.fixture(scope="module")
def store() -> Iterator[str]:
    """The address of an S3 store."""
    with moto_store() as address:
        yield address


@pytest.fixture(autouse=True)
def _credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)


class TestS3(BucketConformance):
    """A store that speaks S3."""

    @pytest.fixture(autouse=True)
    def _url(self, store: str) -> None:
        self.url = new_bucket(store)

    @asynccontextmanager
    async def bucket(self) -> AsyncIterator[Bucket]:
        yield opened(self.url)


async def test_a_bucket_that_does_not_exist_refuses(store: str) -> None:
    """Reads do not take it for an object that is missing: nothing is collected because of a misspelt name."""
    bucket = opened(f"s3://nothing?endpoint={store}")
    with raising(Refused):
        await bucket.put("a", [b"x"])
    with raising(Refused):
        await bucket.get("a", 0, 1)
    with raising(Refused):
        await keys_in(bucket, "")


async def test_two_folders_of_one_bucket_know_nothing_of_each_other(store: str) -> None:
    """A cluster lists and deletes its own objects only."""
    url = new_bucket(store)
    one, other = opened(url), opened(url.replace("/folder", "/folder2"))
    await one.put("a", [b"1"])
    assert await keys_in(other, "") == []
    with raising(ObjectMissing):
        await other.get("a", 0, 1)


async def test_a_store_that_is_not_there_is_unavailable() -> None:
    """Nothing was done, so a put is not ambiguous; the sentence names the bucket and no credential."""
    bucket = opened("s3://logs?endpoint=http://127.0.0.1:1")
    with raising(Unavailable):
        await bucket.put("a", [b"x"])
    with raising(Unavailable):
        await bucket.get("a", 0, 1)
    error = bucket.statistics().last_error
    assert error == "the read of a in s3://logs failed: the store cannot be reached"


async def test_the_files_of_a_directory_are_synced(tmp_path: Path) -> None:
    """A put that returned outlives a power cut: the file, its name, and the new folders above it."""
    synced: list[str] = []

    class Watching(SystemDisk):
        def sync_directory(self, path: str) -> None:
            synced.append(path)
            super().sync_directory(path)

    root = tmp_path / "bucket"
    bucket = open_bucket(f"file://{root}", offload=ThreadOffload(), disk=Watching(), clock=SystemClock())
    await bucket.put("w/1/a", [b"x"])
    assert synced == [str(root / "w" / "1"), str(root / "w"), str(root)]


# --- the double's faults


async def test_a_lost_answer_is_ambiguous_and_the_work_is_done() -> None:
    """The same bytes again are safe."""
    bucket = MemoryBucket()
    bucket.plan("put", Fault.LOST)
    with raising(Ambiguous):
        await bucket.put("a", [b"x"])
    await bucket.put("a", [b"x"])
    assert bucket.objects == {"a": b"x"}


async def test_late_work_happens_when_all_have_given_up(autojump_clock: trio.testing.MockClock) -> None:
    """An upload that was thought lost appears afterwards, and a deletion too."""
    bucket = MemoryBucket(late=60)
    bucket.plan("put", Fault.LATE)
    with raising(Ambiguous):
        await bucket.put("a", [b"x"])
    assert await keys_in(bucket, "") == []
    await trio.sleep(61)
    assert await keys_in(bucket, "") == ["a"]


async def test_a_busy_or_unreachable_store_does_nothing() -> None:
    """503, and no connection."""
    bucket = MemoryBucket()
    bucket.plan("put", Fault.BUSY)
    for _ in range(2):
        with raising(Unavailable):
            await bucket.put("a", [b"x"])
        bucket.down = True
    assert bucket.objects == {}


async def test_reads_are_cut_corrupted_or_denied() -> None:
    """Each as a store might; only a corrupt answer has no error."""
    bucket = MemoryBucket()
    await bucket.put("a", [b"0123"])
    bucket.plan("get", Fault.CUT, Fault.GONE, Fault.CORRUPT)
    with raising(WrongAnswer):
        await bucket.get("a", 0, 4)
    with raising(ObjectMissing):
        await bucket.get("a", 0, 4)
    assert bytes(await bucket.get("a", 0, 4)) == b"01\x223"
    assert bytes(await bucket.get("a", 0, 4)) == b"0123"


async def test_requests_take_virtual_time(autojump_clock: trio.testing.MockClock) -> None:
    """As long as the test says, and it is counted."""
    bucket = MemoryBucket(delay=lambda kind, size: 0.1 + size)
    await bucket.put("a", [b"0123"])
    assert trio.current_time() == 4.1
    assert round(bucket.statistics().puts.median_ms) == 4100


async def test_other_bytes_under_a_key_are_found_out() -> None:
    """No engine may put a key twice with other bytes."""
    bucket = MemoryBucket()
    await bucket.put("a", [b"x"])
    with pytest.raises(AssertionError, match="second time"):
        await bucket.put("a", [b"y"])
