"""The instrument that holds producers to a quota: what it judges, and what it draws."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

from tools.trials.quotas.command import JUDGED_SECONDS, ROUND_SECONDS, judge
from tools.trials.quotas.load import Series
from tools.trials.quotas.picture import picture

LIMIT = 10e6
SECONDS = 2 * ROUND_SECONDS + JUDGED_SECONDS


def series(rate: float, *, grown: int = 0, broker: str = "ottla") -> Series:
    """A broker that did the same all the time, and whose memory grew by so many bytes."""
    moments = range(SECONDS * 4)
    return Series(
        broker,
        [(moment / 4, int(rate / 4)) for moment in moments],
        [(moment / 4, 50_000_000 + grown * moment // len(moments)) for moment in moments],
    )


@pytest.mark.parametrize(
    ("rate", "grown", "missed"),
    [(10e6, 0, 0), (10.4e6, 0, 0), (10.6e6, 0, 1), (9.6e6, 0, 0), (9.4e6, 0, 1), (0, 0, 1), (10e6, 100 << 20, 1)],
)
def test_a_rate_is_kept_within_five_percent_and_memory_does_not_grow(rate: float, grown: int, missed: int) -> None:
    """Kafka is shown, and not judged."""
    assert judge(series(rate, grown=grown), 4, LIMIT) == missed
    assert judge(series(rate, grown=grown, broker="kafka"), 4, LIMIT) == 0


def test_bursts_are_judged_over_a_round() -> None:
    """All at once, then nothing for the rest of the round: on the average it is right."""
    bursts = Series("ottla", [(at, 10_000_000 * ROUND_SECONDS) for at in range(0, SECONDS, ROUND_SECONDS)])
    bursts.memory = series(0).memory
    assert judge(bursts, 1, LIMIT) == 0


def test_the_picture_has_a_line_for_each_broker_and_each_number() -> None:
    """Of the rate, and of the memory; it is well-formed."""
    both = [series(10e6), series(9e6, broker="kafka")]
    drawn = ElementTree.fromstring(picture({1: both, 16: both}, LIMIT, 2 * LIMIT, SECONDS))
    assert len(drawn.findall("{http://www.w3.org/2000/svg}polyline")) == 2 * 2 * 2
