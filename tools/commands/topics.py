"""`ottla topics`: list, create, describe, change and delete topics, as `kafka-topics.sh` does.

    ottla topics list
    ottla topics create orders --partitions 6 --config retention.ms=3600000
    ottla topics describe orders
    ottla topics alter orders --partitions 12 --config retention.ms=60000 --delete-config segment.bytes
    ottla topics delete orders
    ottla topics delete-records orders --before-offset 1000

Sentences and lines are Kafka's where Kafka has one. A name may be a regular expression for whole names where topics are
looked for, never where one is created.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterator, Mapping, Sequence

from kproto.errors import ErrorCode
from kproto.ids import TopicPartition
from kproto.messages.create_partitions import CreatePartitionsRequest, CreatePartitionsTopic
from kproto.messages.create_topics import (
    CreatableReplicaAssignment,
    CreatableTopic,
    CreatableTopicConfig,
    CreateTopicsRequest,
)
from kproto.messages.delete_records import DeleteRecordsPartition, DeleteRecordsRequest, DeleteRecordsTopic
from kproto.messages.delete_topics import DeleteTopicsRequest, DeleteTopicState
from tools.actions import Action, Options, names_from, run_action, verb_parser
from tools.client.cluster import Cluster, Refused, check
from tools.client.configs import DEFAULT_SOURCE, ResourceType, alter_configs, describe_configs
from tools.client.properties import properties_of
from tools.client.topics import DescribedTopic, PartitionPlace, describe_topics, matching, topic_names
from tools.failures import Misunderstood
from tools.output.tables import Table, is_terminal, show, show_json

TIMEOUT_MS = 60_000
MIN_ISR = "min.insync.replicas"


def main(arguments: Sequence[str]) -> int:
    """Do what was asked for and return the exit status. Raises Failed."""
    return run_action(parser(), ACTIONS, arguments)


def parser() -> argparse.ArgumentParser:
    """All words of `ottla topics`."""
    return verb_parser("ottla topics", "List, create, describe, change and delete topics.", ACTIONS)


def list_topics(options: Options) -> None:
    """Names, one a line."""
    with Cluster(properties_of(options)) as cluster:
        wanted = names_from(options.names, options.topic)
        internal = not options.exclude_internal
        names = matching(cluster, wanted, internal=internal) if wanted else topic_names(cluster, internal=internal)
    show(Table(("TOPIC",), [(name,) for name in names]), as_json=options.json, lines=names)


def create(options: Options) -> None:
    """New topics, all alike."""
    names = _wanted(options)
    assignment = parse_assignment(options.replica_assignment) if options.replica_assignment else []
    if assignment and (options.partitions or options.replication_factor):
        raise Misunderstood("--replica-assignment says how many partitions and replicas there are, so nothing else may")
    topics = [
        CreatableTopic(
            name=name,
            num_partitions=-1 if assignment else options.partitions or -1,
            replication_factor=-1 if assignment else options.replication_factor or -1,
            assignments=[
                CreatableReplicaAssignment(partition_index=at, broker_ids=nodes) for at, nodes in enumerate(assignment)
            ],
            configs=[CreatableTopicConfig(name=key, value=value) for key, value in options.config],
        )
        for name in names
    ]
    request = CreateTopicsRequest(topics=topics, timeout_ms=TIMEOUT_MS, validate_only=options.dry_run)
    with Cluster(properties_of(options)) as cluster:
        results = cluster.ask(request).topics
    there = ErrorCode.TOPIC_ALREADY_EXISTS if options.if_not_exists else ErrorCode.NONE
    made = [result for result in results if not result.error_code]
    _report(options, [result.name for result in made], "Created topic {}.", "would be created")
    for result in results:
        if result.error_code != there:
            check(result.error_code, result.error_message)


def describe(options: Options) -> None:
    """Partitions, replicas and what is not Kafka's default."""
    with Cluster(properties_of(options)) as cluster:
        wanted = names_from(options.names, options.topic)
        internal = not options.exclude_internal
        try:
            names = matching(cluster, wanted, internal=internal) if wanted else topic_names(cluster, internal=internal)
        except Refused:
            if options.if_exists:
                return
            raise
        topics = describe_topics(cluster, names) if names else []
        every = describe_configs(cluster, ResourceType.TOPIC, names) if names else {}
    configs = {
        topic: {each.name: each.value for each in found if each.source != DEFAULT_SOURCE}
        for topic, found in every.items()
    }
    least = {topic: int(each.value or 1) for topic, found in every.items() for each in found if each.name == MIN_ISR}
    if options.topics_with_overrides:
        topics = [topic for topic in topics if configs[topic.name]]
    topics = [topic._replace(partitions=_chosen(topic, options, least.get(topic.name, 1))) for topic in topics]
    narrowed = (
        options.under_replicated_partitions
        or options.unavailable_partitions
        or options.under_min_isr_partitions
        or options.at_min_isr_partitions
    )
    if narrowed:
        topics = [topic for topic in topics if topic.partitions]
    if is_terminal(sys.stdout) and not options.json:
        _show_to_a_person(topics, configs)
        return
    show(
        _partition_table(topics, configs), as_json=options.json,
        lines=_kafka_lines(topics, configs, heads=not narrowed, partitions=not options.topics_with_overrides),
    )  # fmt: skip


