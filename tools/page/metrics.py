"""A broker's metrics, as Prometheus would read them, and their last half hour.

Ottla's own are asked for by name (`?name[]=`), so that a broker with thousands of topics need not render them; the JMX
exporter knows the same question. The names are those that both have, so a Kafka is shown as well as an Ottla is.
"""

from __future__ import annotations

import itertools
import json
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections import deque
from collections.abc import Mapping
from typing import Any, Final

from prometheus_client.parser import text_string_to_metric_families

KEPT: Final = 180
SECONDS: Final = 10
TIMEOUT: Final = 5.0
MOST_BYTES: Final = 8 << 20

NAMES: Final = (
    "kafka_server_brokertopicmetrics_messagesin_total",
    "kafka_server_brokertopicmetrics_bytesin_total",
    "kafka_server_brokertopicmetrics_bytesout_total",
    "kafka_network_requestmetrics_requests_total",
    "kafka_server_socket_server_metrics_connection_count",
    "ottla_connections_refused_total",
    "ottla_connections_ended_total",
    "ottla_replies_waiting",
    "ottla_request_memory_bytes",
    "ottla_event_loop_long_turns_total",
    "ottla_event_loop_longest_turn_seconds",
    "ottla_event_loop_long_rounds_total",
    "ottla_store_stopped",
    "ottla_shared_requests_total",
    "ottla_shared_failures_total",
    "ottla_shared_median_seconds",
    "ottla_shared_slowest_seconds",
    "ottla_shared_objects",
    "ottla_shared_object_bytes",
    "ottla_shared_objects_deleting",
    "ottla_shared_runs_unmerged",
    "ottla_shared_waiting_bytes",
    "ottla_shared_cached_bytes",
    "process_cpu_seconds_total",
    "process_resident_memory_bytes",
    "process_open_fds",
)

Labels = tuple[tuple[str, str], ...]


class Scrape:
    """What was read at one moment, `at` in seconds of a steady clock."""

    def __init__(self, at: float, text: str) -> None:
        self.at = at
        self._numbers: dict[str, dict[Labels, float]] = {}
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                if sample.name in NAMES:
                    self._numbers.setdefault(sample.name, {})[tuple(sorted(sample.labels.items()))] = sample.value

    def total(self, name: str) -> float | None:
        """The sum over everything: the sample without a topic, where there is one; None if the broker has none."""
        samples = self._numbers.get(name)
        if not samples:
            return None
        return samples[()] if () in samples else sum(samples.values())

    def by(self, name: str, label: str) -> Mapping[str, float]:
        """The sums by one label."""
        found: dict[str, float] = {}
        for labels, number in self._numbers.get(name, {}).items():
            value = dict(labels).get(label)
            if value is not None:
                found[value] = found.get(value, 0) + number
        return found


class Metrics:
    """The metrics at one address, read every `SECONDS` by the task that calls `read`."""

    def __init__(self, address: str) -> None:
        """`address` is host:port, or the whole URL of the metrics."""
        self.url = address if "://" in address else f"http://{address}/metrics"
        self.scrapes: deque[Scrape] = deque(maxlen=KEPT)
        self.failure: str | None = None
        self._lock = threading.Lock()

    def read(self) -> None:
        """Read once more; a failure is kept as a sentence."""
        query = urllib.parse.urlencode([("name[]", name) for name in NAMES])
        try:
            scrape = Scrape(time.monotonic(), self._get(f"{self.url}?{query}"))
        except (OSError, ValueError) as error:
            self.failure = f"{self.url} does not answer with metrics: {error}"
            return
        with self._lock:
            self.failure = None
            self.scrapes.append(scrape)

    def status(self) -> Any | None:
        """What Ottla says of its connections and long turns; None where that is not served."""
        try:
            return json.loads(self._get(urllib.parse.urljoin(self.url, "/status.json")))
        except (OSError, ValueError):
            return None

    def _get(self, url: str) -> str:
        if not url.startswith(("http://", "https://")):
            raise ValueError("it is no address of HTTP")
        with urllib.request.urlopen(url, timeout=TIMEOUT) as response:
            text: bytes = response.read(MOST_BYTES)
        return text.decode("utf-8", "replace")

    def seen(self) -> list[Scrape]:
        """All that are kept, the newest last."""
        with self._lock:
            return list(self.scrapes)

    def gauge(self, name: str) -> list[tuple[float, float]]:
        """A number over time."""
        return [(each.at, number) for each in self.seen() if (number := each.total(name)) is not None]

    def rate(self, name: str) -> list[tuple[float, float]]:
        """By how much a counter grew in a second, over time; a counter that has become smaller was begun again."""
        points, numbers = [], self.gauge(name)
        for (before, low), (at, high) in itertools.pairwise(numbers):
            points.append((at, max(0.0, high - low if high >= low else high) / max(at - before, 1e-9)))
        return points

    def rates_by(self, name: str, label: str) -> list[tuple[str, float]]:
        """How much each value of a label grew by in a second, over the last minute, the largest first."""
        seen = self.seen()[-7:]
        if len(seen) < 2:
            return []
        before, now = seen[0].by(name, label), seen[-1].by(name, label)
        seconds = max(seen[-1].at - seen[0].at, 1e-9)
        rates = [(value, max(0.0, number - before.get(value, 0)) / seconds) for value, number in now.items()]
        return sorted(rates, key=lambda each: -each[1])
