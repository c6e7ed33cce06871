"""What the cluster's view makes of metrics: of a broker that shares database and bucket, and of one that does not."""

from __future__ import annotations

import pytest

from tools.page.metrics import Metrics, Scrape
from tools.page.standing import gauges, request_rows

SHARED = """
# TYPE ottla_shared_requests_total counter
ottla_shared_requests_total{request="commit"} %d
ottla_shared_requests_total{request="put"} 7
# TYPE ottla_shared_failures_total counter
ottla_shared_failures_total{request="commit"} 2
# TYPE ottla_shared_median_seconds gauge
ottla_shared_median_seconds{request="commit"} 0.004
# TYPE ottla_shared_slowest_seconds gauge
ottla_shared_slowest_seconds{request="commit"} 0.05
# TYPE ottla_shared_runs_unmerged gauge
ottla_shared_runs_unmerged 40
"""


def metrics_of(*texts: str) -> Metrics:
    """Metrics that were read ten seconds apart."""
    metrics = Metrics("127.0.0.1:1")
    metrics.scrapes.extend(Scrape(10.0 * number, text) for number, text in enumerate(texts))
    return metrics


def test_how_database_and_bucket_answer() -> None:
    """By kind, with the rate of the last minute; kinds that the broker does not have are left out."""
    commits, puts = request_rows(metrics_of(SHARED % 100, SHARED % 150))
    assert (commits.server, commits.kind, commits.done, commits.failed) == ("Database", "commits", 150, 2)
    assert (commits.rate, commits.median, commits.slowest) == pytest.approx((5.0, 0.004, 0.05))
    assert (puts.server, puts.done, puts.failed, puts.rate) == ("Bucket", 7, 0, 0.0)


def test_objects_are_counted_by_one_broker_and_not_known_to_the_others() -> None:
    """None, and never 0: there may be many."""
    found = gauges(Scrape(0, SHARED % 1))
    assert found["objects"] is None
    assert found["runs_unmerged"] == 40


def test_a_broker_with_a_disk_of_its_own_has_none_of_it() -> None:
    """Nor has one that was not read yet."""
    assert request_rows(metrics_of("process_open_fds 3\n")) == []
    assert request_rows(metrics_of()) == []
