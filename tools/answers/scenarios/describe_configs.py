"""DescribeConfigs: every key of brokers, topics, groups, and where its value comes from."""

from __future__ import annotations

from typing import Any

from kproto.messages.describe_configs import DescribeConfigsRequest, DescribeConfigsResource
from tools.answers.scenario import scenario
from tools.answers.stage import Stage

TOPIC, BROKER, LOGGER, CLIENT_METRICS, GROUP = 2, 4, 8, 16, 32


def describe(kind: int, name: str, *keys: str, **fields: Any) -> DescribeConfigsRequest:
    """Ask for one resource; no keys stands for all."""
    resource = DescribeConfigsResource(
        resource_type=kind, resource_name=name, configuration_keys=list(keys) if keys else None
    )
    return DescribeConfigsRequest(resources=[resource], **fields)


@scenario(DescribeConfigsRequest)
def topics(stage: Stage) -> None:
    topic = stage.topic("t", cleanup_policy="compact")
    stage.ask("all", describe(TOPIC, topic.name))
    stage.ask("all with synonyms", describe(TOPIC, topic.name, include_synonyms=True))
    if stage.version >= 3:
        stage.ask("all with documentation", describe(TOPIC, topic.name, include_documentation=True))
    stage.ask("two", describe(TOPIC, topic.name, "retention.ms", "cleanup.policy"))
    stage.ask("unknown key", describe(TOPIC, topic.name, "no.such.key"))
    stage.ask("known and unknown key", describe(TOPIC, topic.name, "retention.ms", "no.such.key"))
    stage.ask("the same key twice", describe(TOPIC, topic.name, "retention.ms", "retention.ms"))
    stage.ask("unknown topic", describe(TOPIC, stage.name("unknown")))
    stage.ask("an empty name", describe(TOPIC, ""))
    stage.ask("a bad name", describe(TOPIC, "what is this?"))
    stage.ask("internal", describe(TOPIC, "__consumer_offsets", include_synonyms=True))
    empty = DescribeConfigsResource(resource_type=TOPIC, resource_name=topic.name, configuration_keys=[])
    stage.ask("an empty list of keys", DescribeConfigsRequest(resources=[empty]))
    stage.ask("nothing", DescribeConfigsRequest())
    stage.ask("the same twice", DescribeConfigsRequest(resources=[empty, empty]))


@scenario(DescribeConfigsRequest)
def brokers(stage: Stage) -> None:
    stage.ask("all", describe(BROKER, "1"))
    stage.ask("all with synonyms", describe(BROKER, "1", include_synonyms=True))
    if stage.version >= 3:
        stage.ask("all with documentation", describe(BROKER, "1", include_documentation=True))
    stage.ask("two", describe(BROKER, "1", "log.retention.ms", "num.partitions"))
    stage.ask("unknown key", describe(BROKER, "1", "no.such.key"))
    stage.ask("of all brokers", describe(BROKER, "", include_synonyms=True))
    for name in ("2", "-1", "01", "what", "1.0"):
        stage.ask(f"named {name}", describe(BROKER, name))


@scenario(DescribeConfigsRequest)
def other_resources(stage: Stage) -> None:
    group = stage.name("g")
    stage.ask("a group", describe(GROUP, group))
    stage.ask("a group with synonyms", describe(GROUP, group, include_synonyms=True))
    stage.ask("an empty group", describe(GROUP, ""))
    stage.ask("loggers of another broker", describe(LOGGER, "2"))
    stage.ask("loggers of no number", describe(LOGGER, "what"))
    stage.ask("a subscription to metrics", describe(CLIENT_METRICS, stage.name("m")))
    stage.ask("an empty subscription", describe(CLIENT_METRICS, ""))
    for kind in (0, 1, 3, 5, 64, 127, -1):
        stage.ask(f"type {kind}", describe(kind, "x"))
    stage.ask(
        "good and bad",
        DescribeConfigsRequest(
            resources=[
                DescribeConfigsResource(resource_type=GROUP, resource_name=group, configuration_keys=None),
                DescribeConfigsResource(
                    resource_type=TOPIC, resource_name=stage.name("unknown"), configuration_keys=None
                ),
            ]
        ),
    )
