"""What a cluster of brokers without disks stands on, for the page: who does what, and how database and bucket answer.

Who lives, leads and coordinates is asked over Kafka's protocol: metadata shows living brokers only, and the leader of a
partition of a coordinators' topic is the broker that has its shard. How the database and the bucket answer, and what
waits to be merged or deleted, only a broker knows, so that is read from the metrics of the one that the page is told
of. One broker of the cluster counts its objects; others leave that to it, and so does the page.

`ottla cluster status` asks the database and the bucket themselves, and works when no broker does.
"""

from __future__ import annotations

from collections import Counter
from typing import Any, Final, NamedTuple

from kproto.messages.describe_cluster import DescribeClusterRequest
from tools.client.cluster import Cluster
from tools.page.metrics import Metrics, Scrape

GROUPS: Final = "__consumer_offsets"
TRANSACTIONS: Final = "__transaction_state"

REQUESTS: Final = {
    "commit": ("Database", "commits"),
    "question": ("Database", "questions"),
    "put": ("Bucket", "puts"),
    "get": ("Bucket", "gets"),
    "list": ("Bucket", "lists"),
    "delete": ("Bucket", "deletes"),
}


class BrokerRow(NamedTuple):
    """A living broker, and its share."""

    node_id: int
    address: str
    rack: str
    is_controller: bool
    leads: int
    group_shards: int
    transaction_shards: int


class RequestRow(NamedTuple):
    """One kind of request to what brokers share; a second, over the last minute."""

    server: str
    kind: str
    done: int
    failed: int
    rate: float
    median: float  # seconds
    slowest: float


def broker_rows(cluster: Cluster) -> list[BrokerRow]:
    """The brokers that live, by id."""
    described = cluster.ask(DescribeClusterRequest())
    leads: Counter[int] = Counter()
    shards: dict[str, Counter[int]] = {GROUPS: Counter(), TRANSACTIONS: Counter()}
    for topic in cluster.metadata().topics:
        shards.get(topic.name, leads).update(each.leader_id for each in topic.partitions)
    return [
        BrokerRow(
            broker.broker_id,
            f"{broker.host}:{broker.port}",
            broker.rack or "",
            broker.broker_id == described.controller_id,
            leads[broker.broker_id],
            shards[GROUPS][broker.broker_id],
            shards[TRANSACTIONS][broker.broker_id],
        )
        for broker in sorted(described.brokers, key=lambda each: int(each.broker_id))
    ]


def request_rows(metrics: Metrics) -> list[RequestRow]:
    """How database and bucket answer that broker; empty where it has neither."""
    seen = metrics.seen()
    if not seen:
        return []
    now = seen[-1]
    done, failed = (now.by(f"ottla_shared_{what}_total", "request") for what in ("requests", "failures"))
    median, slowest = (now.by(f"ottla_shared_{what}_seconds", "request") for what in ("median", "slowest"))
    rates = dict(metrics.rates_by("ottla_shared_requests_total", "request"))
    return [
        RequestRow(
            server,
            words,
            int(done[kind]),
            int(failed.get(kind, 0)),
            rates.get(kind, 0.0),
            median.get(kind, 0.0),
            slowest.get(kind, 0.0),
        )
        for kind, (server, words) in REQUESTS.items()
        if kind in done
    ]


def gauges(now: Scrape) -> dict[str, float | None]:
    """What there is, and what waits: None where that broker does not say."""
    names = ("objects", "object_bytes", "objects_deleting", "runs_unmerged", "waiting_bytes", "cached_bytes")
    return {name: now.total(f"ottla_shared_{name}") for name in names}


def standing(cluster: Cluster, metrics: Metrics | None) -> dict[str, Any]:
    """What the view shows."""
    seen = metrics.seen() if metrics is not None else []
    return {
        "brokers": broker_rows(cluster),
        "requests": request_rows(metrics) if metrics is not None else [],
        "gauges": gauges(seen[-1]) if seen else None,
        "failure": metrics.failure if metrics is not None else None,
        "metrics": metrics,
    }
