"""What each fault of the HTTP proxy is to a bucket: the error that the contract promises, and what the store then has.

The two are one suite on purpose: it shows that `storage/object/stores.py` reads off obstore's errors what it should,
and that the proxy does what it says.
"""

from __future__ import annotations

import logging
import urllib.request
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest
import trio

from storage.object.bucket import (
    Ambiguous,
    BucketError,
    ByteRange,
    ObjectMissing,
    Refused,
    Unavailable,
    WrongAnswer,
)
from storage.object.stores import ObstoreBucket, open_bucket
from storage.seams.clock import SystemClock
from storage.seams.disk import SystemDisk
from storage.seams.offload import ThreadOffload
from storage.testing.conformance.buckets import BucketConformance, keys_in, raising
from tools.trials.http_proxy import Fault, HttpProxy, http_proxy

SECRET = "hush-hush-hush"


@pytest.fixture(scope="module")
def store() -> Iterator[tuple[str, int]]:
    """Where an S3 store listens that has a bucket `logs`."""
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    urllib.request.urlopen(urllib.request.Request(f"http://{host}:{port}/logs", method="PUT"), timeout=10).close()
    yield host, port
    server.stop()


@pytest.fixture(autouse=True)
def _credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)


def opened(proxy: HttpProxy, folder: str) -> ObstoreBucket:
    """A folder of the bucket, seen through the proxy."""
    url = f"s3://logs/{folder}?endpoint={proxy.address}&timeout=0.5"
    return open_bucket(url, offload=ThreadOffload(), disk=SystemDisk(), clock=SystemClock())


class TestThroughTheProxy(BucketConformance):
    """Without faults the proxy is not there."""

    @pytest.fixture(autouse=True)
    def _store(self, store: tuple[str, int]) -> None:
        self.store = store

    @asynccontextmanager
    async def bucket(self) -> AsyncIterator[ObstoreBucket]:
        async with http_proxy(self.store) as proxy:
            url = f"s3://logs/proxied?endpoint={proxy.address}"
            yield open_bucket(url, offload=ThreadOffload(), disk=SystemDisk(), clock=SystemClock())


@pytest.mark.parametrize(
    ("fault", "error", "done"),
    [
        (Fault.BUSY, Ambiguous, False),
        (Fault.ERROR, Ambiguous, True),
        (Fault.LOST, Ambiguous, True),
        (Fault.CUT_UPLOAD, Ambiguous, False),
        (Fault.DENIED, Refused, False),
        (Fault.HANG, Ambiguous, True),
    ],
)
async def test_a_put_that_fails(store: tuple[str, int], fault: Fault, error: type[BucketError], done: bool) -> None:
    """It may have been done, or not; the same bytes again are the answer to either. No half object is ever seen."""
    async with http_proxy(store) as proxy:
        bucket = opened(proxy, fault.name)
        proxy.plan("PUT", fault)
        with raising(error):
            await bucket.put("a", [b"0123456789"])
        assert await keys_in(bucket, "") == ["a"] * done
        await bucket.put("a", [b"0123456789"])
        assert bytes(await bucket.get("a", 0, 10)) == b"0123456789"
        assert SECRET not in bucket.statistics().last_error


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (Fault.BUSY, Unavailable),
        (Fault.ERROR, Unavailable),
        (Fault.LOST, Unavailable),
        (Fault.CUT, Unavailable),
        (Fault.WHOLE, WrongAnswer),
        (Fault.SHORT, (WrongAnswer, Unavailable)),
        (Fault.GONE, ObjectMissing),
        (Fault.DENIED, Refused),
        (Fault.HANG, Unavailable),
    ],
)
async def test_a_read_that_fails(
    store: tuple[str, int], fault: Fault, error: type[BucketError] | tuple[type[BucketError], ...]
) -> None:
    """A read gives the bytes that were asked for, or an error that says whether to ask again."""
    async with http_proxy(store) as proxy:
        bucket = opened(proxy, "read" + fault.name)
        await bucket.put("a", [b"0123456789" * 100])
        proxy.plan("GET", fault)
        with pytest.raises(error):
            await bucket.get("a", 10, 20)
        proxy.plan("GET", fault)
        with pytest.raises(error):
            await bucket.get_ranges("a", [ByteRange(10, 20), ByteRange(500, 600)])
        assert bytes(await bucket.get("a", 10, 20)) == b"0123456789"


async def test_a_deletion_and_a_listing_that_fail(store: tuple[str, int]) -> None:
    """Deletions may have been done; a listing gives an error, and not a part for the whole."""
    async with http_proxy(store) as proxy:
        bucket = opened(proxy, "gone")
        await bucket.put("a", [b"x"])
        proxy.plan("POST", Fault.LOST)
        with raising(Ambiguous):
            await bucket.delete(["a"])
        proxy.plan("GET", Fault.BUSY, Fault.CUT)
        for _ in range(2):
            with raising(Unavailable):
                await keys_in(bucket, "")
        assert await keys_in(bucket, "") == []


async def test_a_store_that_is_paused_and_one_that_refuses(store: tuple[str, int]) -> None:
    """Requests wait for one; the other lets no connection in."""
    async with http_proxy(store) as proxy:
        bucket = opened(proxy, "paused")
        proxy.pause()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(bucket.put, "a", [b"x"])
            with trio.move_on_after(0.05):
                assert await keys_in(bucket, "") is None, "a request has passed"
            proxy.resume()
        proxy.refuse(True)
        with pytest.raises((Unavailable, Ambiguous)):
            await bucket.put("b", [b"x"])
        proxy.refuse(False)
        await bucket.put("b", [b"x"])


async def test_a_bit_that_is_another_comes_without_an_error(store: tuple[str, int]) -> None:
    """So batches have checksums of their own."""
    async with http_proxy(store) as proxy:
        bucket = opened(proxy, "rot")
        await bucket.put("a", [b"0123456789"])
        proxy.plan("GET", Fault.CORRUPT)
        assert bytes(await bucket.get("a", 0, 10)) == b"0123416789"


async def test_a_store_that_lies_has_nothing(store: tuple[str, int]) -> None:
    """It answered 200; no client of S3 can know."""
    async with http_proxy(store) as proxy:
        bucket = opened(proxy, "lie")
        proxy.plan("PUT", Fault.LIE)
        await bucket.put("a", [b"0123456789"])
        assert await keys_in(bucket, "") == []
