"""Rates and buckets: the numbers are those that Kafka's classes give (SampledStat, Rate, TokenBucket, QuotaUtils)."""

from __future__ import annotations

import pytest

from broker.quotas.rates import Rate, TokenBucket, Windows

KAFKAS = Windows(11, 1000)


def test_what_comes_at_once_is_spread_over_all_windows_but_one() -> None:
    """Ten seconds, by default: ten times the limit is free, and what is beyond is waited for."""
    rate = Rate(KAFKAS)
    rate.record(10_000, 0)
    assert rate.delay(1000, 0) == 0
    rate.record(500, 0)
    assert rate.measure(0) == (1050, 10_000)
    assert rate.delay(1000, 0) == 500


def test_a_rate_is_measured_since_the_oldest_sample() -> None:
    """With 11 windows of which 10 are full, the eleventh counts as far as it has come."""
    rate = Rate(KAFKAS)
    for second in range(11):
        rate.record(1000, second * 1000)
    assert rate.measure(10_500) == (11_000 * 1000 / 10_500, 10_500)


def test_samples_are_forgotten_when_their_last_record_is_old() -> None:
    """After all windows; what is quiet for so long starts over."""
    rate = Rate(KAFKAS)
    rate.record(1000, 0)
    rate.record(1000, 900)
    assert rate.measure(11_899)[0] > 0
    assert rate.measure(11_900) == (0, 10_000)


def test_what_did_not_happen_can_be_taken_back() -> None:
    """The sample stays, and with it the time over which is measured."""
    rate = Rate(KAFKAS)
    rate.record(1000, 0)
    rate.record(-1000, 0)
    assert rate.measure(12_000) == (0, 10_000)
    rate.record(0, 12_000)
    assert rate.measure(13_000) == (0, 10_000)


@pytest.mark.parametrize("limit", [1.0, 1000.0, 1e7])
@pytest.mark.parametrize("size", [0.01, 0.1, 1, 5])
def test_one_who_waits_as_told_keeps_the_limit(limit: float, size: float) -> None:
    """Whatever the size of a step within the windows, in seconds' worth. Over ten minutes at most the first ten
    seconds' worth, a step, and what rounding to milliseconds leaves come on top."""
    rate, now, used = Rate(KAFKAS), 0, 0.0
    while now < 600_000:
        rate.record(size * limit, now)
        used += size * limit
        now += max(1, rate.delay(limit, now))
    assert used <= limit * (now / 1000 * 1.06 + 11 + size)
    assert used >= limit * now / 1000 * 0.9


def test_a_bucket_is_full_at_first_and_can_be_in_debt() -> None:
    """Who finds something in it may take more than there is."""
    bucket = TokenBucket(KAFKAS)
    assert bucket.tokens(2, 0) == 22
    bucket.take(30, 2, 0)
    assert (bucket.tokens(2, 0), bucket.delay(2, 0)) == (-8, 4000)
    assert bucket.delay(2, 3999) == 1
    assert bucket.delay(2, 4000) == 0


def test_a_bucket_fills_up_and_no_further() -> None:
    """A limit that has changed counts from now on."""
    bucket = TokenBucket(KAFKAS)
    bucket.take(22, 2, 0)
    assert bucket.tokens(2, 5_000) == 10
    assert bucket.tokens(2, 500_000) == 22
    assert bucket.tokens(1, 500_000) == 11
