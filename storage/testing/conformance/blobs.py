"""What the words in `storage/blobs.py` mean: the part of the conformance suite about files beside a log's records."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from kproto.errors import ErrorCode
from storage.blobs import LogBlobs
from storage.testing.lab import Bench, Lab, refused
from storage.testing.log_builder import batch, spec

SNAPSHOT = "00000000000000000007-0000000001.checkpoint"
NOTE = "quorum-state"


def pieces(*values: bytes) -> Callable[[], Iterator[bytes]]:
    """Gives these, as often as it is asked."""
    return lambda: iter(values)


@contextmanager
def raising(kind: type[Exception]) -> Iterator[None]:
    """What follows raises this."""
    try:
        yield
    except kind:
        return
    raise AssertionError(f"{kind.__name__} was not raised")


async def log_with_records(lab: Lab) -> LogBlobs:
    """The blobs of a log that has some records."""
    await lab.append(lab.log(), batch(*[b"x"] * 9))
    return lab.store.blobs(spec())


class BlobsConformance(Bench):
    """Files that come and go whole."""

    async def test_a_blob_is_read_as_it_was_written(self) -> None:
        """Whole, under its name, with its size; the log beside it is as it was."""
        async with self.lab() as lab:
            blobs = await log_with_records(lab)
            assert await blobs.stored() == []
            assert await blobs.read(SNAPSHOT) is None
            await blobs.write(SNAPSHOT, pieces(b"a", b"", b"bc"))
            assert await blobs.stored() == [(SNAPSHOT, 3)]
            assert await blobs.read(SNAPSHOT) == b"abc"
            assert (await lab.values(lab.log()))[0] == b"x"

    async def test_a_blob_may_be_empty(self) -> None:
        """Of no pieces, and of pieces of nothing."""
        async with self.lab() as lab:
            blobs = await log_with_records(lab)
            await blobs.write(NOTE, pieces())
            assert (await blobs.read(NOTE), await blobs.stored()) == (b"", [(NOTE, 0)])

    async def test_blobs_are_listed_by_name(self) -> None:
        """However they were written."""
        async with self.lab() as lab:
            blobs = await log_with_records(lab)
            for name in ("c", "a", NOTE, SNAPSHOT, "b.checkpoint"):
                await blobs.write(name, pieces(b"x"))
            assert [name for name, _ in await blobs.stored()] == [SNAPSHOT, "a", "b.checkpoint", "c", NOTE]

    async def test_a_blob_takes_the_place_of_one_of_its_name(self) -> None:
        """Of a longer one too: nothing of it is left."""
        async with self.lab() as lab:
            blobs = await log_with_records(lab)
            await blobs.write(NOTE, pieces(b"the first"))
            await blobs.write(NOTE, pieces(b"2nd"))
            assert (await blobs.read(NOTE), await blobs.stored()) == (b"2nd", [(NOTE, 3)])

    async def test_a_writer_that_fails_changes_nothing(self) -> None:
        """There is no blob that was not there, none is changed, and a later one can be written."""

        def failing() -> Iterator[bytes]:
            yield b"a piece"
            raise ZeroDivisionError

        async with self.lab() as lab:
            blobs = await log_with_records(lab)
            with raising(ZeroDivisionError):
                await blobs.write(SNAPSHOT, failing)
            assert await blobs.stored() == []
            await blobs.write(SNAPSHOT, pieces(b"whole"))
            with raising(ZeroDivisionError):
                await blobs.write(SNAPSHOT, failing)
            assert await blobs.read(SNAPSHOT) == b"whole"

    async def test_blobs_are_removed(self) -> None:
        """Those named; one that is not there is no error."""
        async with self.lab() as lab:
            blobs = await log_with_records(lab)
            for name in ("1", "2", "3"):
                await blobs.write(name, pieces(b"x"))
            await blobs.remove(["1", "2", "8"])
            assert [name for name, _ in await blobs.stored()] == ["3"]
            assert await blobs.read("1") is None

    async def test_each_log_has_its_own(self) -> None:
        """Of the same name in two logs, one is not the other."""
        async with self.lab() as lab:
            blobs = await log_with_records(lab)
            await lab.append(lab.log("others"), batch(b"y"))
            others = lab.store.blobs(spec("others"))
            await blobs.write(NOTE, pieces(b"ours"))
            assert await others.read(NOTE) is None
            await others.write(NOTE, pieces(b"theirs"))
            assert await blobs.read(NOTE) == b"ours"

    async def test_a_log_that_does_not_exist_has_none(self) -> None:
        """Asked for one, it has none; it cannot be given one."""
        async with self.lab() as lab:
            blobs = lab.store.blobs(spec("nothing"))
            assert await blobs.stored() == []
            assert await blobs.read(NOTE) is None
            with refused(ErrorCode.KAFKA_STORAGE_ERROR):
                await blobs.write(NOTE, pieces(b"x"))
            await lab.store.create_logs([spec("nothing")])
            await lab.store.blobs(spec("nothing")).write(NOTE, pieces(b"x"))

    async def test_a_logs_blobs_go_with_it(self) -> None:
        """A log that is made under the old name, of another topic, has none."""
        async with self.lab() as lab:
            blobs = await log_with_records(lab)
            await blobs.write(NOTE, pieces(b"x"))
            await lab.store.delete_logs([spec()])
            again = spec(generation=2)
            await lab.append(lab.log(generation=2), batch(b"y"))
            assert await lab.store.blobs(again).stored() == []
            assert await lab.store.blobs(again).read(NOTE) is None

    async def test_an_empty_log_goes_on_in_the_epoch_that_it_is_given(self) -> None:
        """All its records are in a snapshot, and none is left to say the epoch; an older one changes nothing."""
        async with self.lab() as lab:
            await log_with_records(lab)
            log = lab.log()
            await log.delete_before(9)
            log.go_on_in(4)
            log.go_on_in(2)
            await lab.append(log, batch(b"next"))
            assert log.leader_epoch in (4, 0)
            assert await lab.values(log) == [b"next"]


class DurableBlobsConformance(Bench):
    """What is still there after a restart."""

    async def test_blobs_outlive_a_restart(self) -> None:
        """Byte for byte."""
        async with self.lab() as lab:
            blobs = await log_with_records(lab)
            await blobs.write(SNAPSHOT, pieces(b"a"))
            await blobs.write(NOTE, pieces(b"b"))
            await lab.reopen()
            blobs = lab.store.blobs(spec())
            assert (await blobs.read(SNAPSHOT), await blobs.read(NOTE)) == (b"a", b"b")
            assert (await lab.values(lab.log()))[0] == b"x"
