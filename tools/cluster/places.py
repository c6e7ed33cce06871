"""Where a cluster's database and bucket are, as the words of a command line or a broker's own configuration say it.

    ottla cluster status --cluster postgresql://ottla@db/ottla --objects s3://logs/ottla
    ottla cluster status --config /etc/ottla/broker.properties        # its ottla.cluster and ottla.objects

A password belongs into PGPASSWORD, ~/.pgpass or the file: the words of a command line are everyone's to read.
"""

from __future__ import annotations

import argparse
import os
from typing import TYPE_CHECKING, NamedTuple

from tools.failures import Misunderstood

if TYPE_CHECKING:
    from storage.object.stores import ObstoreBucket

CLUSTER = "ottla.cluster"
OBJECTS = "ottla.objects"


class Places(NamedTuple):
    """The database and the bucket, as they were named; either may be missing."""

    database: str | None
    bucket: str | None


def add_place_options(parser: argparse.ArgumentParser) -> None:
    """The options that name both."""
    group = parser.add_argument_group("cluster")
    group.add_argument("--cluster", metavar="URL", help="the database, postgresql://user@host:port/database")
    group.add_argument("--objects", metavar="URL", help="the bucket, s3://bucket/folder, gs:, az: or file:")
    group.add_argument(
        "--config", metavar="FILE", help="a broker's properties, whose ottla.cluster and ottla.objects count"
    )


def places_of(options: argparse.Namespace) -> Places:
    """What the words come to. Raises Misunderstood."""
    given: dict[str, str] = {}
    if options.config:
        from broker.config.properties import PropertiesError, decode, parse_properties

        try:
            with open(options.config, "rb") as file:
                given = {each.key: each.value for each in parse_properties(decode(file.read()))}
        except OSError as error:
            raise Misunderstood(f"{options.config} cannot be read: {error.strerror}") from None
        except PropertiesError as error:
            raise Misunderstood(f"{options.config} cannot be read: {error}") from None
    return Places(options.cluster or given.get(CLUSTER), options.objects or given.get(OBJECTS))


def both_places(options: argparse.Namespace) -> tuple[str, str]:
    """Database and bucket, where both are needed. Raises Misunderstood."""
    places = places_of(options)
    if places.database is None or places.bucket is None:
        missing = "--cluster" if places.database is None else "--objects"
        raise Misunderstood(f"{missing} is missing: a cluster is a database and a bucket (or name both by --config)")
    return places.database, places.bucket


def bucket_at(url: str) -> ObstoreBucket:
    """The bucket of a URL. Raises Misunderstood."""
    from storage.object.bucket_url import BucketUrlError
    from storage.object.stores import open_bucket
    from storage.seams.clock import SystemClock
    from storage.seams.disk import SystemDisk
    from storage.seams.offload import ThreadOffload

    try:
        return open_bucket(
            url, offload=ThreadOffload(), disk=SystemDisk(), clock=SystemClock(), environment=dict(os.environ)
        )
    except BucketUrlError as error:
        raise Misunderstood(str(error)) from None


def database_options(url: str) -> dict[str, str]:
    """What libpq is to be given. Raises Misunderstood, also where PostgreSQL's library is not installed."""
    from storage.engine import StoreError

    try:
        from storage.object.postgres.conninfo import parse
    except ImportError:
        raise Misunderstood("a cluster needs PostgreSQL's library: pip install 'ottla[cluster]'") from None
    try:
        return parse(url)
    except StoreError as error:
        raise Misunderstood(str(error)) from None
