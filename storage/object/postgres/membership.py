"""Membership on PostgreSQL: a row for each broker, a row for each shard, and one clock, the database's.

A heartbeat is one transaction: it renews the lease and brings all rows of both tables, which are some ten and some
hundred. It has a connection of its own, so that it never waits behind commits, and is given up after the time of a
lease: an answer that comes later is of no use.

A shard is its owner's as long as the owner's lease lasts, under the incarnation that claimed it, so a dead broker's
shards are free the moment it is dead, with nothing to clean up.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Final

from storage.engine import StoreError
from storage.membership import Endpoint, LiveBroker, Shard, ShardLease, View
from storage.object.control_plane import Fenced
from storage.object.postgres import statements as sql
from storage.object.postgres.connection import Call, Refused, Statement
from storage.object.postgres.control_plane import PostgresControlPlane, meaning
from storage.object.postgres.pool import Pool
from storage.object.postgres.values import Parameter, Row, number, numbers, text, texts, truth, uuid
from storage.seams.clock import Clock
from storage.seams.entropy import Entropy

_SECRET: Final = "secret of the brokers"

_JOIN: Final = Statement(
    "join",
    "UPDATE ottla.broker SET rack = $3::text, endpoints = $4::text, version = $5::text, joined = ottla.now_ms(), "
    "lease_until = ottla.now_ms() + $6::bigint WHERE node_id = $1::int AND incarnation = $2::uuid RETURNING 1",
)
_BEAT: Final = Statement(
    "beat",
    "UPDATE ottla.broker SET lease_until = ottla.now_ms() + $3::bigint "
    "WHERE node_id = $1::int AND incarnation = $2::uuid RETURNING 1",
)
_LIVING: Final = Statement(
    "living",
    "SELECT node_id, incarnation, rack, endpoints, version, joined, draining FROM ottla.broker "
    "WHERE lease_until > ottla.now_ms() AND version <> '' ORDER BY node_id",
)
_LEASES: Final = Statement(
    "leases",
    "SELECT s.topic, s.idx, CASE WHEN b.node_id IS NULL THEN -1 ELSE s.owner END, s.incarnation, s.epoch "
    "FROM ottla.shard s LEFT JOIN ottla.broker b ON b.node_id = s.owner AND b.incarnation = s.incarnation "
    "AND b.lease_until > ottla.now_ms() ORDER BY s.topic, s.idx",
)
_CLAIM: Final = Statement("claim", "SELECT ottla.claim_shards($1::int, $2::uuid, $3::text[], $4::int[])")
_RELEASE: Final = Statement(
    "release",
    "UPDATE ottla.shard s SET owner = -1 FROM unnest($3::text[], $4::int[]) AS t (topic, idx) "
    "WHERE s.topic = t.topic AND s.idx = t.idx AND s.owner = $1::int AND s.incarnation = $2::uuid",
)
_LEAVE: Final = Statement(
    "leave",
    "WITH gone AS (UPDATE ottla.shard SET owner = -1 WHERE owner = $1::int AND incarnation = $2::uuid) "
    "UPDATE ottla.broker SET lease_until = 0 WHERE node_id = $1::int AND incarnation = $2::uuid",
)
_DRAIN: Final = Statement(
    "drain",
    "UPDATE ottla.broker SET draining = $2::boolean WHERE node_id = $1::int AND lease_until > ottla.now_ms() "
    "AND version <> '' RETURNING 1",
)


class PostgresMembership:
    """`Membership` says what its methods promise. `plane` is open."""

    def __init__(self, plane: PostgresControlPlane, *, clock: Clock, entropy: Entropy) -> None:
        self._plane = plane
        self._clock = clock
        self._entropy = entropy
        self._pool: Pool = plane.pool.another(connections=1)
        self._who: tuple[Parameter, Parameter] = (number(plane.node_id), uuid(plane.incarnation))
        self._lease = number(plane.lease_ms)
        self._until = 0
        self._seen: tuple[list[LiveBroker], list[ShardLease]] = [], []
        self._change = 0

    @property
    def node_id(self) -> int:
        return self._plane.node_id

    @property
    def incarnation(self) -> bytes:
        return self._plane.incarnation

    async def join(self, endpoints: Mapping[str, Endpoint], rack: str | None, version: str) -> View:
        assert version, "a broker without a version is one that has not joined"
        places = json.dumps({name: list(endpoint) for name, endpoint in endpoints.items()})
        try:
            return await self._renew((_JOIN, (*self._who, text(rack), text(places), text(version), self._lease)))
        except Fenced:
            raise StoreError(
                f"another process lives under node id {self.node_id}: each broker needs a node id of its own"
            ) from None

    async def heartbeat(self) -> View:
        return await self._renew((_BEAT, (*self._who, self._lease)))

    async def _renew(self, call: Call) -> View:
        sent = self._clock.monotonic_millis()
        renewed, living, leases, ((now,),) = await self._run(
            [call, (_LIVING, ()), (_LEASES, ()), (sql.NOW, ())], changes=True
        )
        if not renewed:
            raise Fenced(f"another process has taken node id {self.node_id}")
        self._until = sent + self._plane.lease_ms
        self._plane.note_time(now)
        seen = [_broker(row) for row in living], [_lease(row) for row in leases]
        if seen != self._seen:
            self._seen = seen
            self._change += 1
        return View(*seen, now, self._change)

    async def leave(self) -> None:
        self._until = 0
        await self._run([(_LEAVE, self._who)], changes=True)
        self._pool.close()

    def lease_remaining_ms(self) -> int:
        return self._until - self._clock.monotonic_millis()

    async def claim(self, shards: Sequence[Shard]) -> list[ShardLease]:
        _, rows = await self._run([(_CLAIM, self._shards(shards)), (_LEASES, ())], changes=True)
        leases = {lease.shard: lease for lease in map(_lease, rows)}
        return [leases[shard] for shard in shards]

    async def release(self, shards: Sequence[Shard]) -> None:
        await self._run([(_RELEASE, self._shards(shards))], changes=True)

    async def drain(self, node_id: int, draining: bool) -> bool:
        (rows,) = await self._run([(_DRAIN, (number(node_id), truth(draining)))], changes=True)
        return bool(rows)

    async def secret(self) -> bytes:
        return await self._plane.settle(_SECRET, self._entropy.bytes(32))

    def _shards(self, shards: Sequence[Shard]) -> tuple[Parameter, ...]:
        return (*self._who, texts([shard.topic for shard in shards]), numbers(shard.partition for shard in shards))

    async def _run(self, calls: Sequence[Call], *, changes: bool) -> list[list[Row]]:
        try:
            return await self._pool.run(calls, changes=changes, within=self._plane.lease_ms / 1000)
        except Refused as error:
            raise meaning(error) from None


def _broker(row: Row) -> LiveBroker:
    node_id, incarnation, rack, endpoints, version, joined, draining = row
    places = {name: Endpoint(*place) for name, place in json.loads(endpoints).items()}
    return LiveBroker(node_id, incarnation, rack, places, version, joined, draining)


def _lease(row: Row) -> ShardLease:
    topic, partition, owner, incarnation, epoch = row
    return ShardLease(Shard(topic, partition), owner, incarnation, epoch)
