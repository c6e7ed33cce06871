"""The pytest plugin: a test that asks for the fixture `ottla_broker` gets a running broker.

One broker serves the whole test run (under pytest-xdist: one per worker). It keeps its data in memory; tests that must
not see each other's topics use names of their own. Settings go into pytest's ini file, one per line, in Kafka's names:

    [tool.pytest.ini_options]
    ottla_config = ["num.partitions=3"]

pytest imports this module in every run of every project that has Ottla installed, so it imports next to nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from ottla.process import Broker


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addini("ottla_config", "broker settings of the fixture ottla_broker, key=value", type="linelist", default=[])


@pytest.fixture(scope="session")
def ottla_broker(pytestconfig: pytest.Config) -> Iterator[Broker]:
    """A broker in a process of its own, in memory; `ottla_broker.bootstrap_servers` is where it listens."""
    from ottla.process import Broker

    lines: list[str] = pytestconfig.getini("ottla_config")
    settings = {}
    for line in lines:
        key, separator, value = line.partition("=")
        if not separator:
            raise pytest.UsageError(f"ottla_config: {line!r} is not of the form key=value")
        settings[key.strip()] = value.strip()
    with Broker(config=settings) as broker:
        yield broker
