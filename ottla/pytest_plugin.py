"""The pytest plugin: a test that asks for the fixture `ottla_broker` gets a running broker.

Fixtures:

=========================  ==========================================================================================
`ottla_broker`             a broker (`ottla.Broker`) in a process of its own, its data in memory
`ottla_topic`              the name of a new topic of one partition, named after the test
`ottla_topics`             makes more of them: `ottla_topics("orders", partitions=3, config={...})`
`ottla_kafka_python`       settings for kafka-python: dictionaries `.producer`, `.consumer`, `.common`
`ottla_confluent_kafka`    the same for confluent-kafka
`ottla_aiokafka`           the same for aiokafka
=========================  ==========================================================================================

**How long a broker lives** is said by `ottla_scope` in pytest's ini file, or `--ottla-scope`:

=========================  ==========================================================================================
`session`                  one for the whole run; tests use topics of their own (the default)
`reset`                    one for the whole run, empty at the beginning of each test that asks for it
`module`, `class`, `test`  one for each
=========================  ==========================================================================================

Settings go into the ini file too, one per line, in Kafka's names:

    [tool.pytest.ini_options]
    ottla_scope = "reset"
    ottla_config = ["num.partitions=3"]

**pytest-xdist**: each worker has a broker of its own. With `--ottla-shared` all of them have one, which is started by
the process that starts the workers; it cannot be reset or stopped by a test.

The end of the broker's log, as far as it was written during the test, is a section of the report of a test that fails.

pytest imports this module in every run of every project that has Ottla installed, so it imports next to nothing.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Generator, Iterator
from typing import TYPE_CHECKING, Any, cast

import pytest

if TYPE_CHECKING:
    from ottla.client_settings import ClientSettings
    from ottla.process import Broker

SCOPES = ("session", "reset", "module", "class", "test")
SECTION = "log of the ottla broker"
_SHARED = "ottla_shared_broker"
_RUNNING: pytest.StashKey[list[Broker]] = pytest.StashKey()
_BEGINNINGS: pytest.StashKey[dict[int, int]] = pytest.StashKey()  # lines of each broker's log when the test began


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addini("ottla_config", "broker settings of the fixture ottla_broker, key=value", type="linelist", default=[])
    parser.addini("ottla_scope", f"how long a broker of ottla_broker lives: {', '.join(SCOPES)}", default="session")
    group = parser.getgroup("ottla")
    group.addoption("--ottla-scope", choices=SCOPES, help="how long a broker of the fixture ottla_broker lives")
    group.addoption("--ottla-shared", action="store_true", help="one broker for all workers of pytest-xdist")


def scope_of(config: pytest.Config) -> str:
    """How long a broker lives, a word of SCOPES. Raises UsageError."""
    scope: str = config.getoption("--ottla-scope") or config.getini("ottla_scope")
    if scope not in SCOPES:
        raise pytest.UsageError(f"ottla_scope is {scope!r}, and may be {', '.join(SCOPES)}")
    return scope


def settings_of(config: pytest.Config) -> dict[str, str]:
    """The settings of brokers. Raises UsageError."""
    settings = {}
    for line in config.getini("ottla_config"):
        key, separator, value = line.partition("=")
        if not separator:
            raise pytest.UsageError(f"ottla_config: {line!r} is not of the form key=value")
        settings[key.strip()] = value.strip()
    return settings


def _fixture_scope(fixture_name: str, config: pytest.Config) -> Any:
    """In pytest's words."""
    return {"reset": "function", "test": "function"}.get(scope := scope_of(config), scope)


@pytest.fixture(scope=_fixture_scope)
def ottla_broker(request: pytest.FixtureRequest, pytestconfig: pytest.Config) -> Iterator[Broker]:
    """A broker in a process of its own, in memory; `ottla_broker.bootstrap_servers` is where it listens."""
    if scope_of(pytestconfig) == "reset":
        broker = request.getfixturevalue("_ottla_broker_to_reset")
        broker.reset()
        yield broker
        return
    yield from _broker(pytestconfig)


