"""A cluster at a glance, read from its database by a program that is none of its brokers.

One transaction that changes nothing, takes no node id and makes no schema: brokers with what is left of their leases,
who has how many shards, how many logs, runs and objects there are, and what waits to be merged or collected. Counting
goes through all objects, so it is for a person, now and then.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Final, NamedTuple

from storage.object.postgres.connection import Connection, Statement

MERGED_FROM: Final = 32
"""Runs as they were committed that a log has before they are merged; the default of brokers."""

_BROKERS: Final = Statement(
    "overview_brokers",
    "SELECT node_id, coalesce(rack, ''), version, endpoints, joined, draining, lease_until - ottla.now_ms() "
    "FROM ottla.broker WHERE version <> '' ORDER BY node_id",
)
_SHARDS: Final = Statement(
    "overview_shards",
    "SELECT s.topic, CASE WHEN b.lease_until > ottla.now_ms() THEN s.owner ELSE -1 END, count(*)::bigint "
    "FROM ottla.shard s LEFT JOIN ottla.broker b ON b.node_id = s.owner AND b.incarnation = s.incarnation "
    "GROUP BY 1, 2 ORDER BY 1, 2",
)
_LOGS: Final = Statement(
    "overview_logs",
    "SELECT count(*) FILTER (WHERE NOT deleted), coalesce(sum(bytes) FILTER (WHERE NOT deleted), 0)::bigint, "
    "count(*) FILTER (WHERE deleted OR NOT trimmed), "
    "count(*) FILTER (WHERE loose >= $1::bigint AND NOT deleted), "
    "coalesce(sum(loose) FILTER (WHERE loose >= $1::bigint AND NOT deleted), 0)::bigint FROM ottla.part",
)
_RUNS: Final = Statement(
    "overview_runs",
    "SELECT greatest(reltuples, 0)::bigint, pg_total_relation_size('ottla.run')::bigint, "
    "pg_database_size(current_database())::bigint FROM pg_class WHERE oid = 'ottla.run'::regclass",
)
_OBJECTS: Final = Statement(
    "overview_objects",
    "SELECT count(*) FILTER (WHERE state = 1), coalesce(sum(bytes) FILTER (WHERE state = 1), 0)::bigint, "
    "count(*) FILTER (WHERE state = 2), coalesce(sum(bytes) FILTER (WHERE state = 2), 0)::bigint, "
    "count(*) FILTER (WHERE state = 2 AND due <= ottla.now_ms()), count(*) FILTER (WHERE state = 9) FROM ottla.obj",
)
_META: Final = Statement("overview_meta", "SELECT cluster_id, version, ottla.now_ms() FROM ottla.meta")
_THERE: Final = Statement("overview_there", "SELECT to_regclass('ottla.meta') IS NOT NULL")


class BrokerOverview(NamedTuple):
    """A broker that the cluster has seen. `lease_ms` is what is left of its lease; not above 0: it counts as dead."""

    node_id: int
    rack: str
    version: str
    endpoints: Mapping[str, str]  # host:port by listener
    joined_ms: int  # since 1970
    draining: bool
    lease_ms: int
    shards: int

    @property
    def is_alive(self) -> bool:
        """Whether its lease lasts."""
        return self.lease_ms > 0


class Overview(NamedTuple):
    """All of it. Sizes in bytes; `runs` is an estimate of the database's."""

    cluster_id: str
    schema: int
    now_ms: int
    brokers: list[BrokerOverview]
    shards: Mapping[str, Mapping[int, int]]  # topic to owner (-1: none lives) to how many
    logs: int
    log_bytes: int
    untrimmed_logs: int  # that have runs before their start, or are deleted
    unmerged_logs: int
    unmerged_runs: int
    runs: int
    run_table_bytes: int
    database_bytes: int
    objects: int
    object_bytes: int
    dying_objects: int  # that wait for their deletion
    dying_bytes: int
    overdue_objects: int  # of those: their time has come
    tombstones: int


async def overview_of(connection: Connection) -> Overview | None:
    """The cluster of this database; None if it has none. Raises ControlPlaneError."""
    (((is_there,),),) = await connection.run([(_THERE, ())], changes=False)
    if not is_there:
        return None
    from storage.object.postgres.values import number

    calls = [(_META, ()), (_BROKERS, ()), (_SHARDS, ()), (_LOGS, (number(MERGED_FROM),)), (_RUNS, ()), (_OBJECTS, ())]
    answers = await connection.run(calls, changes=False)
    ((cluster_id, schema, now),), brokers, shards, (logs,), (runs,), (objects,) = answers
    by_topic: dict[str, dict[int, int]] = {}
    owned: dict[int, int] = {}
    for topic, owner, count in shards:
        by_topic.setdefault(topic, {})[owner] = count
        owned[owner] = owned.get(owner, 0) + count
    found = [
        BrokerOverview(
            node_id,
            rack,
            version,
            _endpoints(endpoints),
            joined,
            draining,
            lease,
            owned.get(node_id, 0) if lease > 0 else 0,
        )
        for node_id, rack, version, endpoints, joined, draining, lease in brokers
    ]
    return Overview(cluster_id, schema, now, found, by_topic, *logs, *runs, *objects)


def _endpoints(text: str) -> dict[str, str]:
    return {name: f"{host}:{port}" for name, (host, port) in json.loads(text or "{}").items()}
