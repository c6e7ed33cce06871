"""GetTelemetrySubscriptions and PushTelemetry of a broker without a plugin: answered, though it lists neither."""

from __future__ import annotations

import hashlib
from typing import Any

from kproto.messages.get_telemetry_subscriptions import GetTelemetrySubscriptionsRequest
from kproto.messages.push_telemetry import PushTelemetryRequest
from tools.answers.scenario import scenario
from tools.answers.scenarios.alter_configs import DELETE, SET, alter
from tools.answers.scenarios.describe_configs import CLIENT_METRICS
from tools.answers.stage import Stage

ZERO, ONE = bytes(16), bytes(15) + b"\1"


def some_id(stage: Stage, name: str) -> bytes:
    """An id of this scenario and version, the same for both brokers."""
    return hashlib.sha256(f"{stage.version} {name}".encode()).digest()[:16]


def ask(client: bytes) -> GetTelemetrySubscriptionsRequest:
    return GetTelemetrySubscriptionsRequest(client_instance_id=client)


def push(client: bytes, subscription_id: int, **fields: Any) -> PushTelemetryRequest:
    return PushTelemetryRequest(client_instance_id=client, subscription_id=subscription_id, **fields)


@scenario(GetTelemetrySubscriptionsRequest)
def without_subscriptions(stage: Stage) -> None:
    """The default interval, and no metrics."""
    client = some_id(stage, "a")
    stage.ask("a new client", ask(ZERO))
    stage.ask("a client with an id", ask(client))
    stage.ask("again", ask(client))
    stage.ask("a reserved id", ask(ONE))


@scenario(GetTelemetrySubscriptionsRequest)
def with_subscriptions(stage: Stage) -> None:
    """Those that match, together; a change lets a client ask again."""
    client = some_id(stage, "b")
    names = [stage.name(each) for each in ("one", "two", "three")]
    stage.ask("before", ask(client))
    stage.ask(
        "set",
        alter(CLIENT_METRICS, names[0], ("metrics", SET, "org.apache.a"), ("interval.ms", SET, "60000")),
    )
    stage.settle()
    stage.ask("one", ask(client))
    stage.ask("one again", ask(client))
    stage.ask("set 2", alter(CLIENT_METRICS, names[1], ("metrics", SET, "*"), ("match", SET, "client_id=no.*")))
    stage.settle()
    stage.ask("another's", ask(client))
    stage.ask(
        "set 3",
        alter(CLIENT_METRICS, names[2], ("metrics", SET, "*"), ("match", SET, "client_source_address=127[.]0.*")),
    )
    stage.settle()
    stage.ask("all", ask(client))
    for name, keys in zip(names, (("metrics", "interval.ms"), ("metrics", "match"), ("metrics", "match")), strict=True):
        stage.ask(f"deleted {names.index(name)}", alter(CLIENT_METRICS, name, *((key, DELETE, None) for key in keys)))
    stage.settle()
    stage.ask("after", ask(client))


@scenario(PushTelemetryRequest)
def pushes(stage: Stage) -> None:
    """Checked, and thrown away."""
    client = some_id(stage, "c")
    known: Any = stage.ask("asked", ask(client))
    found = known.subscription_id
    stage.ask("a push", push(client, found, metrics=b"nonsense"))
    stage.ask("too early", push(client, found))
    stage.ask("the last", push(client, found, terminating=True))
    stage.ask("after the last", push(client, found))
    stage.ask("after that", push(client, found, terminating=True))
    for name, fields in {
        "another subscription": {"subscription_id": found + 1},
        "no codec": {"subscription_id": found, "compression_type": 9},
        "a negative codec": {"subscription_id": found, "compression_type": -1},
        "large": {"subscription_id": found, "metrics": bytes(1_048_576)},
        "too large": {"subscription_id": found, "metrics": bytes(1_048_577)},
        "nonsense in a codec": {"subscription_id": found, "compression_type": 4, "metrics": b"nonsense"},
        "nothing": {"subscription_id": found},
    }.items():
        one = some_id(stage, name)
        given = stage.ask(f"{name}, asked", ask(one))
        fields = {**fields, "subscription_id": given.subscription_id + fields["subscription_id"] - found}
        stage.ask(name, push(one, **fields))
    stage.ask("zeros", push(ZERO, found))
    stage.ask("reserved", push(ONE, found))
    stage.ask("unknown", push(some_id(stage, "d"), found))