@pytest.fixture(scope="session")
def _ottla_broker_to_reset(pytestconfig: pytest.Config) -> Iterator[Broker]:
    yield from _broker(pytestconfig)


def _broker(config: pytest.Config) -> Iterator[Broker]:
    shared = getattr(config, "workerinput", {}).get(_SHARED)
    if shared is not None:
        from ottla.shared_broker import SharedBroker

        yield cast("Broker", SharedBroker(*shared))  # all of a Broker that a worker may use
        return
    from ottla.process import Broker

    with Broker(config=settings_of(config)) as broker:
        brokers = config.stash.setdefault(_RUNNING, [])
        brokers.append(broker)
        yield broker
        brokers.remove(broker)


@pytest.fixture
def ottla_topics(request: pytest.FixtureRequest, ottla_broker: Broker) -> Callable[..., str]:
    """Makes topics whose names are no other's: called with how the name begins, and `partitions` and `config`."""

    def make(name: str = request.node.name, **options: Any) -> str:
        return ottla_broker.new_topic(name, **options)

    return make


@pytest.fixture
def ottla_topic(ottla_topics: Callable[..., str]) -> str:
    """The name of a new topic of one partition."""
    return ottla_topics(partitions=1)


@pytest.fixture
def ottla_kafka_python(ottla_broker: Broker) -> ClientSettings:
    """What clients of kafka-python are given: `KafkaProducer(**ottla_kafka_python.producer)`."""
    return _settings("kafka-python", ottla_broker)


@pytest.fixture
def ottla_confluent_kafka(ottla_broker: Broker) -> ClientSettings:
    """What clients of confluent-kafka are given: `Producer(ottla_confluent_kafka.producer)`."""
    return _settings("confluent-kafka", ottla_broker)


@pytest.fixture
def ottla_aiokafka(ottla_broker: Broker) -> ClientSettings:
    """What clients of aiokafka are given: `AIOKafkaProducer(**ottla_aiokafka.producer)`."""
    return _settings("aiokafka", ottla_broker)


def _settings(library: str, broker: Broker) -> ClientSettings:
    from ottla.client_settings import settings

    return settings(library, broker.bootstrap_servers)


# -- the log of a test that fails --------------------------------------------------------------------------------------


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    item.stash[_BEGINNINGS] = {id(broker): broker.log_lines for broker in item.config.stash.get(_RUNNING, [])}


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.failed and "ottla.process" in sys.modules:
        broker = _broker_of(item)
        beginnings = item.stash.get(_BEGINNINGS, {})
        if broker is not None and (log := broker.log_since(beginnings.get(id(broker), 0))):
            report.sections.append((SECTION, log))
    return report


def _broker_of(item: pytest.Item) -> Broker | None:
    """The broker that the test has: of the fixture, or of its test case (`ottla/cases.py`)."""
    from ottla.process import Broker

    found = getattr(item, "funcargs", {}).get("ottla_broker")
    if found is None:
        found = getattr(getattr(item, "instance", None) or getattr(item, "cls", None), "broker", None)
    return found if isinstance(found, Broker) else None


# -- one broker for all workers of xdist -------------------------------------------------------------------------------


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """In the process that starts workers, before each of them."""
    config: pytest.Config = node.config
    if not config.getoption("--ottla-shared"):
        return
    if scope_of(config) == "reset":
        raise pytest.UsageError("a broker that all workers share cannot be reset: choose another ottla_scope")
    broker: Broker | None = getattr(config, _SHARED, None)
    if broker is None:
        from ottla.process import Broker

        broker = Broker(config=settings_of(config))
        broker.start()
        setattr(config, _SHARED, broker)
        config.add_cleanup(broker.stop)
    node.workerinput[_SHARED] = (broker.host, broker.port)
