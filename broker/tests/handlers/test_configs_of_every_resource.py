"""Configs of every kind of resource: each change is seen at once and after a restart, a dry run never."""

from __future__ import annotations

from typing import Final, NamedTuple, cast

import pytest

from broker.admin.config_changes import Operation
from broker.admin.config_description import ConfigSource
from broker.coordinators.cluster import NewTopic, ResourceType
from broker.testing.contexts import World, versions_of, world
from kproto.errors import ErrorCode
from kproto.messages.describe_configs import (
    DescribeConfigsRequest,
    DescribeConfigsResource,
    DescribeConfigsResourceResult,
)
from kproto.messages.incremental_alter_configs import (
    AlterableConfig,
    AlterConfigsResource,
    IncrementalAlterConfigsRequest,
)
from storage.engine import LogStore
from storage.memory.engine import MemoryStore
from storage.seams.clock import SystemClock
from storage.seams.entropy import SeededEntropy

ALTER: Final = versions_of(IncrementalAlterConfigsRequest)[-1]
DESCRIBE: Final = versions_of(DescribeConfigsRequest)[-1]
SET, DELETE, APPEND, SUBTRACT = Operation.SET, Operation.DELETE, Operation.APPEND, Operation.SUBTRACT


class Case(NamedTuple):
    """A resource, a number that it can have with its default, and where a value that was set comes from."""

    kind: ResourceType
    name: str
    number: str
    default: str | None
    source: ConfigSource
    items: str | None = None
    """A list that it can have."""
    first: str = ""
    """What that list has by itself."""


CASES: Final = {
    "topic": Case(
        ResourceType.TOPIC, "t", "retention.ms", "604800000", ConfigSource.DYNAMIC_TOPIC_CONFIG, "cleanup.policy",
        "delete",
    ),
    "one broker": Case(
        ResourceType.BROKER, "1", "log.retention.bytes", "-1", ConfigSource.DYNAMIC_BROKER_CONFIG,
        "log.cleanup.policy", "delete",
    ),
    "all brokers": Case(
        ResourceType.BROKER, "", "log.retention.bytes", None, ConfigSource.DYNAMIC_DEFAULT_BROKER_CONFIG,
        "log.cleanup.policy", "delete",
    ),
    "group": Case(
        ResourceType.GROUP, "g", "consumer.session.timeout.ms", "45000", ConfigSource.GROUP_CONFIG,
        "streams.rack.aware.assignment.tags",
    ),
    "metrics": Case(
        ResourceType.CLIENT_METRICS, "m", "interval.ms", "300000", ConfigSource.CLIENT_METRICS_CONFIG,
    ),
}  # fmt: skip
NUMBER: Final = "50000"


def new_store() -> LogStore:
    """A directory without a cluster."""
    return cast(LogStore, MemoryStore(SystemClock(), SeededEntropy(1)))


async def alter(
    w: World, case: Case, key: str, operation: Operation, value: str | None = None, *, only_try: bool = False
) -> ErrorCode:
    """Change one config."""
    config = AlterableConfig(name=key, config_operation=operation, value=value)
    resource = AlterConfigsResource(resource_type=case.kind, resource_name=case.name, configs=[config])
    reply = await w.ask(IncrementalAlterConfigsRequest(resources=[resource], validate_only=only_try), ALTER)
    return ErrorCode(reply.responses[0].error_code)


async def described(w: World, case: Case, key: str) -> DescribeConfigsResourceResult | None:
    """What is said of one config; None where nothing is."""
    resource = DescribeConfigsResource(resource_type=case.kind, resource_name=case.name, configuration_keys=[key])
    reply = await w.ask(DescribeConfigsRequest(resources=[resource], include_synonyms=True), DESCRIBE)
    assert reply.results[0].error_code == 0
    found: list[DescribeConfigsResourceResult] = list(reply.results[0].configs)
    return found[0] if found else None


async def value(w: World, case: Case, key: str) -> str | None:
    """A config's value."""
    found = await described(w, case, key)
    return None if found is None else found.value


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
async def test_a_value_is_seen_at_once_and_after_a_restart(case: Case) -> None:
    """With its source and the value that it hides; when it is deleted, that one is back."""
    store = new_store()
    async with world(store=store) as w:
        await w.cluster.create_topics([NewTopic("t")])
        assert await value(w, case, case.number) == case.default
        assert await alter(w, case, case.number, SET, NUMBER, only_try=True) is ErrorCode.NONE
        assert await value(w, case, case.number) == case.default
        assert await alter(w, case, case.number, SET, NUMBER) is ErrorCode.NONE
        now = await described(w, case, case.number)
        assert now is not None and (now.value, now.config_source) == (NUMBER, case.source)
        assert [synonym.value for synonym in now.synonyms][:1] == [NUMBER]
    async with world(store=store) as w:
        assert await described(w, case, case.number) == now
        assert await alter(w, case, case.number, DELETE) is ErrorCode.NONE
        assert await value(w, case, case.number) == case.default
    async with world(store=store) as w:
        assert await value(w, case, case.number) == case.default


@pytest.mark.parametrize("case", [case for case in CASES.values() if case.items], ids=lambda case: case.source.name)
async def test_a_list_is_added_to_and_taken_from(case: Case) -> None:
    """It begins with its default; an item is there once."""
    assert case.items is not None
    async with world() as w:
        await w.cluster.create_topics([NewTopic("t")])
        before = [case.first] if case.first else []
        for item in ("compact", "compact"):
            assert await alter(w, case, case.items, APPEND, item) is ErrorCode.NONE
        assert await value(w, case, case.items) == ",".join([*before, "compact"])
        assert await alter(w, case, case.items, SUBTRACT, case.first or "none") is ErrorCode.NONE
        assert await value(w, case, case.items) == "compact"


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
@pytest.mark.parametrize("operation", [APPEND, SUBTRACT])
async def test_a_number_is_no_list(case: Case, operation: Operation) -> None:
    """INVALID_CONFIG, and nothing changes."""
    async with world() as w:
        await w.cluster.create_topics([NewTopic("t")])
        assert await alter(w, case, case.number, operation, "1") is ErrorCode.INVALID_CONFIG
        assert await value(w, case, case.number) == case.default


async def test_a_broker_goes_before_all_brokers() -> None:
    """And all brokers before the file; what goes is the next one's turn."""
    one, all_brokers = CASES["one broker"], CASES["all brokers"]
    async with world({"log.retention.bytes": "70000"}) as w:
        await alter(w, all_brokers, one.number, SET, "60000")
        await alter(w, one, one.number, SET, NUMBER)
        found = await described(w, one, one.number)
        assert found is not None
        assert [synonym.value for synonym in found.synonyms] == [NUMBER, "60000", "70000", "-1"]
        await alter(w, one, one.number, DELETE)
        assert await value(w, one, one.number) == "60000"
        await alter(w, all_brokers, one.number, DELETE)
        assert await value(w, one, one.number) == "70000"


async def test_passwords_are_kept_and_never_shown() -> None:
    """Neither the value nor a synonym, before a restart and after it."""
    key, store = "listener.name.other.ssl.keystore.password", new_store()
    case = CASES["one broker"]
    for _ in range(2):
        async with world(store=store) as w:
            assert await alter(w, case, key, SET, "not to be seen") is ErrorCode.NONE
            found = await described(w, case, key)
            assert found is not None and found.is_sensitive
            assert {found.value, *(synonym.value for synonym in found.synonyms)} == {None}
