"""A topic whose logs are kept in another directory: found there, made there, and never begun again in the wrong one.

Kafka keeps the cluster's log so (`metadata.log.dir`). A directory that a running Kafka had filled in two places was
served here, and then by Kafka again; these tests build its layout.
"""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from storage.engine import StoreError
from storage.local.engine import LocalStore
from storage.seams.disk import SystemDisk
from storage.testing.log_builder import batch, spec
from storage.tests.local.local_lab import Place, append, log_of, values_of

ELSEWHERE = "cluster"


class TwoPlaces:
    """A data directory, and another for the topic `cluster`."""

    def __init__(self, folder: Path) -> None:
        self.here = Place(folder / "data")
        self.there = folder / "metadata"

    @asynccontextmanager
    async def open(self) -> AsyncIterator[LocalStore]:
        """An open store on both, closed at the end."""
        async with self.here.open(elsewhere={ELSEWHERE: str(self.there)}) as store:
            yield store

    async def fill(self) -> None:
        """One record in a log of each place, and a clean stop."""
        async with self.open() as store:
            for topic in ("orders", ELSEWHERE):
                await append(log_of(store, topic), batch(topic.encode()))

    async def refusal(self) -> str:
        """The sentence that stops the start; afterwards the data directory is free again."""
        with pytest.raises(StoreError) as refused:
            async with self.open():
                pass
        SystemDisk().lock(f"{self.here.path}/.lock").release()
        return str(refused.value)


@pytest.fixture
def places(tmp_path: Path) -> TwoPlaces:
    """Two places in which nothing is yet."""
    return TwoPlaces(tmp_path)


async def test_each_log_is_in_its_place(places: TwoPlaces) -> None:
    """Both directories have an identity of one cluster, and each its own logs."""
    await places.fill()
    assert (places.here.path / "orders-0").is_dir()
    assert (places.there / f"{ELSEWHERE}-0").is_dir()
    assert not (places.here.path / f"{ELSEWHERE}-0").exists()
    identities = [dict(_lines(path / "meta.properties")) for path in (places.here.path, places.there)]
    assert identities[0]["cluster.id"] == identities[1]["cluster.id"]
    assert identities[0]["directory.id"] != identities[1]["directory.id"]


def _lines(path: Path) -> list[tuple[str, str]]:
    pairs = [line.partition("=") for line in path.read_text().splitlines() if "=" in line]
    return [(key, value) for key, _, value in pairs]


@pytest.mark.parametrize("clean", [True, False])
async def test_what_was_written_is_read_again(places: TwoPlaces, clean: bool) -> None:
    """After a clean stop, and after a kill, which recovers the logs of both places."""
    await places.fill()
    if not clean:
        (places.here.path / ".kafka_cleanshutdown").unlink()
    async with places.open() as store:
        for topic in ("orders", ELSEWHERE):
            assert await values_of(store, log_of(store, topic)) == [topic.encode()]


async def test_both_places_are_held(places: TwoPlaces) -> None:
    """A second holder of either is refused, and the other is let go."""
    async with places.open():
        with pytest.raises(StoreError, match=f"{places.there}.* is in use by another process"):
            await Place(places.there).store().open()
    await Place(places.there).store().open()


async def test_a_place_that_is_held_refuses_the_whole(places: TwoPlaces, tmp_path: Path) -> None:
    """The directory elsewhere may be another broker's; the data directory is let go then."""
    async with Place(places.there).open():
        assert "metadata is in use by another process" in await places.refusal()
    async with places.here.open():
        pass


async def test_a_log_in_the_wrong_place_stops_the_start(places: TwoPlaces) -> None:
    """It would be begun again, empty, where it was named; nothing is moved or made instead."""
    async with places.here.open() as store:
        await append(log_of(store, ELSEWHERE), batch(b"here"))
    assert "the log cluster-0 is in" in await places.refusal()
    assert not (places.there / f"{ELSEWHERE}-0").exists()


async def test_a_log_in_both_places_is_read_where_it_is_named(places: TwoPlaces) -> None:
    """A copy that was left behind is left alone, as in Kafka."""
    await places.fill()
    shutil.copytree(places.there / f"{ELSEWHERE}-0", places.here.path / f"{ELSEWHERE}-0")
    async with places.open() as store:
        await append(log_of(store, ELSEWHERE), batch(b"more"))
        assert await values_of(store, log_of(store, ELSEWHERE)) == [b"cluster", b"more"]


async def test_a_log_elsewhere_and_a_new_data_directory_stop_the_start(places: TwoPlaces) -> None:
    """The topics that it lists would be empty; the data directory is another one."""
    await places.fill()
    shutil.move(places.here.path, places.here.path.with_name("moved"))
    assert "holds the log cluster-0, but the data directory" in await places.refusal()


async def test_places_of_two_clusters_stop_the_start(places: TwoPlaces, tmp_path: Path) -> None:
    """A directory of logs has one cluster's metadata."""
    await places.fill()
    other = TwoPlaces(tmp_path / "other")
    await other.fill()
    mixed = TwoPlaces(tmp_path)
    mixed.there = other.there
    said = await mixed.refusal()
    assert f"{other.there} belongs to cluster" in said
    assert f"to which {places.here.path} belongs" in said


async def test_directories_of_topics_are_those_of_the_data(places: TwoPlaces) -> None:
    """DescribeLogDirs shows the data directory and what is in it; so does Kafka."""
    await places.fill()
    async with places.open() as store:
        log_of(store, ELSEWHERE).open()
        [directory] = await store.log_directories()
        assert directory.path == str(places.here.path)
        assert set(directory.sizes) == {("orders", 0)}


async def test_a_deleted_topic_frees_its_name_there(places: TwoPlaces) -> None:
    """Its directory is renamed in its own place, across which no rename could go."""
    await places.fill()
    async with places.open() as store:
        await store.delete_logs([spec(ELSEWHERE)])
        assert (ELSEWHERE, 0) not in store.existing()
        assert not (places.there / f"{ELSEWHERE}-0").exists()
    assert not any(name.name.startswith(ELSEWHERE) for name in places.here.path.iterdir())
