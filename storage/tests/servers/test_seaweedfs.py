"""SeaweedFS, a real S3 server in a process of its own, keeps the contract of a bucket; two seconds to start."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest

from storage.object.bucket import Bucket, Unavailable
from storage.object.stores import ObstoreBucket, open_bucket
from storage.seams.clock import SystemClock
from storage.seams.disk import SystemDisk
from storage.seams.offload import ThreadOffload
from storage.servers.seaweedfs import KEYS, SeaweedFS
from storage.testing.conformance.buckets import BucketConformance, raising


@pytest.fixture(scope="module")
def seaweedfs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SeaweedFS]:
    """One server for all tests here."""
    with SeaweedFS(tmp_path_factory.mktemp("seaweedfs")) as server:
        yield server


@pytest.fixture(autouse=True)
def _credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)


def opened(server: SeaweedFS) -> ObstoreBucket:
    """Its bucket."""
    return open_bucket(server.url(), offload=ThreadOffload(), disk=SystemDisk(), clock=SystemClock())


class TestSeaweedFS(BucketConformance):
    """Every promise, over HTTP and by files."""

    @pytest.fixture(autouse=True)
    def _server(self, seaweedfs: SeaweedFS) -> None:
        self.server = seaweedfs

    @asynccontextmanager
    async def bucket(self) -> AsyncIterator[Bucket]:
        yield opened(self.server)


async def test_what_was_put_outlives_a_kill(seaweedfs: SeaweedFS) -> None:
    """Every object that a put has returned for is there when the server is, at the same address; while it is not, puts
    and reads are unavailable."""
    bucket = opened(seaweedfs)
    contents = {f"killed/{number}": bytes([number]) * 5000 for number in range(20)}
    for key, data in contents.items():
        await bucket.put(key, [data])
    seaweedfs.kill()
    with raising(Unavailable):
        await bucket.put("killed/more", [b"x"])
    seaweedfs.start()
    for key, data in contents.items():
        assert await bucket.get(key, 0, len(data)) == data
