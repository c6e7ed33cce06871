"""A page that outlives its broker."""

from __future__ import annotations

from pathlib import Path

import ottla
from tools.tests.page.conftest import page_of


def test_a_page_finds_its_broker_again(tmp_path: Path) -> None:
    """While it is away a view says so; when it is back, the first view shows it."""
    with ottla.Broker(data=tmp_path / "data") as broker, page_of(broker) as served:
        assert served.ask("/topics").status == 200
        broker.restart()
        assert served.ask("/topics").status == 200
        broker.kill()
        answer = served.ask("/")
        assert answer.status == 502
        assert "no broker answers at" in answer.body
        broker.restart()
        assert served.ask("/").status == 200
