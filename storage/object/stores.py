"""Buckets over obstore: S3 and what speaks its protocol, Azure, Google Cloud, a directory, memory.

obstore is Rust's `object_store` for Python. Its asynchronous calls want asyncio's loop; its synchronous ones release
the interpreter's lock while they wait, so they run in threads of the offload seam, of three lanes: uploads, downloads,
and what nothing waits for. It is imported when the first bucket is opened, and comes with `pip install ottla[cluster]`.

How it is used, and why:

* **One request for an object** (`use_multipart=False`), for obstore would cut what is above 5 MB into parts, which are
  three requests and more. Only above `PARTS_ABOVE`, where a lost request costs most, are there parts: the object still
  appears whole or not at all. (Parts of an upload that was cut off cost room until a rule of the bucket's lifecycle
  removes them.)
* **A SHA-256 with every upload** to S3, which the store compares with what has arrived.
* **No retries** (`max_retries=0`): the engine decides, since it knows what a lost answer means for which request.
* **A time-out for each request**: a thread is never held longer.
* **A directory's files are synced** before a put returns; obstore leaves that out.

**Errors** of obstore are texts. What they mean for the caller is read off them by `meaning`, whose own text is a new
one: the store's answer may repeat the request's signature, so it is shown nowhere.
"""

from __future__ import annotations

import datetime
import os.path
import re
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Final, TypeVar

from kproto.batches.buffers import ReadableBuffer
from storage.object.bucket import (
    MOST_DELETED,
    Ambiguous,
    BucketError,
    ByteRange,
    ObjectMissing,
    Refused,
    StoredObject,
    Unavailable,
    WrongAnswer,
    check_folder,
    check_key,
    check_ranges,
)
from storage.object.bucket_url import (
    BucketUrl,
    BucketUrlError,
    ReadFile,
    endpoint,
    parse_bucket_url,
    region,
    shared_keys,
)
from storage.object.request_counts import RequestCounts
from storage.seams.clock import Clock
from storage.seams.disk import Disk
from storage.seams.offload import Lane, Offload
from storage.statistics import BucketStatistics

if TYPE_CHECKING:
    from obstore.store import ObjectStore

PARTS_ABOVE: Final = 32 << 20
"""Bytes; larger objects are uploaded in parts."""
PART: Final = 16 << 20
PARTS_AT_ONCE: Final = 4
LISTED_AT_ONCE: Final = 1000
"""Objects of a page: what S3 gives for one request."""
CONNECT_SECONDS: Final = 3.0
KEYS_LAST: Final = datetime.timedelta(minutes=5)
"""After this the file of credentials is read again."""

Result = TypeVar("Result")


def open_bucket(
    url: str, *, offload: Offload, disk: Disk, clock: Clock, environment: Mapping[str, str] | None = None
) -> ObstoreBucket:
    """The bucket that `url` names (`bucket_url.py`); nothing is asked of its store yet.

    `environment` is where region, endpoint and the name of a file of credentials may stand; obstore itself looks for
    credentials in that of the process. Raises BucketUrlError, also if obstore is not installed.
    """
    where = parse_bucket_url(url)
    try:
        store = _make_store(where, environment or {}, disk.read_file, clock)
    except ImportError:
        raise BucketUrlError("a bucket needs obstore: pip install 'ottla[cluster]'") from None
    except ValueError as error:
        raise BucketUrlError(f"{where} cannot be used: {first_sentence(str(error))}") from None
    return ObstoreBucket(store, where, offload, disk)


def _make_store(where: BucketUrl, environment: Mapping[str, str], read_file: ReadFile, clock: Clock) -> ObjectStore:
    from obstore import store as stores
    from obstore.exceptions import BaseError

    # Values of obstore's own types, which are TypedDicts that cannot be imported.
    client: Any = {"timeout": f"{int(where.timeout * 1000)}ms", "connect_timeout": f"{CONNECT_SECONDS:g}s"}
    once: Any = {"max_retries": 0}
    try:
        if where.scheme == "memory":
            return stores.MemoryStore()
        if where.scheme == "file":
            return stores.LocalStore(where.folder, mkdir=True)
        if where.scheme == "s3":
            address = endpoint(where, environment)
            more: Any = {"endpoint": address} if address else {}
            if address and address.startswith("http:"):
                client["allow_http"] = True
            if shared_keys(environment, read_file, where) is not None:
                more["credential_provider"] = _from_file(environment, read_file, where, clock)
            return stores.S3Store(
                where.bucket,
                prefix=where.folder or None,
                region=region(where, environment),
                virtual_hosted_style_request=not where.flag("path_style", default=bool(address)),
                checksum_algorithm="sha256",
                disable_bulk_delete=not where.flag("bulk_delete", default=True),
                client_options=client,
                retry_config=once,
                **more,
            )
        if where.scheme == "gs":
            return stores.GCSStore(where.bucket, prefix=where.folder or None, client_options=client, retry_config=once)
        azure: Any = {"account_name": where.options["account"]} if "account" in where.options else {}
        if "endpoint" in where.options:
            azure["endpoint"] = where.options["endpoint"]
            client["allow_http"] = where.options["endpoint"].startswith("http:")
        return stores.AzureStore(
            where.bucket, prefix=where.folder or None, client_options=client, retry_config=once, **azure
        )
    except BaseError as error:
        raise BucketUrlError(f"{where} cannot be used: {first_sentence(str(error))}") from None