def alter(options: Options) -> None:
    """More partitions, other configs."""
    if not (options.partitions or options.config or options.delete_config):
        raise Misunderstood("nothing to change: --partitions, --config or --delete-config says what")
    with Cluster(properties_of(options)) as cluster:
        try:
            names = matching(cluster, _wanted(options))
        except Refused:
            if options.if_exists:
                return
            raise
        for name in names:
            if options.config or options.delete_config:
                put = dict(options.config)
                alter_configs(
                    cluster,
                    ResourceType.TOPIC,
                    name,
                    put=put,
                    delete=options.delete_config,
                    validate_only=options.dry_run,
                )
            if options.partitions:
                add_partitions(cluster, name, options.partitions, dry_run=options.dry_run)
    _report(options, names, "Changed topic {}.", "would be changed")


def add_partitions(cluster: Cluster, topic: str, count: int, *, dry_run: bool) -> None:
    """Let a topic have `count` partitions. Raises Refused."""
    asked = CreatePartitionsTopic(name=topic, count=count, assignments=None)
    request = CreatePartitionsRequest(topics=[asked], timeout_ms=TIMEOUT_MS, validate_only=dry_run)
    for result in cluster.ask(request).results:
        check(result.error_code, result.error_message)


def delete(options: Options) -> None:
    """Topics with everything in them."""
    with Cluster(properties_of(options)) as cluster:
        try:
            names = matching(cluster, _wanted(options))
        except Refused:
            if options.if_exists:
                return
            raise
        states = [DeleteTopicState(name=name) for name in names]
        results = cluster.ask(DeleteTopicsRequest(topics=states, timeout_ms=TIMEOUT_MS)).responses
    _report(options, [result.name for result in results if not result.error_code], "Deleted topic {}.", "")
    for result in results:
        check(result.error_code, result.error_message, f"topic {result.name}")


def delete_records(options: Options) -> None:
    """The beginning of partitions."""
    with Cluster(properties_of(options)) as cluster:
        places = [
            TopicPartition(topic, partition)
            for topic, partitions in cluster.partitions_of(_wanted(options)).items()
            for partition in (options.partition or partitions)
        ]
        rows, failure = [], None
        for node, led in cluster.leaders_of(places).items():
            topics: dict[str, DeleteRecordsTopic] = {}
            for place in led:
                topic = topics.setdefault(place.topic, DeleteRecordsTopic(name=place.topic, partitions=[]))
                before = DeleteRecordsPartition(partition_index=place.partition, offset=options.before_offset)
                topic.partitions.append(before)
            if node == -1:
                raise Refused(ErrorCode.LEADER_NOT_AVAILABLE, what=", ".join(map(str, led)))
            request = DeleteRecordsRequest(topics=list(topics.values()), timeout_ms=TIMEOUT_MS)
            for done in cluster.ask(request, node=node).topics:
                for each in done.partitions:
                    if each.error_code:
                        failure = failure or Refused(each.error_code, what=f"{done.name}-{each.partition_index}")
                    else:
                        rows.append((done.name, each.partition_index, each.low_watermark))
    lines = [f"partition: {topic}-{partition}\tlow_watermark: {low}" for topic, partition, low in sorted(rows)]
    show(Table(("TOPIC", "PARTITION", "LOW-WATERMARK"), sorted(rows)), as_json=options.json, lines=lines)
    if failure is not None:
        raise failure


