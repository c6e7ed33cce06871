"""`ottla VERB ...` in this process, against one broker that all tests of a module share."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Iterator
from typing import Any, NamedTuple, Protocol

import pytest

from ottla import Broker
from tools.__main__ import main

CONFIG = {
    "group.initial.rebalance.delay.ms": 0,
    "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
    "super.users": "User:ANONYMOUS",
}
"""Groups do not wait, and there are ACLs to look at."""


class Ended(NamedTuple):
    """What a command has printed and how it ended."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """What `--json` has printed."""
        return json.loads(self.out)

    @property
    def lines(self) -> list[str]:
        """Standard output, line by line."""
        return self.out.splitlines()


class Ottla(Protocol):
    """Runs the command; `given` is its standard input."""

    def __call__(self, *words: str, succeeds: bool = True, given: str | bytes = b"") -> Ended: ...


@pytest.fixture(scope="module")
def broker() -> Iterator[Broker]:
    """A broker that forgets everything."""
    with Broker(config=CONFIG) as running:
        yield running


@pytest.fixture
def ottla(broker: Broker, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Ottla:
    """The command, whose default address is the broker's."""
    monkeypatch.setenv("OTTLA_BOOTSTRAP_SERVER", broker.bootstrap_servers)

    def run(*words: str, succeeds: bool = True, given: str | bytes = b"") -> Ended:
        data = given.encode() if isinstance(given, str) else given
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data), encoding="utf-8"))
        capsys.readouterr()
        try:
            status = main(words)
        except SystemExit as exited:
            status = int(exited.code or 0)
        ended = Ended(status, *capsys.readouterr())
        assert not succeeds or status == 0, ended.err
        return ended

    return run
