"""The engine of a cluster: PostgreSQL that orders, a bucket that keeps, and this broker's place among those that share
both. Imported only by a broker that is configured so, for what it needs is installed with `ottla[cluster]`.

Where a bucket is, and with which credentials, the environment may say, as all programs do that use it (AWS_REGION).

A process has one incarnation, 16 bytes of chance, by which the database tells it from an earlier one of its node id.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from broker.config.settings import ConfigError
from storage.engine import StoreError
from storage.object.bucket_url import BucketUrlError
from storage.object.engine import ObjectStore
from storage.object.postgres.control_plane import PostgresControlPlane
from storage.object.postgres.membership import PostgresMembership
from storage.object.stores import open_bucket
from storage.seams.disk import SystemDisk

if TYPE_CHECKING:
    from broker.config.settings import BrokerConfig
    from storage.engine import LogStore
    from storage.seams.clock import Clock
    from storage.seams.entropy import Entropy
    from storage.seams.offload import Offload
    from storage.store_settings import StoreSettings


def make_shared_store(
    config: BrokerConfig, settings: StoreSettings, clock: Clock, entropy: Entropy, offload: Offload
) -> LogStore:
    """The engine, not opened. Raises ConfigError for an address that is of no use."""
    assert config.ottla_cluster is not None and config.ottla_objects is not None, "both or none"
    try:
        bucket = open_bucket(
            config.ottla_objects, offload=offload, disk=SystemDisk(), clock=clock, environment=os.environ
        )
    except BucketUrlError as error:
        raise ConfigError(f"ottla.objects: {error}") from error
    try:
        plane = PostgresControlPlane(
            config.ottla_cluster,
            config.node_id,
            entropy.uuid(),
            clock=clock,
            entropy=entropy,
            rules=settings.producers,
            cluster_id=config.ottla_cluster_id,
        )
    except StoreError as error:
        raise ConfigError(f"ottla.cluster: {error}") from error
    membership = PostgresMembership(plane, clock=clock, entropy=entropy)
    return ObjectStore(
        plane, bucket, clock=clock, entropy=entropy, offload=offload, settings=settings, membership=membership
    )
