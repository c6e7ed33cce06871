"""DescribeClientQuotas and AlterClientQuotas: what can be said about whom, what is refused, and what is listed."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf, nan

from kproto.messages.alter_client_quotas import AlterClientQuotasRequest, EntityData, OpData, RequestEntryData
from kproto.messages.create_partitions import CreatePartitionsRequest, CreatePartitionsTopic
from kproto.messages.create_topics import CreatableTopic, CreateTopicsRequest
from kproto.messages.delete_topics import DeleteTopicsRequest
from kproto.messages.describe_client_quotas import ComponentData, DescribeClientQuotasRequest
from tools.answers.scenario import scenario
from tools.answers.stage import Stage

EXACT, DEFAULT, SPECIFIED = 0, 1, 2
PRODUCE, FETCH, PERCENTAGE = "producer_byte_rate", "consumer_byte_rate", "request_percentage"
MUTATIONS, CONNECTIONS = "controller_mutation_rate", "connection_creation_rate"
Part = tuple[str, str | None]
Change = tuple[str, float | None]


def entry(parts: Sequence[Part], *changes: Change) -> RequestEntryData:
    """Changes of one entity."""
    return RequestEntryData(
        entity=[EntityData(entity_type=kind, entity_name=name) for kind, name in parts],
        ops=[OpData(key=key, value=value or 0.0, remove=value is None) for key, value in changes],
    )


def alter(*entries: RequestEntryData, only_try: bool = False) -> AlterClientQuotasRequest:
    """Change quotas."""
    return AlterClientQuotasRequest(entries=list(entries), validate_only=only_try)


def describe(*components: tuple[str, int, str | None], strict: bool = False) -> DescribeClientQuotasRequest:
    """List quotas."""
    return DescribeClientQuotasRequest(
        components=[ComponentData(entity_type=kind, match_type=how, match=name) for kind, how, name in components],
        strict=strict,
    )


@scenario(AlterClientQuotasRequest)
def changes(stage: Stage) -> None:
    """Of one user: set, changed, tried, removed, and seen in between."""
    user = ("user", stage.name("u"))
    seen = describe(("user", EXACT, user[1]))

    def change(step: str, *changes: Change, only_try: bool = False) -> None:
        stage.ask(step, alter(entry([user], *changes), only_try=only_try))
        stage.settle()
        stage.ask(f"{step}, seen", seen)

    change("nothing")
    change("set", (PRODUCE, 1000.0), (FETCH, 2000.0))
    change("set another", (PERCENTAGE, 12.5), (MUTATIONS, 0.25))
    change("set again", (PRODUCE, 1000.0))
    change("changed", (PRODUCE, 3000.0))
    change("tried", (PRODUCE, 4000.0), only_try=True)
    change("tried badly", (PRODUCE, 0.0), only_try=True)
    change("a key twice", (PRODUCE, 4000.0), (PRODUCE, 5000.0))
    change("one good, one bad", (PRODUCE, 4000.0), (FETCH, -1.0))
    change("one good, one unknown", (PRODUCE, 4000.0), ("no_such_rate", 1.0))
    change("removed what is not set", (CONNECTIONS, None))
    change("removed what is unknown", ("no_such_rate", None))
    change("removed", (PRODUCE, None))
    change("all removed", (FETCH, None), (PERCENTAGE, None), (MUTATIONS, None))


@scenario(AlterClientQuotasRequest)
def values(stage: Stage) -> None:
    """Numbers that can be, and that cannot."""
    user, address = [("user", stage.name("u"))], [("ip", "10.99.98.97")]
    for key in (PRODUCE, FETCH, PERCENTAGE, MUTATIONS):
        for value in (0.0, -0.0, -1.0, 1.0, 1.5, 1.0000001, 1e18, 2.0**63, 1e19, 1e300, inf, -inf, nan):
            stage.ask(f"{key}={value}", alter(entry(user, (key, value)), only_try=True))
    for value in (0.0, -1.0, 1.0, 1.5, 2.0**31 - 1, 2.0**31, nan):
        stage.ask(f"{CONNECTIONS}={value}", alter(entry(address, (CONNECTIONS, value)), only_try=True))


@scenario(AlterClientQuotasRequest)
def entities(stage: Stage) -> None:
    """Whom quotas can be for."""
    u, c = stage.name("u"), stage.name("c")
    cases: dict[str, list[Part]] = {
        "nothing": [],
        "user": [("user", u)],
        "default user": [("user", None)],
        "client": [("client-id", c)],
        "default client": [("client-id", None)],
        "both": [("user", u), ("client-id", c)],
        "both, otherwise": [("client-id", c), ("user", u)],
        "user and default client": [("user", u), ("client-id", None)],
        "default user and client": [("user", None), ("client-id", c)],
        "defaults": [("user", None), ("client-id", None)],
        "a user twice": [("user", u), ("user", stage.name("other"))],
        "empty user": [("user", "")],
        "empty client": [("client-id", "")],
        "unknown kind": [("group", "g")],
        "empty kind": [("", "g")],
        "unknown kind beside a user": [("user", u), ("group", "g")],
        "address": [("ip", "10.1.2.3")],
        "another address": [("ip", "::1")],
        "default address": [("ip", None)],
        "no address": [("ip", "300.1.2.3.4")],
        "empty address": [("ip", "")],
        "address and user": [("ip", "10.1.2.3"), ("user", u)],
        "address and client": [("ip", "10.1.2.3"), ("client-id", c)],
        "strange user": [("user", "a b/ü%\n")],
    }
    for name, parts in cases.items():
        stage.ask(name, alter(entry(parts, (PRODUCE, 1000.0)), only_try=True))
        stage.ask(f"{name}, connections", alter(entry(parts, (CONNECTIONS, 10.0)), only_try=True))
    stage.ask("no entities", alter())
    stage.ask("no entities, tried", alter(only_try=True))


@scenario(AlterClientQuotasRequest)
def several(stage: Stage) -> None:
    """Each is changed on its own."""
    first, second = [("user", stage.name("1"))], [("user", stage.name("2"))]
    good, bad = (PRODUCE, 1000.0), (PRODUCE, 0.0)
    stage.ask("good and bad", alter(entry(first, good), entry(second, bad)))
    stage.ask("the same twice", alter(entry(second, good), entry(second, (PRODUCE, 2000.0))))
    stage.settle()
    stage.ask("seen", describe(("user", EXACT, first[0][1])))
    stage.ask("seen 2", describe(("user", EXACT, second[0][1])))
    stage.ask("removed", alter(entry(first, (PRODUCE, None)), entry(second, (PRODUCE, None))))


@scenario(DescribeClientQuotasRequest)
def filters(stage: Stage) -> None:
    """Which entities each kind of filter lists."""
    u, v, c, d = (stage.name(each) for each in ("u", "v", "c", "d"))
    entities: list[list[Part]] = [
        [("user", u)],
        [("user", v)],
        [("client-id", c)],
        [("user", u), ("client-id", c)],
        [("user", u), ("client-id", d)],
        [("user", v), ("client-id", None)],
    ]
    stage.ask("set", alter(*(entry(parts, (PRODUCE, 1e9 + at)) for at, parts in enumerate(entities))))
    stage.settle()
    asked: dict[str, list[tuple[str, int, str | None]]] = {
        "u": [("user", EXACT, u)],
        "v": [("user", EXACT, v)],
        "c": [("client-id", EXACT, c)],
        "u and c": [("user", EXACT, u), ("client-id", EXACT, c)],
        "c and u": [("client-id", EXACT, c), ("user", EXACT, u)],
        "u and any client": [("user", EXACT, u), ("client-id", SPECIFIED, None)],
        "any user and c": [("user", SPECIFIED, None), ("client-id", EXACT, c)],
        "v and default client": [("user", EXACT, v), ("client-id", DEFAULT, None)],
        "u and default client": [("user", EXACT, u), ("client-id", DEFAULT, None)],
        "unknown": [("user", EXACT, stage.name("unknown"))],
        "an empty name": [("user", EXACT, "")],
    }
    for step, components in asked.items():
        stage.ask(step, describe(*components))
        stage.ask(f"{step}, strictly", describe(*components, strict=True))
    stage.ask("nothing, strictly", describe(strict=True))
    stage.ask("removed", alter(*(entry(parts, (PRODUCE, None)) for parts in entities)))


@scenario(DescribeClientQuotasRequest)
def refusals(stage: Stage) -> None:
    """Filters that make no sense."""
    asked: dict[str, list[tuple[str, int, str | None]]] = {
        "an exact null": [("user", EXACT, None)],
        "a default with a name": [("user", DEFAULT, "u")],
        "any with a name": [("user", SPECIFIED, "u")],
        "match type 3": [("user", 3, None)],
        "match type 3 with a name": [("user", 3, "u")],
        "match type -1": [("user", -1, "u")],
        "an empty kind": [("", EXACT, "u")],
        "an unknown kind": [("group", EXACT, "u")],
        "an unknown kind, wrongly": [("group", 3, None)],
        "a kind twice": [("user", EXACT, "u"), ("user", EXACT, "v")],
        "an unknown kind twice": [("group", EXACT, "u"), ("group", EXACT, "v")],
        "a kind twice, otherwise": [("user", SPECIFIED, None), ("user", DEFAULT, None)],
        "address and user": [("ip", EXACT, "10.1.2.3"), ("user", EXACT, "u")],
        "address and client": [("client-id", SPECIFIED, None), ("ip", DEFAULT, None)],
        "no address": [("ip", EXACT, "what")],
    }
    for step, components in asked.items():
        stage.ask(step, describe(*components))
        stage.ask(f"{step}, strictly", describe(*components, strict=True))


def limited(stage: Stage, rate: float | None) -> None:
    """Let every client of this broker make and remove so many partitions a second; None: what was too much is
    forgiven, and there is no limit any more. (Kafka remembers debts beyond the quota's end.)"""
    if rate is None:
        limited(stage, 1e6)
        free = CreatableTopic(name=stage.name("forgiven"), num_partitions=1, replication_factor=1)
        stage.arrange(CreateTopicsRequest(topics=[free], timeout_ms=10_000, validate_only=True))
    stage.arrange(alter(entry([("user", "ANONYMOUS")], (MUTATIONS, rate))))
    stage.settle()


@scenario(CreateTopicsRequest, since=5, until=6)
def beyond_a_quota(stage: Stage) -> None:
    """Eleven windows' worth is free, and more may be taken while there is some; then a client is refused, or waits."""

    def create(step: str, *counts: int, only_try: bool = False) -> None:
        topics = [
            CreatableTopic(name=stage.name(f"{step}-{at}"), num_partitions=count, replication_factor=1)
            for at, count in enumerate(counts)
        ]
        stage.ask(step, CreateTopicsRequest(topics=topics, timeout_ms=10_000, validate_only=only_try))

    limited(stage, 1.0)
    create("bad", 0, -7)
    create("tried", 6, only_try=True)
    create("made", 6)
    create("refused", 1, 1)
    create("refused and bad", 1, 0)
    create("tried and refused", 1, only_try=True)
    limited(stage, None)
    create("free", 1)


@scenario(CreatePartitionsRequest, since=2, until=3)
def growth_beyond_a_quota(stage: Stage) -> None:
    """By the partitions that are added."""
    topic = stage.topic("t")

    def grow(step: str, count: int, name: str = topic.name, only_try: bool = False) -> None:
        wanted = CreatePartitionsTopic(name=name, count=count, assignments=None)
        stage.ask(step, CreatePartitionsRequest(topics=[wanted], timeout_ms=10_000, validate_only=only_try))

    limited(stage, 1.0)
    grow("an unknown topic", 50, stage.name("unknown"))
    grow("tried", 7, only_try=True)
    grow("grown", 8)
    grow("refused", 9)
    grow("refused and bad", 2)
    limited(stage, None)


@scenario(DeleteTopicsRequest, since=4, until=5)
def deletion_beyond_a_quota(stage: Stage) -> None:
    """By the partitions that go."""
    first, second = stage.topic("1", 12), stage.topic("2")
    limited(stage, 1.0)
    stage.ask("an unknown topic", deletion(stage.name("unknown")))
    stage.ask("deleted", deletion(first.name))
    stage.ask("refused", deletion(second.name))
    stage.ask("refused, unknown", deletion(stage.name("unknown")))
    limited(stage, None)


def deletion(name: str) -> DeleteTopicsRequest:
    """Delete one topic by its name."""
    return DeleteTopicsRequest(topic_names=[name], timeout_ms=10_000)