def parse_assignment(text: str) -> list[list[int]]:
    """Kafka's `0:1,1:2`: for each partition its replicas. Raises Misunderstood."""
    if not re.fullmatch(r"\d+(:\d+)*(,\d+(:\d+)*)*", text):
        raise Misunderstood(f"{text} is not of the form NODE:NODE,NODE:NODE, with the replicas of each partition")
    return [[int(node) for node in partition.split(":")] for partition in text.split(",")]


def _wanted(options: Options) -> list[str]:
    wanted = names_from(options.names, options.topic)
    if not wanted:
        raise Misunderstood("which topic? Name one, or --topic")
    return wanted


def _chosen(topic: DescribedTopic, options: Options, least: int) -> list[PartitionPlace]:
    return [
        place
        for place in topic.partitions
        if not (options.under_replicated_partitions and len(place.isr) >= len(place.replicas))
        and not (options.unavailable_partitions and place.leader is not None)
        and not (options.under_min_isr_partitions and len(place.isr) >= least)
        and not (options.at_min_isr_partitions and len(place.isr) != least)
    ]


def _report(options: Options, names: Sequence[str], done: str, would: str) -> None:
    """One line, or one element of an array, for each topic that was worked on."""
    if options.json:
        show_json([{"topic": name} for name in names])
        return
    for name in names:
        print(f"Topic {name} {would}." if getattr(options, "dry_run", False) else done.format(name))


def _partition_table(topics: Sequence[DescribedTopic], configs: Mapping[str, Mapping[str, str | None]]) -> Table:
    columns = ("TOPIC", "TOPIC-ID", "PARTITION", "LEADER", "REPLICAS", "ISR", "ELR", "LAST-KNOWN-ELR", "CONFIGS")
    return Table(
        columns, [(topic.name, topic.id, *place, configs[topic.name]) for topic in topics for place in topic.partitions]
    )


def _show_to_a_person(topics: Sequence[DescribedTopic], configs: Mapping[str, Mapping[str, str | None]]) -> None:
    """Each topic by itself: a line about it, its configs, a table of its partitions."""
    for topic in topics:
        print(f"{topic.name}: id {topic.id}, replication factor {topic.replication_factor}")
        for key, value in configs[topic.name].items():
            print(f"  {key}={value}")
        columns = ("PARTITION", "LEADER", "REPLICAS", "ISR", "ELR", "LAST-KNOWN-ELR")
        show(Table(columns, topic.partitions), as_json=False)


def _kafka_lines(
    topics: Sequence[DescribedTopic], configs: Mapping[str, Mapping[str, str | None]], *, heads: bool, partitions: bool
) -> Iterator[str]:
    """The lines of `kafka-topics.sh --describe`."""
    for topic in topics:
        if heads:
            yield (
                f"Topic: {topic.name}\tTopicId: {topic.id}\tPartitionCount: {len(topic.partitions)}\t"
                f"ReplicationFactor: {topic.replication_factor}\t"
                f"Configs: {','.join(f'{key}={value}' for key, value in configs[topic.name].items())}"
            )
        for place in topic.partitions if partitions else ():
            leader = "none" if place.leader is None else place.leader
            yield (
                f"\tTopic: {topic.name}\tPartition: {place.partition}\tLeader: {leader}\t"
                f"Replicas: {_nodes(place.replicas)}\t"
                f"Isr: {_nodes(place.isr)}\tElr: {_nodes(place.elr)}\tLastKnownElr: {_nodes(place.last_known_elr)}"
            )


