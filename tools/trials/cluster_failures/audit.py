"""What the bucket holds, held against the database: every object is accounted for, and every live one is there."""

from __future__ import annotations

from typing import NamedTuple

import trio

from storage.object.bucket import ObjectMissing, StoredObject
from storage.object.stores import ObstoreBucket, open_bucket
from storage.seams.clock import SystemClock
from storage.seams.disk import SystemDisk
from storage.seams.offload import ThreadOffload
from storage.servers.seaweedfs import write_credentials
from tools.trials.cluster_failures.stage import DATABASE, Stage

LIVE, DYING, TOMBSTONE = "1", "2", "9"


class Audit(NamedTuple):
    """Objects by what is known of them."""

    live: int
    dying: int
    orphans: int  # uploaded, and never committed: collected when they are two hours old
    missing: int  # live, and not in the bucket: records that cannot be read

    def __str__(self) -> str:
        orphans = f", {self.orphans} orphans" if self.orphans else ""
        return f"{self.live} objects{orphans}" + (f", {self.missing} MISSING" if self.missing else "")


def audit(stage: Stage) -> Audit:
    """Look at both. The bucket is asked without the proxy."""
    bucket = _bucket_of(stage)
    found = trio.run(_listed, bucket)
    known = _known(stage)
    live = {key for key, state in known.items() if state == LIVE}
    dying = {key for key, state in known.items() if state == DYING}
    # What came between the two questions is asked for once more.
    absent = trio.run(_absent, bucket, live - found)
    lost = [key for key in absent if _known(stage).get(key) == LIVE]
    return Audit(len(live), len(dying), len(found - known.keys()), len(lost))


def _known(stage: Stage) -> dict[str, str]:
    rows = stage.database.execute("SELECT key, state FROM ottla.obj WHERE state IN (1, 2, 9)", DATABASE)
    return {str(key): str(state) for key, state in rows}


def _bucket_of(stage: Stage) -> ObstoreBucket:
    keys = stage.bucket.directory + "/audit.credentials"
    write_credentials(keys)
    return open_bucket(
        f"{stage.bucket.url()}&credentials={keys}", offload=ThreadOffload(), disk=SystemDisk(), clock=SystemClock()
    )


async def _absent(bucket: ObstoreBucket, keys: set[str]) -> list[str]:
    """Those that the bucket does not have."""
    absent = []
    for key in keys:
        try:
            await bucket.size(key)
        except ObjectMissing:
            absent.append(key)
    return absent


async def _listed(bucket: ObstoreBucket) -> set[str]:
    pages: list[StoredObject] = [each async for page in bucket.list("") for each in page]
    return {each.key for each in pages}
