"""Reading and searching: bounded, and none lost at the bound."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import ottla
from kproto.batches.records import RecordData
from kproto.messages.create_topics import CreatableTopic, CreateTopicsRequest
from tools.client.cluster import Cluster
from tools.client.properties import ClientProperties
from tools.page import messages
from tools.page.messages import Search, back, bounds_of, on, produce


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """A topic of two partitions with 60 records in each, every tenth of which is wanted."""
    with ottla.Broker() as broker, Cluster(ClientProperties({"bootstrap.servers": broker.bootstrap_servers})) as made:
        topic = CreatableTopic(name="t", num_partitions=2, replication_factor=1)
        made.ask(CreateTopicsRequest(topics=[topic], timeout_ms=10_000))
        for number in range(120):
            value = b"wanted" if number // 2 % 10 == 0 else b"hay"
            produce(made, "t", number % 2, RecordData(timestamp=number, value=value))
        yield made


@pytest.mark.parametrize("way", [back, on])
def test_a_search_goes_on_where_it_stopped(way: object, cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """However little one look may read, all looks together find each record once."""
    monkeypatch.setattr(messages, "WINDOW", 7)
    monkeypatch.setattr(messages, "MOST_SCANNED", 10)
    bounds = bounds_of(cluster, "t", range(2))
    places = {partition: each.end if way is back else each.start for partition, each in bounds.items()}
    seen: list[tuple[int, int]] = []
    looks = 0
    while True:
        assert callable(way)
        found = way(cluster, "t", bounds, places, Search("wanted"), 3)
        assert found.scanned <= 10 + 2 * 7
        assert len(found.messages) <= 3
        seen += [(message.partition, message.record.offset) for message in found.messages]
        looks += 1
        if found.is_end:
            break
        assert found.places != places, "each look gets further"
        places = dict(found.places)
    assert sorted(seen) == [(partition, offset) for partition in range(2) for offset in range(0, 60, 10)]
    assert looks > 5


def test_messages_of_all_partitions_are_in_the_order_of_their_times(cluster: Cluster) -> None:
    """From the newest back, and from the oldest on."""
    bounds = bounds_of(cluster, "t", range(2))
    newest = back(cluster, "t", bounds, {partition: each.end for partition, each in bounds.items()}, Search(), 10)
    assert [message.record.timestamp for message in newest.messages] == list(range(119, 109, -1))
    oldest = on(cluster, "t", bounds, {partition: each.start for partition, each in bounds.items()}, Search(), 10)
    assert [message.record.timestamp for message in oldest.messages] == list(range(10))