def _nodes(nodes: Sequence[int] | None) -> str:
    return "N/A" if nodes is None else ",".join(map(str, nodes))


def _config(word: str) -> tuple[str, str]:
    key, equals, value = word.partition("=")
    if not equals or not key:
        raise argparse.ArgumentTypeError(f"{word!r} is not KEY=VALUE")
    return key.strip(), value.strip()


def _count(word: str) -> int:
    if not word.isdecimal() or int(word) == 0:
        raise argparse.ArgumentTypeError(f"{word!r} is not a number above 0")
    return int(word)


def _names(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("names", nargs="*", metavar="TOPIC", help="names of topics")
    parser.add_argument("-t", "--topic", action="append", metavar="TOPIC", help="the same, in Kafka's way")


def _looking(parser: argparse.ArgumentParser) -> None:
    _names(parser)
    parser.add_argument("--exclude-internal", action="store_true", help="leave out Kafka's own topics")


def _create_options(parser: argparse.ArgumentParser) -> None:
    _names(parser)
    parser.add_argument("--partitions", type=_count, metavar="N", help="default: the broker's num.partitions")
    parser.add_argument("--replication-factor", type=_count, metavar="N", help="default: the broker's")
    parser.add_argument("--replica-assignment", metavar="NODE:NODE,...", help="which brokers have which partition")
    parser.add_argument(
        "--config", action="append", default=[], type=_config, metavar="KEY=VALUE", help="a config; may be repeated"
    )
    parser.add_argument("--if-not-exists", action="store_true", help="be content with a topic that is there")
    parser.add_argument("--dry-run", action="store_true", help="change nothing, only say whether it could be done")


def _describe_options(parser: argparse.ArgumentParser) -> None:
    _looking(parser)
    parser.add_argument("--if-exists", action="store_true", help="be content if there is none")
    parser.add_argument("--topics-with-overrides", action="store_true", help="only topics with configs of their own")
    parser.add_argument("--under-replicated-partitions", action="store_true", help="only where replicas lag behind")
    parser.add_argument("--unavailable-partitions", action="store_true", help="only where there is no leader")
    parser.add_argument(
        "--under-min-isr-partitions", action="store_true", help=f"only with fewer in-sync replicas than {MIN_ISR}"
    )
    parser.add_argument("--at-min-isr-partitions", action="store_true", help="only with just as many as that")


def _alter_options(parser: argparse.ArgumentParser) -> None:
    _names(parser)
    parser.add_argument("--partitions", type=_count, metavar="N", help="how many there shall be; more than now")
    parser.add_argument(
        "--config", action="append", default=[], type=_config, metavar="KEY=VALUE", help="set a config; may be repeated"
    )
    parser.add_argument(
        "--delete-config", action="append", default=[], metavar="KEY", help="back to the default; may be repeated"
    )
    parser.add_argument("--if-exists", action="store_true", help="be content if there is none")
    parser.add_argument("--dry-run", action="store_true", help="change nothing, only say whether it could be done")


def _delete_options(parser: argparse.ArgumentParser) -> None:
    _names(parser)
    parser.add_argument("--if-exists", action="store_true", help="be content if there is none")


def _delete_records_options(parser: argparse.ArgumentParser) -> None:
    _names(parser)
    parser.add_argument(
        "-p", "--partition", type=int, action="append", metavar="N", help="this one only; may be repeated"
    )
    parser.add_argument(
        "-o", "--before-offset", type=int, required=True, metavar="OFFSET", help="what lies below goes; -1: all"
    )


ACTIONS = {
    "list": Action(list_topics, _looking, "list topics by name"),
    "create": Action(create, _create_options, "create topics"),
    "describe": Action(describe, _describe_options, "show partitions, replicas and configs"),
    "alter": Action(alter, _alter_options, "add partitions, change configs"),
    "delete": Action(delete, _delete_options, "delete topics with all their records"),
    "delete-records": Action(delete_records, _delete_records_options, "delete the records below an offset"),
}  # fmt: skip