def _from_file(
    environment: Mapping[str, str], read_file: ReadFile, where: BucketUrl, clock: Clock
) -> Callable[[], dict[str, object]]:
    """Gives obstore the keys of the credentials file as they are now. It calls this in its own threads."""

    def provide() -> dict[str, object]:
        keys = shared_keys(environment, read_file, where)
        if keys is None:
            raise ValueError("the file of AWS credentials has gone")
        now = datetime.datetime.fromtimestamp(clock.wall_millis() / 1000, datetime.UTC)
        return {**keys._asdict(), "expires_at": now + KEYS_LAST}

    return provide


class ObstoreBucket:
    """A `Bucket` (`bucket.py`) in a store of obstore's."""

    def __init__(self, store: ObjectStore, where: BucketUrl, offload: Offload, disk: Disk) -> None:
        self._store = store
        self._where = where
        self._offload = offload
        self._disk = disk
        self._counts = RequestCounts("put", "get", "list", "delete", failures=BucketError, answers=ObjectMissing)

    @property
    def location(self) -> str:
        return str(self._where)

    async def put(self, key: str, pieces: Sequence[ReadableBuffer], *, background: bool = False) -> None:
        check_key(key)
        views = [memoryview(piece).cast("B") for piece in pieces if len(piece)]
        size = sum(map(len, views))
        lane = Lane.BUCKET_UPKEEP if background else Lane.UPLOADS
        with self._counts.counted("put", size):
            await self._offload.run(self._put, key, views, size, lane=lane)

    async def get(self, key: str, start: int, end: int, *, background: bool = False) -> memoryview:
        check_ranges([ByteRange(start, end)])
        with self._counts.counted("get", end - start):
            return await self._read(self._get, check_key(key), start, end, background=background)

    async def get_ranges(
        self, key: str, ranges: Sequence[ByteRange], *, background: bool = False
    ) -> Sequence[memoryview]:
        check_ranges(ranges)
        if not ranges:
            return []
        with self._counts.counted("get", sum(end - start for start, end in ranges)):
            return await self._read(self._get_ranges, check_key(key), ranges, background=background)

    async def size(self, key: str) -> int:
        with self._counts.counted("get"):
            return await self._read(self._size, check_key(key), background=False)

    async def list(self, folder: str = "") -> AsyncIterator[Sequence[StoredObject]]:
        pages = self._pages(check_folder(folder))
        while True:
            with self._counts.counted("list"):
                page = await self._offload.run(next, pages, None, abandonable=True, lane=Lane.BUCKET_UPKEEP)
            if page is None:
                return
            yield page

    async def delete(self, keys: Sequence[str]) -> None:
        assert len(keys) <= MOST_DELETED, f"{len(keys)} keys at once"
        if keys:
            with self._counts.counted("delete"):
                await self._offload.run(self._delete, [check_key(key) for key in keys], lane=Lane.BUCKET_UPKEEP)

    def statistics(self) -> BucketStatistics:
        counts = self._counts
        return BucketStatistics(
            self.location,
            puts=counts.of("put"),
            gets=counts.of("get"),
            lists=counts.of("list"),
            deletes=counts.of("delete"),
            last_error=counts.last_error,
        )

    async def _read(self, work: Callable[..., Result], *arguments: object, background: bool) -> Result:
        lane = Lane.BUCKET_UPKEEP if background else Lane.DOWNLOADS
        return await self._offload.run(lambda: work(*arguments), abandonable=True, lane=lane)

    # --- in threads

    def _put(self, key: str, views: Sequence[memoryview], size: int) -> None:
        import obstore

        content: Any = views[0] if len(views) == 1 else views or b""
        with translated(f"the upload of {key} to {self.location}", effect=True):
            obstore.put(
                self._store,
                key,
                content,
                use_multipart=size > PARTS_ABOVE,
                chunk_size=PART,
                max_concurrency=PARTS_AT_ONCE,
            )
            if self._where.scheme == "file":
                self._sync(key)

    def _sync(self, key: str) -> None:
        """Have the disk keep an object's bytes, its name, and the names of the folders above it."""
        path = os.path.join(self._where.folder, *key.split("/"))
        file = self._disk.open(path)
        try:
            file.datasync()
        finally:
            file.close()
        while path != self._where.folder:
            path = os.path.dirname(path)
            self._disk.sync_directory(path)

    def _get(self, key: str, start: int, end: int) -> memoryview:
        import obstore

        with translated(f"the read of {key} in {self.location}"):
            data = memoryview(obstore.get_range(self._store, key, start=start, end=end))
        return self._checked(key, data, start, end)

    def _get_ranges(self, key: str, ranges: Sequence[ByteRange]) -> Sequence[memoryview]:
        import obstore

        starts, ends = zip(*ranges, strict=True)
        with translated(f"the read of {key} in {self.location}"):
            found = obstore.get_ranges(self._store, key, starts=starts, ends=ends)
        return [
            self._checked(key, memoryview(data), start, end) for data, (start, end) in zip(found, ranges, strict=True)
        ]

    def _checked(self, key: str, data: memoryview, start: int, end: int) -> memoryview:
        if len(data) != end - start:
            raise WrongAnswer(
                f"the read of {key} in {self.location} gave {len(data)} bytes for those from {start} up to {end}"
            )
        return data

    def _size(self, key: str) -> int:
        import obstore

        with translated(f"the look for {key} in {self.location}"):
            return obstore.head(self._store, key)["size"]

    def _pages(self, folder: str) -> Iterator[Sequence[StoredObject]]:
        import obstore

        with translated(f"the listing of {folder or 'everything'} in {self.location}"):
            for page in obstore.list(self._store, folder or None, chunk_size=LISTED_AT_ONCE):
                yield [StoredObject(each["path"], each["size"]) for each in page]

    def _delete(self, keys: Sequence[str]) -> None:
        import obstore

        with translated(f"the deletion of {len(keys)} objects in {self.location}", effect=True):
            if self._where.scheme not in ("file", "memory"):
                obstore.delete(self._store, keys)
                return
            for key in keys:
                with suppress(FileNotFoundError):
                    obstore.delete(self._store, key)


