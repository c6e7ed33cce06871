"""Spring Boot: what people do with spring-kafka, in one application."""

from __future__ import annotations

import re

from compat_tests.programs.kits import SPRING
from compat_tests.programs.plain import PATIENCE, Plain
from compat_tests.session import eventually

KIT = SPRING
SENT = 30


def test_an_application_does_everything_once(plain: Plain) -> None:
    """Topics are made, three threads share the partitions, batches and replies come, what fails is tried again and then
    put aside"""
    with plain.running("App", plain.bootstrap) as app:

        def said(pattern: str) -> list[str]:
            return [found[1] for line in app.lines() if (found := re.fullmatch(f"> {pattern}", line))]

        def done() -> bool:
            assert not app.ended, app.log()[-3000:]
            return len(said(r"work (\w+) .*")) >= SENT and bool(said("dead (.*)")) and bool(said("(started)"))

        eventually(done, "all that is to be said", PATIENCE)
        assert app.close() == 0, app.log()[-3000:]
        assert said(r"topics (\d+)") == ["3"]
        assert sorted(said(r"work (\w+) .*")) == sorted(f"w{number}" for number in range(SENT))
        assert set(said(r"work .* of partition (\d)(?: .*)?")) == {"0", "1", "2"}
        assert len(set(said(r"work .* in (.*)"))) == 3
        assert ",".join(said("batch (.*)")).split(",") == [f"b{number}" for number in range(SENT)]
        assert said("answer (.*)") == ["HOW ARE YOU"]
        assert said("attempt at (.*)") == [f"poison from spring.failing{retry}" for retry in ("", "-retry", "-retry")]
        assert said("dead (.*)") == ["poison from spring.failing-dlt"]
        assert said("(closed)") == ["closed"]
