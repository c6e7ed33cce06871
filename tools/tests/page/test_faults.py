"""What a broker was commanded to do wrong is shown on its page, and what is hostile in it is text."""

from __future__ import annotations

import re

import ottla
from tools.tests.page.conftest import HOSTILE, page_of


def test_faults_are_shown_with_their_counts() -> None:
    """Those in force and those that have ended; nothing of it on a broker without."""
    with ottla.Broker(control=True, config={"ottla.metrics.listener": "0"}) as broker:
        (metrics,) = re.findall(r'metrics are served.*?address[="\s:]+([\d.]+:\d+)', broker.log)
        with page_of(broker, "--metrics", metrics) as page:
            assert "Faults, as commanded" not in page.ask("/connections").body
            broker.faults.drop(client_id=HOSTILE)
            broker.faults.error("NOT_LEADER_OR_FOLLOWER", topic="orders").remove()
            body = page.ask("/connections").body
            assert "Faults, as commanded" in body
            assert "NOT_LEADER_OR_FOLLOWER" in body
            assert HOSTILE not in body
