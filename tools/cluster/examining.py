"""The part of `ottla doctor` about what a cluster stands on: its database and its bucket."""

from __future__ import annotations

from collections.abc import AsyncIterator

from storage.object.bucket_check import examine_bucket
from storage.object.findings import Finding
from storage.seams.clock import SystemClock
from storage.seams.entropy import SystemEntropy
from tools.cluster.places import Places, bucket_at, database_options


async def examine_places(places: Places) -> AsyncIterator[Finding]:
    """What there is to say of either, as far as it was named. Raises Misunderstood for URLs that name nothing."""
    options = None if places.database is None else database_options(places.database)
    bucket = None if places.bucket is None else bucket_at(places.bucket)
    if options is not None:
        from storage.object.postgres.database_check import examine_database

        async for finding in examine_database(options, SystemClock()):
            yield finding
    if bucket is not None:
        async for finding in examine_bucket(bucket, SystemEntropy()):
            yield finding