# --- errors


@contextmanager
def translated(what: str, *, effect: bool = False) -> Iterator[None]:
    """obstore's errors become those of the contract; `what` begins their sentence."""
    from obstore.exceptions import BaseError

    try:
        yield
    except (BaseError, OSError) as error:
        raise meaning(error, what, effect=effect) from None


PASSING: Final = frozenset({"RequestTimeout", "SlowDown", "ExpiredToken", "ServiceUnavailable", "InternalError"})
"""Codes of S3's errors that come with a status of other errors and pass all the same."""


def meaning(error: Exception, what: str, *, effect: bool) -> BucketError:
    """What an error of obstore's means for the caller. `effect` says that the request was to change something."""
    text = str(error)
    status = int(found[1]) if (found := re.search(r"\bstatus: (\d{3})", text)) else 0
    code = found[1] if (found := re.search(r"<Code>(\w{1,64})</Code>", text)) else ""
    answer = f"{what} was answered by {status} {code}".rstrip()
    name = type(error).__name__
    unknown = Ambiguous if effect else Unavailable
    if isinstance(error, FileNotFoundError) and not effect and code != "NoSuchBucket":
        return ObjectMissing(f"{what} found no such object")
    if status == 404 or isinstance(error, FileNotFoundError):
        return Refused(f"{what} found no such bucket")
    if code in PASSING or status >= 500:
        return unknown(answer)
    if status in (408, 425, 429):
        return Unavailable(answer)
    if status == 416 or "NotPartial" in text or "InvalidRange" in text or "range" in first_sentence(text).lower():
        return WrongAnswer(f"{what} was not answered with the bytes that were asked for")
    if status:
        return Refused(answer)
    if name in ("PermissionDeniedError", "UnauthenticatedError"):
        return Refused(f"{what} is not permitted")
    if "BareRedirect" in text:
        return Refused(f"{what} was sent elsewhere; the bucket's region or endpoint is another")
    if name in ("NotSupportedError", "InvalidPathError", "UnknownConfigurationKeyError"):
        return Refused(f"{what} is nothing that the store can do")
    if "kind: Connect" in text:
        certificate = "certificate" in text.lower()
        return Unavailable(
            f"{what} failed: " + ("its certificate is not trusted" if certificate else "the store cannot be reached")
        )
    if "kind: Timeout" in text:
        return unknown(f"{what} was not answered in time")
    if "HttpError" in text:
        return unknown(f"{what} lost its connection")
    if "redential" in text:
        return Unavailable(f"{what} failed: no credentials are to be had")
    return unknown(f"{what} failed: {first_sentence(text)}")


def first_sentence(text: str) -> str:
    """The beginning of obstore's text, up to what its server has answered and what it looks like inside."""
    return re.split(r"\n|: <", text, maxsplit=1)[0][:300].strip()
