"""`ottla configs`: read and change configs of topics, brokers, groups and client metrics, as `kafka-configs.sh` does.

    ottla configs describe --topic orders                     what was set for it
    ottla configs describe --broker 1 --all                   everything, with where each value comes from
    ottla configs alter --topic orders --add-config retention.ms=60000,cleanup.policy=[compact,delete]
    ottla configs alter --broker-defaults --delete-config log.retention.ms
    ottla configs describe --entity-type groups --entity-name payments

Credentials of users are `ottla users`, quotas are `ottla quotas`.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from tools.actions import Action, Options, run_action, verb_parser
from tools.client.cluster import Cluster
from tools.client.configs import (
    OWN_SOURCES,
    SOURCES,
    Config,
    ResourceType,
    alter_configs,
    describe_configs,
)
from tools.client.properties import properties_of, read_properties
from tools.client.topics import topic_names
from tools.failures import Misunderstood
from tools.output.tables import Table, show

ENTITY_TYPES = {
    "topics": ResourceType.TOPIC,
    "brokers": ResourceType.BROKER,
    "broker-loggers": ResourceType.BROKER_LOGGER,
    "client-metrics": ResourceType.CLIENT_METRICS,
    "groups": ResourceType.GROUP,
}
ELSEWHERE = {
    "users": "ottla users has credentials, ottla quotas has quotas",
    "clients": "ottla quotas has quotas",
    "ips": "ottla quotas has quotas",
}


class Entity(NamedTuple):
    """A resource as it is named in Kafka's lines; a name of "" is the default of all brokers."""

    kind: ResourceType
    name: str

    def __str__(self) -> str:
        word = next(word for word, kind in ENTITY_TYPES.items() if kind is self.kind).removesuffix("s")
        return f"{word} {self.name}" if self.name else "brokers in the cluster"


def main(arguments: Sequence[str]) -> int:
    """Do what was asked for and return the exit status. Raises Failed."""
    return run_action(parser(), ACTIONS, arguments)


def parser() -> argparse.ArgumentParser:
    """All words of `ottla configs`."""
    return verb_parser("ottla configs", "Read and change configs.", ACTIONS)


def describe(options: Options) -> None:
    """Configs with where they come from."""
    with Cluster(properties_of(options)) as cluster:
        kind, name = _entity(options)
        names = [name] if name is not None else _all(cluster, kind)
        found = describe_configs(cluster, kind, names, synonyms=True)
    entities = {Entity(kind, each): _chosen(kind, each, configs, options) for each, configs in found.items()}
    rows = [
        (str(entity), config.name, config.value, SOURCES.get(config.source, str(config.source)), config.sensitive)
        for entity, configs in entities.items()
        for config in configs
    ]
    columns = ("ENTITY", "NAME", "VALUE", "SOURCE", "SENSITIVE")
    show(Table(columns, rows), as_json=options.json, lines=_kafka_lines(entities, every=options.all))


def alter(options: Options) -> None:
    """Set, delete, append to and subtract from configs."""
    kind, name = _entity(options)
    if name is None:
        raise Misunderstood("which one? An alteration needs a name, or --broker-defaults")
    put = read_properties(options.add_config_file) if options.add_config_file else {}
    put.update(pair for word in options.add_config for pair in parse_pairs(word))
    delete = [key.strip() for word in options.delete_config for key in word.split(",") if key.strip()]
    append = dict(pair for word in options.append_config for pair in parse_pairs(word))
    subtract = dict(pair for word in options.subtract_config for pair in parse_pairs(word))
    if not (put or delete or append or subtract):
        raise Misunderstood("nothing to change: --add-config, --delete-config, --append-config or --subtract-config")
    with Cluster(properties_of(options)) as cluster:
        alter_configs(
            cluster, kind, name, put=put, delete=delete, append=append, subtract=subtract, validate_only=options.dry_run
        )
    entity = Entity(kind, name)
    line = f"{entity} would be changed." if options.dry_run else f"Completed updating config for {entity}."
    show(Table(("ENTITY",), [(str(entity),)]), as_json=options.json, lines=[line])


def parse_pairs(text: str) -> list[tuple[str, str]]:
    """Kafka's `k1=v1,k2=[v1,v2],k3=v3`: a value with commas stands in brackets. Raises Misunderstood."""
    pairs: list[tuple[str, str]] = []
    rest = text
    while rest.strip():
        key, equals, rest = rest.partition("=")
        if not equals or not key.strip():
            raise Misunderstood(f"{text} is not of the form KEY=VALUE,KEY=[VALUE,VALUE]")
        if rest.lstrip().startswith("["):
            value, bracket, rest = rest.lstrip()[1:].partition("]")
            if not bracket or (rest.strip() and not rest.lstrip().startswith(",")):
                raise Misunderstood(f"{text} has a bracket that is not closed")
            rest = rest.lstrip().removeprefix(",")
        else:
            value, _, rest = rest.partition(",")
        pairs.append((key.strip(), value.strip()))
    return pairs


