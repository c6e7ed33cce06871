"""The worked example on the page of the machines' contract."""

from __future__ import annotations

import doctest

from broker.coordinators import machine


def test_the_worked_example_is_true() -> None:
    """Every line of it, in its order."""
    failed, tried = doctest.testmod(machine)
    assert failed == 0
    assert tried > 8
