"""Which broker leads what follows from who lives: evenly for each topic, and little moves when brokers come and go."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import pytest

from broker.brokers.rendezvous import LAYOUTS, LOTS, laid_out, layout_of, lots_of, ranked, spread
from storage.membership import LiveBroker

COUNTS = (1, 2, 3, 4, 6, 12, 50, LOTS)


def living(node_ids: Iterable[int], racks: str = "") -> list[LiveBroker]:
    """Brokers of these node ids; `racks` has a letter for each."""
    letters = dict(zip(node_ids, racks, strict=False))
    return [LiveBroker(node_id, b"", letters.get(node_id), {}, "", joined=0, draining=False) for node_id in node_ids]


def leaders(layout: int, lots: int, brokers: list[LiveBroker]) -> list[int]:
    """The node id of each lot's leader."""
    return [preferred[0].node_id for preferred in laid_out(layout, lots, brokers)]


@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize("brokers", [1, 2, 3, 7])
def test_a_topics_partitions_are_spread_evenly(count: int, brokers: int) -> None:
    """No broker leads two partitions of a topic more than another, whichever topic it is."""
    for layout in range(LAYOUTS):
        found = Counter(leaders(layout, count, living(range(1, brokers + 1))))
        assert sum(found.values()) == count
        assert max(found.values()) - (min(found.values()) if len(found) == brokers else 0) <= 1


def test_topics_with_one_partition_are_spread_over_brokers() -> None:
    """Each broker leads its share of them, within a third."""
    found = Counter(leaders(layout, 1, living([1, 2, 3]))[0] for layout in range(LAYOUTS))
    assert all(LAYOUTS / 3 * 2 / 3 < found[node_id] < LAYOUTS / 3 * 4 / 3 for node_id in (1, 2, 3))


@pytest.mark.parametrize(("before", "after"), [((1, 2, 3), (1, 2)), ((1, 2), (1, 2, 3)), ((1, 2, 3), (1, 2, 3, 4))])
@pytest.mark.parametrize("count", [12, LOTS])
def test_little_moves_when_a_broker_comes_or_goes(before: tuple[int, ...], after: tuple[int, ...], count: int) -> None:
    """What the broker leads that goes, or that comes, and of the rest less than a tenth."""
    moved = 0
    for layout in range(LAYOUTS):
        pairs = zip(leaders(layout, count, living(before)), leaders(layout, count, living(after)), strict=True)
        moved += sum(old != new for old, new in pairs)
    share = 1 / max(len(before), len(after))
    assert moved / LAYOUTS / count < share + 0.1


def test_brokers_agree_whatever_order_they_know_each_other_in() -> None:
    """The same brokers in another order are the same cluster."""
    assert laid_out(5, 12, living([1, 2, 3])) == laid_out(5, 12, living([3, 1, 2]))


def test_followers_are_all_others_in_an_order_of_their_own() -> None:
    """Each broker stands once in each lot's order, and those behind a leader differ from lot to lot."""
    orders = [[broker.node_id for broker in lot] for lot in laid_out(0, LOTS, living(range(5)))]
    assert all(sorted(order) == list(range(5)) for order in orders)
    assert len({tuple(order[1:]) for order in orders if order[0] == 0}) > 5


def test_a_topic_with_more_partitions_than_lots_begins_again() -> None:
    """So a layout is never longer, and the first lots are used once more."""
    assert lots_of(LOTS + 1) == LOTS
    assert lots_of(3) == 3
    assert 0 <= layout_of(bytes(16)) < LAYOUTS


def test_without_brokers_there_is_no_order() -> None:
    """Nothing is preferred, and nothing fails."""
    assert laid_out(0, 4, []) == []
    assert ranked("a thing", []) == []


def test_replicas_come_from_as_many_racks_as_can_be() -> None:
    """The leader's rack is used again when every other was."""
    order = living([1, 2, 3, 4], "aabb")
    assert [broker.node_id for broker in spread(order, 2)] == [1, 3]
    assert [broker.node_id for broker in spread(order, 4)] == [1, 3, 2, 4]
