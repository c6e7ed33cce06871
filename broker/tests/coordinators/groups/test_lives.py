"""Groups of either protocol, and of both, whatever happens to them; the short form of `lives.py`."""

from __future__ import annotations

import pytest

from broker.tests.coordinators.groups.lives import PROTOCOLS, live


@pytest.mark.parametrize("protocols", PROTOCOLS)
def test_every_partition_is_owned_once_when_the_disturbance_ends(protocols: str) -> None:
    """And never by two at a time, and no offset goes back."""
    for seed in range(1, 13):
        live(seed, protocols)


def test_a_sync_right_after_the_last_member_of_the_new_protocol_has_left() -> None:
    """Found by a long run: a classic member was given what another one had not given up, since the group had become a
    classic one and its members had not been asked to join again yet."""
    live(22, "both")
