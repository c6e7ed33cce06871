"""What takes the place of all logs in a directory: all of it or nothing, wherever it is cut short."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from kproto.errors import ErrorCode
from storage.copies import StoreCopy
from storage.engine import StoreError
from storage.local.engine import LocalStore
from storage.seams.clock import VirtualClock
from storage.seams.disk import Disk
from storage.seams.entropy import SeededEntropy
from storage.seams.offload import InlineOffload
from storage.testing.disks.faulty import FaultyDisk
from storage.testing.disks.simulated import SimulatedDisk, until_the_power_goes
from storage.testing.lab import refused
from storage.testing.log_builder import batch, spec
from storage.tests.local.local_lab import HurriedDisk, append, log_of, values_of

OLD, NEW = spec("old"), spec("new")


def store_on(disk: Disk, path: str = "/data", **more: object) -> LocalStore:
    """A store on this disk, in one thread."""
    return LocalStore(
        path,
        node_id=1,
        disk=disk,
        clock=VirtualClock(),
        entropy=SeededEntropy(1),
        offload=InlineOffload(),
        elsewhere={"new": f"{path}-elsewhere"} if more.get("elsewhere") else None,
    )


async def copy_of_another() -> StoreCopy:
    """All logs of another cluster, which has one: `new`."""
    store = store_on(SimulatedDisk())
    await store.open()
    await append(log_of(store, "new"), batch(b"1"), batch(b"2"))
    return await store.copy()


async def found_on(disk: Disk, *, elsewhere: bool = False) -> dict[str, list[bytes | None]]:
    """The values in each log that a start finds."""
    store = store_on(disk, elsewhere=elsewhere)
    await store.open()
    try:
        return {topic: await values_of(store, log_of(store, topic)) for topic, _ in sorted(store.existing())}
    finally:
        await store.close()


@pytest.mark.parametrize("elsewhere", [False, True], ids=["one place", "metadata.log.dir"])
@pytest.mark.parametrize("restored", [True, False], ids=["restored", "reset"])
async def test_a_power_cut_at_any_step_leaves_all_of_the_old_or_all_of_the_new(restored: bool, elsewhere: bool) -> None:
    """E27: Whatever has survived of what was not synced, and if the power goes again while the start does the rest."""
    copy = await copy_of_another() if restored else None
    new = {"new": [b"1", b"2"]} if restored else {}
    seen = set()
    for stop_after in range(400):
        disk = SimulatedDisk()
        store = store_on(disk, elsewhere=elsewhere)
        await store.open()
        await append(log_of(store, "old"), batch(b"a"))
        await append(log_of(store, "old2"), batch(b"b"))
        disk.stop_after = disk.operations + stop_after
        begun = done = False
        with until_the_power_goes():
            await store.prepare(copy)
            begun = True
            after = await store.give_way()
            await after.open()
            done = True
            await after.close()
        fate = ["none"] if stop_after % 2 else None
        power = disk.after_power_cut(random.Random(stop_after), fates=fate)
        power.stop_after = stop_after % 23
        with until_the_power_goes():
            await found_on(power, elsewhere=elsewhere)
        found = await found_on(power.after_power_cut(random.Random(stop_after)), elsewhere=elsewhere)
        assert found in ([new] if done else [{"old": [b"a"], "old2": [b"b"]}, new]), stop_after
        assert begun or found != new
        seen.add(str(found))
        if not disk.power_is_gone:
            break
    else:
        raise AssertionError("it never got to the end")
    assert len(seen) == 2


async def test_what_cannot_be_written_is_said_before_anything_has_changed(tmp_path: Path) -> None:
    """A disk that is full when a copy arrives: the logs that are there go on."""
    disk = FaultyDisk(HurriedDisk())
    store = store_on(disk, f"{tmp_path}/data")
    await store.open()
    await append(log_of(store, "old"), batch(b"a"))
    disk.fail("write", 28, path="ottla-next.")
    with pytest.raises(StoreError, match="what is to come cannot be written"):
        await store.prepare(await copy_of_another())
    disk.heal()
    await append(log_of(store, "old"), batch(b"b"))
    assert await values_of(store, log_of(store, "old")) == [b"a", b"b"]
    await store.close()


async def test_nothing_is_left_beside_the_logs(tmp_path: Path) -> None:
    """Neither of a copy that was let go, nor of a change that is over; what is unfinished, the next start removes."""
    store = store_on(HurriedDisk(), f"{tmp_path}/data")
    await store.open()
    await append(log_of(store, "old"), batch(b"a"))
    copy = await store.copy()
    assert [path.name[:10] for path in (tmp_path / "data").iterdir() if path.name.startswith("ottla-copy")]
    await store.let_go(copy)
    await store.prepare(await copy_of_another())
    after = await store.give_way()
    await after.open()
    assert (tmp_path / "data" / "new-0").is_dir()
    for left in ("ottla-copy.12", "ottla-next.7"):
        (tmp_path / "data" / left).mkdir()
        (tmp_path / "data" / left / "file").touch()
    await after.close()
    again = store_on(HurriedDisk(), f"{tmp_path}/data")
    await again.open()
    await again.close()
    names = [path.name for path in (tmp_path / "data").iterdir()]
    assert not [name for name in names if name.startswith(("ottla-next", "ottla-copy", "old"))]


async def test_a_log_that_cannot_be_read_is_not_left_out_of_a_copy(tmp_path: Path) -> None:
    """A copy without it would be less than it says."""
    store = store_on(HurriedDisk(), f"{tmp_path}/data")
    await store.open()
    await append(log_of(store, "old"), batch(b"a"))
    await store.close()
    (path,) = (tmp_path / "data" / "old-0").glob("*.log")
    path.write_bytes(b"\0" * path.stat().st_size)
    for cache in (tmp_path / "data" / "old-0").glob("*index"):
        cache.unlink()
    store = store_on(HurriedDisk(), f"{tmp_path}/data")
    await store.open()
    with refused(ErrorCode.KAFKA_STORAGE_ERROR):
        await store.copy(lambda: [OLD])
    await store.close()


async def test_a_change_that_cannot_be_read_stops_the_start(tmp_path: Path) -> None:
    """With the old logs served it would be undone, with none lost."""
    store = store_on(HurriedDisk(), f"{tmp_path}/data")
    await store.open()
    await append(log_of(store, "old"), batch(b"a"))
    await store.close()
    (tmp_path / "data" / "ottla-next").write_bytes(b"{")
    with pytest.raises(StoreError, match="ottla-next cannot be read"):
        await store_on(HurriedDisk(), f"{tmp_path}/data").open()
    assert (tmp_path / "data" / "old-0").is_dir()
