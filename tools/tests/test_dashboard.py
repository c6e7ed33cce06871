"""Every query of the Grafana dashboard is evaluated against what a running broker answers at `/metrics`.

The queries are parsed as Prometheus does (`promql_parser` is the grammar of Prometheus), and a small evaluator of what
they use computes them from two scrapes, a minute apart as far as it knows. A query that finds nothing would be an empty
panel, whatever the reason: a name or a label that is written differently, or a counter that is not there.
"""

from __future__ import annotations

import json
import math
import re
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import confluent_kafka
import promql_parser
import pytest
from prometheus_client.parser import text_string_to_metric_families

import ottla
from broker.web.families import FAMILIES, PROCESS

DASHBOARD = json.loads((Path(__file__).parents[2] / "docs/grafana-dashboard.json").read_text(encoding="utf-8"))
QUERIES: list[str] = [target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"]]
KNOWN = FAMILIES | {family.name: family for family in PROCESS}
ONLY_WHERE_USED = {
    "ottla_quota_limits",
    "ottla_quota_clients",
    "ottla_quota_delayed_total",
    "ottla_quota_delay_seconds_total",
    "ottla_telemetry_value",
}
"""Where no quota is set and no client pushes anything; `broker/tests/web/test_metrics.py` has such a broker."""
TARGET = {"job": "ottla", "instance": "127.0.0.1:9404"}
SECONDS = 60

Labels = tuple[tuple[str, str], ...]
Scrape = Mapping[str, Mapping[Labels, float]]


class Scrapes(NamedTuple):
    before: Scrape
    now: Scrape


@pytest.fixture(scope="module")
def scrapes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scrapes]:
    """Two scrapes of a broker that has been written to and read from by a group."""
    settings = {"ottla.metrics.listener": "0", "offsets.topic.num.partitions": 1}
    with ottla.Broker(data=tmp_path_factory.mktemp("data"), config=settings) as broker:
        (address,) = re.findall(r'metrics are served.*?address[="\s:]+([\d.]+:\d+)', broker.log)
        before = scrape(address)
        producer = confluent_kafka.Producer({"bootstrap.servers": broker.bootstrap_servers})
        for number in range(10):
            producer.produce("orders", b"%d" % number)
        assert producer.flush(30) == 0
        consumer = confluent_kafka.Consumer(
            {
                "bootstrap.servers": broker.bootstrap_servers,
                "group.id": "billing",
                "auto.offset.reset": "earliest",
                "enable.auto.commit": False,
            }
        )
        consumer.subscribe(["orders"])
        assert len(consumer.consume(10, timeout=30)) == 10
        consumer.commit(asynchronous=False)
        yield Scrapes(before, scrape(address))
        consumer.close()


def scrape(address: str) -> Scrape:
    """What is served, by name and labels, as a Prometheus that scrapes it stores it."""
    with urllib.request.urlopen(f"http://{address}/metrics", timeout=30) as response:
        text = response.read().decode()
    found: dict[str, dict[Labels, float]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = tuple(sorted((sample.labels | TARGET).items()))
            assert labels not in found.setdefault(sample.name, {}), "a sample is there once"
            found[sample.name][labels] = sample.value
    return found


@pytest.mark.parametrize("query", QUERIES)
def test_a_query_finds_numbers(query: str, scrapes: Scrapes) -> None:
    """Once its variables are filled in as Grafana does, with "All" chosen."""
    text = query.replace("$job", ".*").replace("$instance", ".*").replace("$__rate_interval", f"{SECONDS}s")
    assert "$" not in text
    found = evaluate(promql_parser.parse(text), scrapes)
    assert found, "an empty panel"
    assert all(math.isfinite(number) and number >= 0 for number in found.values())


def test_the_variables_ask_for_a_name_that_is_served(scrapes: Scrapes) -> None:
    """The lists of jobs and instances to choose from."""
    queries = [each["query"] for each in DASHBOARD["templating"]["list"] if each["type"] == "query"]
    assert queries
    for query in queries:
        (name,) = re.findall(r"label_values\((\w+)", query)
        assert name in scrapes.now


def test_what_was_done_is_counted(scrapes: Scrapes) -> None:
    """Ten records came in, to one topic; ten were read; the group has no lag."""

    def sums(name: str, **labels: str) -> float:
        found = scrapes.now[name].items()
        return sum(number for have, number in found if labels.items() <= dict(have).items())

    assert sums("kafka_server_brokertopicmetrics_messagesin_total", topic="orders") == 10
    assert sums("kafka_server_brokertopicmetrics_messagesin_total") == 20, "the topic, and the sum"
    assert sums("kafka_server_brokertopicmetrics_bytesout_total", topic="orders") == sums(
        "kafka_server_brokertopicmetrics_bytesin_total", topic="orders"
    )
    assert sums("kafka_network_requestmetrics_requests_total", request="Produce") >= 1
    assert sums("kafka_log_log_logendoffset", topic="orders") == 10
    assert sums("kafka_consumergroup_current_offset", consumergroup="billing") == 10
    assert sums("kafka_consumergroup_lag", consumergroup="billing") == 0
    assert sums("kafka_coordinator_group_groupmetadatamanager_numgroupsstable") == 1


def test_every_name_served_is_on_the_list(scrapes: Scrapes) -> None:
    """W2: And all on the list are served, once there is something to say."""
    assert set(scrapes.now) <= set(KNOWN)
    of_a_cluster = {name for name in KNOWN if name.startswith("ottla_shared_")}
    assert set(KNOWN) - set(scrapes.now) == ONLY_WHERE_USED | of_a_cluster


def evaluate(query: Any, scrapes: Scrapes) -> dict[Labels, float]:
    """What a query finds. Knows selectors, `rate`, `sum` and `topk`: what else a panel wants is to be added here."""
    match query:
        case promql_parser.VectorSelector():
            return selected(query, scrapes.now)
        case promql_parser.Call() if query.func.name == "rate":
            selector = query.args[0].vector_selector
            assert KNOWN[selector.name].kind != "gauge", "only a counter has a rate"
            before, now = selected(selector, scrapes.before), selected(selector, scrapes.now)
            return {labels: (number - before.get(labels, 0)) / SECONDS for labels, number in now.items()}
        case promql_parser.AggregateExpr():
            inner = evaluate(query.expr, scrapes)
            if str(query.op) == "topk":
                return inner
            assert str(query.op) == "sum", f"unknown: {query.op}"
            sums: dict[Labels, float] = {}
            kept = query.modifier.labels if query.modifier is not None else []
            for labels, number in inner.items():
                assert set(kept) <= dict(labels).keys(), "the labels by which is summed are there"
                group = tuple((name, value) for name, value in labels if name in kept)
                sums[group] = sums.get(group, 0) + number
            return sums
    raise AssertionError(f"the evaluator does not know {query.prettify()}")


def selected(selector: Any, scrape: Scrape) -> dict[Labels, float]:
    """The samples that a selector chooses."""
    assert selector.name in KNOWN
    assert {matcher.name for matcher in selector.matchers.matchers} <= {*KNOWN[selector.name].labels, *TARGET}

    def fits(labels: Labels) -> bool:
        have = dict(labels)
        for matcher in selector.matchers.matchers:
            value = have.get(matcher.name, "")
            operator = str(matcher.op).rpartition(".")[2]
            if operator == "Re":
                holds = re.fullmatch(matcher.value, value) is not None
            else:
                holds = (value == matcher.value) is {"Equal": True, "NotEqual": False}[operator]
            if not holds:
                return False
        return True

    return {labels: number for labels, number in scrape.get(selector.name, {}).items() if fits(labels)}