def _entity(options: Options) -> tuple[ResourceType, str | None]:
    """What the options name; None: all of that type."""
    short = {
        ResourceType.TOPIC: options.topic,
        ResourceType.BROKER: options.broker,
        ResourceType.BROKER_LOGGER: options.broker_logger,
        ResourceType.GROUP: options.group,
        ResourceType.CLIENT_METRICS: options.client_metrics,
    }
    named = [(kind, name) for kind, name in short.items() if name is not None]
    if options.broker_defaults:
        named.append((ResourceType.BROKER, ""))
    if options.entity_type is not None:
        if options.entity_type in ELSEWHERE:
            raise Misunderstood(f"{options.entity_type} are not here: {ELSEWHERE[options.entity_type]}")
        if options.entity_type not in ENTITY_TYPES:
            raise Misunderstood(f"--entity-type is {options.entity_type}; there are {', '.join(ENTITY_TYPES)}")
        name = "" if options.entity_default else options.entity_name
        named.append((ENTITY_TYPES[options.entity_type], name))
    if len(named) != 1:
        raise Misunderstood("name one thing: --topic, --broker, --broker-defaults, --group ..., or --entity-type")
    return named[0]


def _all(cluster: Cluster, kind: ResourceType) -> list[str]:
    if kind is ResourceType.TOPIC:
        return topic_names(cluster)
    if kind in (ResourceType.BROKER, ResourceType.BROKER_LOGGER):
        return [str(node.id) for node in cluster.nodes()]
    from kproto.messages.list_config_resources import ListConfigResourcesRequest

    reply = cluster.ask(ListConfigResourcesRequest(resource_types=[kind]))
    return sorted(each.resource_name for each in reply.config_resources)


def _chosen(kind: ResourceType, name: str, configs: Sequence[Config], options: Options) -> list[Config]:
    own = {3} if kind is ResourceType.BROKER and not name else OWN_SOURCES[kind]
    return [config for config in configs if options.all or config.source in own]


def _kafka_lines(entities: dict[Entity, list[Config]], *, every: bool) -> Iterator[str]:
    """The lines of `kafka-configs.sh --describe`."""
    for entity, configs in entities.items():
        what = "All configs" if every else "Dynamic configs"
        yield f"{what} for {entity} are:" if entity.name else "Default configs for brokers in the cluster are:"
        for config in configs:
            synonyms = ", ".join(
                f"{SOURCES.get(source, source)}:{name}={value}" for source, name, value in config.synonyms
            )
            sensitive = str(config.sensitive).lower()
            yield f"  {config.name}={config.value} sensitive={sensitive} synonyms={{{synonyms}}}"


def _entity_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-t", "--topic", metavar="TOPIC", help="a topic")
    parser.add_argument("--broker", metavar="ID", help="a broker")
    parser.add_argument("--broker-defaults", action="store_true", help="what holds for all brokers")
    parser.add_argument("--broker-logger", metavar="ID", help="the levels of a broker's log")
    parser.add_argument("-G", "--group", metavar="GROUP", help="a group")
    parser.add_argument("--client-metrics", metavar="NAME", help="a subscription to metrics of clients")
    parser.add_argument("--entity-type", metavar="TYPE", help=f"in Kafka's way: {', '.join(ENTITY_TYPES)}")
    parser.add_argument("--entity-name", metavar="NAME", help="which one; without it all are described")
    parser.add_argument("--entity-default", action="store_true", help="what holds for all brokers")


def _describe_options(parser: argparse.ArgumentParser) -> None:
    _entity_options(parser)
    parser.add_argument("--all", action="store_true", help="also what nothing was set for")


def _alter_options(parser: argparse.ArgumentParser) -> None:
    _entity_options(parser)
    pairs = "KEY=VALUE,..."
    parser.add_argument("--add-config", action="append", default=[], metavar=pairs, help="set; KEY=[A,B] for a list")
    parser.add_argument("--add-config-file", metavar="FILE", help="set what a properties file has")
    parser.add_argument("--delete-config", action="append", default=[], metavar="KEY,...", help="back to the default")
    parser.add_argument("--append-config", action="append", default=[], metavar=pairs, help="add to a list")
    parser.add_argument("--subtract-config", action="append", default=[], metavar=pairs, help="take from a list")
    parser.add_argument("--dry-run", action="store_true", help="change nothing, only say whether it could be done")


ACTIONS = {
    "describe": Action(describe, _describe_options, "show configs and where they come from"),
    "alter": Action(alter, _alter_options, "set, delete, append to and subtract from configs"),
}
