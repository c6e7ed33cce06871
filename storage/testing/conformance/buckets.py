"""What the words in `storage/object/bucket.py` mean: every bucket passes this, in memory, in a directory, in a store.

Folders are new in each test (`new_folder`), so that one store may serve them all.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager, contextmanager

import trio

from storage.object.bucket import Bucket, BucketError, ByteRange, ObjectMissing, WrongAnswer
from storage.seams.entropy import SeededEntropy

_FOLDERS = itertools.count()


@contextmanager
def raising(kind: type[BucketError]) -> Iterator[None]:
    """What follows raises this."""
    try:
        yield
    except kind:
        return
    raise AssertionError(f"{kind.__name__} was not raised")


def new_folder() -> str:
    """The name of a folder that no other test of this process uses, with its slash."""
    return f"conformance/{next(_FOLDERS)}/"


async def keys_in(bucket: Bucket, folder: str) -> list[str]:
    """All keys of a folder, in order."""
    return sorted([each.key async for page in bucket.list(folder) for each in page])


class BucketConformance:
    """A bucket's promises. A test class inherits it and gives `bucket()`."""

    def bucket(self) -> AbstractAsyncContextManager[Bucket]:
        """A bucket to be tried, open as long as the context lasts."""
        raise NotImplementedError

    async def test_an_object_is_read_as_it_was_put(self) -> None:
        """Pieces of all kinds of buffers, one behind the other; every range, and its size."""
        folder = new_folder()
        async with self.bucket() as bucket:
            await bucket.put(folder + "a", [b"01", bytearray(b"234"), memoryview(b"x56789x")[1:6], b""])
            assert bytes(await bucket.get(folder + "a", 0, 10)) == b"0123456789"
            assert bytes(await bucket.get(folder + "a", 3, 4)) == b"3"
            assert bytes(await bucket.get(folder + "a", 9, 10)) == b"9"
            assert await bucket.size(folder + "a") == 10

    async def test_what_is_read_cannot_be_changed(self) -> None:
        """The bytes belong to all who read them."""
        folder = new_folder()
        async with self.bucket() as bucket:
            await bucket.put(folder + "a", [b"0123"])
            assert (await bucket.get(folder + "a", 0, 4)).readonly

    async def test_ranges_come_as_they_were_asked_for(self) -> None:
        """In their order, overlapping ones too, near each other or far apart."""
        folder = new_folder()
        data = SeededEntropy(1).bytes(3 << 20)
        async with self.bucket() as bucket:
            await bucket.put(folder + "a", [data])
            wanted = [
                ByteRange(3_000_000, 3_000_100),
                ByteRange(0, 10),
                ByteRange(5, 15),
                ByteRange(2_000_000, 2_000_001),
            ]
            found = await bucket.get_ranges(folder + "a", wanted)
            assert [bytes(each) for each in found] == [data[start:end] for start, end in wanted]
            assert list(await bucket.get_ranges(folder + "a", [])) == []

    async def test_a_large_object_is_whole(self) -> None:
        """One above five megabytes, where some clients begin to cut objects into parts."""
        folder = new_folder()
        data = SeededEntropy(2).bytes(9 << 20)
        async with self.bucket() as bucket:
            await bucket.put(folder + "a", [data[: 4 << 20], data[4 << 20 :]])
            assert await bucket.get(folder + "a", 0, len(data)) == data

    async def test_an_object_may_be_empty(self) -> None:
        """It is there, and has no bytes."""
        folder = new_folder()
        async with self.bucket() as bucket:
            await bucket.put(folder + "a", [])
            assert await bucket.size(folder + "a") == 0

    async def test_what_is_not_there_is_missing(self) -> None:
        """A read and a look say so, each by the error of its own."""
        folder = new_folder()
        async with self.bucket() as bucket:
            with raising(ObjectMissing):
                await bucket.get(folder + "a", 0, 1)
            with raising(ObjectMissing):
                await bucket.get_ranges(folder + "a", [ByteRange(0, 1), ByteRange(5, 9)])
            with raising(ObjectMissing):
                await bucket.size(folder + "a")

    async def test_bytes_that_an_object_does_not_have_are_no_answer(self) -> None:
        """A range that ends behind the object, or begins there."""
        folder = new_folder()
        async with self.bucket() as bucket:
            await bucket.put(folder + "a", [b"0123"])
            for start, end in ((0, 5), (3, 9), (4, 5), (100, 200)):
                with raising(WrongAnswer):
                    await bucket.get(folder + "a", start, end)
            with raising(WrongAnswer):
                await bucket.get_ranges(folder + "a", [ByteRange(0, 1), ByteRange(2, 6)])

    async def test_the_same_bytes_may_be_put_again(self) -> None:
        """As after an answer that was lost."""
        folder = new_folder()
        async with self.bucket() as bucket:
            await bucket.put(folder + "a", [b"0123"])
            await bucket.put(folder + "a", [b"01", b"23"])
            assert bytes(await bucket.get(folder + "a", 0, 4)) == b"0123"
            assert await keys_in(bucket, folder) == [folder + "a"]

    async def test_a_folder_is_listed(self) -> None:
        """What is in it, at any depth, with sizes; not what has a longer name."""
        folder = new_folder()
        async with self.bucket() as bucket:
            for name in ("w/2026113022/1-a", "w/2026113022/2-b", "w/2026113023/1-c", "wide/1", "s/1"):
                await bucket.put(folder + name, [name.encode()])
            assert await keys_in(bucket, folder + "w/") == [
                folder + name for name in ("w/2026113022/1-a", "w/2026113022/2-b", "w/2026113023/1-c")
            ]
            assert await keys_in(bucket, folder + "w/2026113023/") == [folder + "w/2026113023/1-c"]
            assert await keys_in(bucket, folder + "nothing/") == []
            sizes = {each.key: each.size async for page in bucket.list(folder + "s/") for each in page}
            assert sizes == {folder + "s/1": 3}

    async def test_a_long_listing_is_whole(self) -> None:
        """Of several pages, each object once."""
        folder = new_folder()
        names = [f"{folder}{number:04}" for number in range(250)]
        async with self.bucket() as bucket:
            async with trio.open_nursery() as nursery:
                for name in names:
                    nursery.start_soon(bucket.put, name, [b"x"])
            assert await keys_in(bucket, folder) == names

    async def test_objects_are_deleted(self) -> None:
        """Many at once; those that are not there are no error, and all the others stay."""
        folder = new_folder()
        async with self.bucket() as bucket:
            for name in "abcd":
                await bucket.put(folder + name, [b"x"])
            await bucket.delete([folder + name for name in "acz"])
            await bucket.delete([])
            assert await keys_in(bucket, folder) == [folder + "b", folder + "d"]
            with raising(ObjectMissing):
                await bucket.get(folder + "a", 0, 1)

    async def test_many_requests_at_once(self) -> None:
        """Each has its own answer."""
        folder = new_folder()
        contents = {f"{folder}{number}": SeededEntropy(number).bytes(20_000 + number) for number in range(40)}
        async with self.bucket() as bucket:

            async def put_and_get(key: str) -> None:
                await bucket.put(key, [contents[key]])
                assert await bucket.get(key, 100, 20_000) == contents[key][100:20_000]

            async with trio.open_nursery() as nursery:
                for key in contents:
                    nursery.start_soon(put_and_get, key)

    async def test_a_put_that_has_begun_ends(self) -> None:
        """A task that is cancelled meanwhile leaves the whole object, or none; it is known which when it ends."""
        folder = new_folder()
        data = SeededEntropy(3).bytes(1 << 20)
        async with self.bucket() as bucket:
            ended = False
            with trio.move_on_after(0.001):
                await bucket.put(folder + "a", [data])
                ended = True
            if ended or await keys_in(bucket, folder):
                assert await bucket.get(folder + "a", 0, len(data)) == data

    async def test_requests_are_counted(self) -> None:
        """By kind, with their bytes; what is missing is no failure."""
        folder = new_folder()
        async with self.bucket() as bucket:
            await bucket.put(folder + "a", [b"0123"])
            await bucket.get(folder + "a", 1, 3)
            with raising(ObjectMissing):
                await bucket.size(folder + "b")
            await keys_in(bucket, folder)
            await bucket.delete([folder + "a"])
            counts = bucket.statistics()
            assert (counts.puts.done, counts.puts.bytes, counts.gets.done, counts.gets.bytes) == (1, 4, 2, 2)
            assert (counts.deletes.done, counts.lists.done > 0, counts.last_error) == (1, True, "")
            with raising(WrongAnswer):
                await bucket.get(await _short(bucket, folder), 0, 9)
            assert (bucket.statistics().gets.failed, bool(bucket.statistics().last_error)) == (1, True)


async def _short(bucket: Bucket, folder: str) -> str:
    """The key of an object of four bytes."""
    await bucket.put(folder + "short", [b"0123"])
    return folder + "short"
