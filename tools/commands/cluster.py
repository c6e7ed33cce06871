"""`ottla cluster`: what a cluster is made of.

ottla cluster describe             its id, controller and brokers, as kafka-cluster.sh
ottla cluster features             levels of features, as kafka-features.sh describe
ottla cluster quorum               the voters of the metadata log, as kafka-metadata-quorum.sh
ottla cluster log-dirs             where partitions lie, and how large they are, as kafka-log-dirs.sh
ottla cluster api-versions         which versions of which API, as kafka-broker-api-versions.sh

Of a cluster of Ottla's, which stands on a database and a bucket:

ottla cluster status               all of it in one view
ottla cluster local                all of one on this machine, to look at
ottla cluster import --from DIR    a broker's data directory, or a backup, taken over by an empty cluster
ottla cluster export --to DIR      a data directory made of a cluster
ottla cluster drain N              let clients leave broker N, before it is stopped
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from kproto.ids import format_uuid
from kproto.messages.api_versions import ApiVersionsRequest
from kproto.messages.describe_cluster import DescribeClusterRequest
from kproto.messages.describe_log_dirs import DescribableLogDirTopic, DescribeLogDirsRequest
from kproto.messages.describe_quorum import DescribeQuorumRequest, RequestPartitionData, RequestTopicData
from kproto.messages.metadata import MetadataRequest, MetadataRequestTopic
from kproto.release.apis import APIS
from tools.actions import Action, Options, run_action, verb_parser
from tools.client.cluster import Cluster, check
from tools.client.properties import properties_of
from tools.client.topics import matching
from tools.cluster.places import add_place_options, both_places, database_options
from tools.failures import Failed, Misunderstood
from tools.moments import written
from tools.output.tables import Table, show, show_json

TAKING_OVER_SECONDS = 1.0
"""Two heartbeats of the brokers that take over what one has given up."""

METADATA_TOPIC = "__cluster_metadata"


def main(arguments: Sequence[str]) -> int:
    """Do what was asked for and return the exit status. Raises Failed."""
    return run_action(parser(), ACTIONS, arguments)


def parser() -> argparse.ArgumentParser:
    """All words of `ottla cluster`."""
    return verb_parser("ottla cluster", "Show what a cluster is made of.", ACTIONS)


def describe(options: Options) -> None:
    """Id, controller, brokers."""
    with Cluster(properties_of(options)) as cluster:
        reply = cluster.ask(DescribeClusterRequest(include_fenced_brokers=options.include_fenced_brokers), newest=2)
    check(reply.error_code, reply.error_message)
    columns = ("ID", "HOST", "PORT", "RACK", "STATE", "ENDPOINT-TYPE")
    rows = [
        (each.broker_id, each.host, each.port, each.rack, "fenced" if each.is_fenced else "unfenced", "broker")
        for each in sorted(reply.brokers, key=lambda broker: int(broker.broker_id))
    ]
    table = Table(columns, rows)
    if options.json:
        controller = None if reply.controller_id < 0 else reply.controller_id
        show_json({"cluster_id": reply.cluster_id, "controller": controller, "brokers": table.objects()})
        return
    print(f"Cluster ID: {reply.cluster_id}")
    if reply.controller_id >= 0:
        print(f"Controller: {reply.controller_id}")
    show(table, as_json=False)


def features(options: Options) -> None:
    """Levels of features."""
    with Cluster(properties_of(options)) as cluster:
        about = cluster.ask(ApiVersionsRequest(client_software_name="ottla", client_software_version="1"), newest=4)
    levels = {each.name: each.max_version_level for each in about.finalized_features}
    rows = [
        (each.name, each.min_version, each.max_version, levels.get(each.name, 0), about.finalized_features_epoch)
        for each in sorted(about.supported_features, key=lambda feature: str(feature.name))
    ]
    lines = [
        f"Feature: {name}\tSupportedMinVersion: {low}\tSupportedMaxVersion: {high}\tFinalizedVersionLevel: {level}\t"
        f"Epoch: {epoch}"
        for name, low, high, level, epoch in rows
    ]
    columns = ("FEATURE", "SUPPORTED-MIN-VERSION", "SUPPORTED-MAX-VERSION", "FINALIZED-VERSION-LEVEL", "EPOCH")
    show(Table(columns, rows), as_json=options.json, lines=lines)


def quorum(options: Options) -> None:
    """Voters and observers of the metadata log."""
    partition = RequestPartitionData(partition_index=0)
    asked = RequestTopicData(topic_name=METADATA_TOPIC, partitions=[partition])
    with Cluster(properties_of(options)) as cluster:
        reply = cluster.ask(DescribeQuorumRequest(topics=[asked]))
    check(reply.error_code, reply.error_message)
    found = reply.topics[0].partitions[0]
    check(found.error_code, found.error_message)
    rows = []
    for status, states in (("Follower", found.current_voters), ("Observer", found.observers)):
        for state in states:
            leads = state.replica_id == found.leader_id
            rows.append(
                (
                    state.replica_id,
                    format_uuid(state.replica_directory_id),
                    state.log_end_offset,
                    max(0, max(each.log_end_offset for each in found.current_voters) - state.log_end_offset),
                    written(state.last_fetch_timestamp),
                    written(state.last_caught_up_timestamp),
                    "Leader" if leads else status,
                )
            )
    columns = (
        "NODE-ID", "DIRECTORY-ID", "LOG-END-OFFSET", "LAG", "LAST-FETCH-TIMESTAMP", "LAST-CAUGHT-UP-TIMESTAMP", "STATUS"
    )  # fmt: skip
    table = Table(columns, rows)
    if options.json:
        show_json(
            {"leader": found.leader_id, "leader_epoch": found.leader_epoch, "high_watermark": found.high_watermark,
             "replicas": table.objects()}
        )  # fmt: skip
        return
    print(f"LeaderId: {found.leader_id}\nLeaderEpoch: {found.leader_epoch}\nHighWatermark: {found.high_watermark}")
    show(table, as_json=False)


def log_dirs(options: Options) -> None:
    """Where partitions lie."""
    with Cluster(properties_of(options)) as cluster:
        asked = None
        if options.topic:
            asked = [
                DescribableLogDirTopic(topic=topic, partitions=partitions)
                for topic, partitions in cluster.partitions_of(matching(cluster, options.topic)).items()
            ]
        replies = cluster.ask_all(DescribeLogDirsRequest(topics=asked))
    rows = []
    for node, reply in replies.items():
        check(reply.error_code)
        for found in reply.results:
            check(found.error_code, what=found.log_dir)
            for topic in found.topics:
                for each in topic.partitions:
                    place = (topic.name, each.partition_index)
                    rows.append((node, found.log_dir, *place, each.partition_size, each.offset_lag))
    columns = ("BROKER", "LOG-DIR", "TOPIC", "PARTITION", "SIZE", "OFFSET-LAG")
    show(Table(columns, sorted(rows)), as_json=options.json)


def api_versions(options: Options) -> None:
    """Versions of APIs."""
    request = ApiVersionsRequest(client_software_name="ottla", client_software_version="1")
    with Cluster(properties_of(options)) as cluster:
        replies = cluster.ask_all(request, newest=4)
    rows = [
        (node, each.api_key, _api(each.api_key), each.min_version, each.max_version)
        for node, reply in replies.items()
        for each in sorted(reply.api_keys, key=lambda api: int(api.api_key))
    ]
    show(Table(("BROKER", "API-KEY", "API", "MIN-VERSION", "MAX-VERSION"), rows), as_json=options.json)


def _api(key: int) -> str:
    return APIS[key].name if key in APIS else f"UNKNOWN({key})"


def _nothing(parser: argparse.ArgumentParser) -> None:
    """No options but those of all actions."""


def _describe_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--include-fenced-brokers", action="store_true", help="also brokers that are not in service")


def _log_dirs_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-t", "--topic", action="append", metavar="TOPIC", help="this one only; may be repeated")


def local(options: Options) -> int:
    """Brokers, a database and a bucket on this machine."""
    from pathlib import Path

    from tools.cluster.local import MOST_BROKERS, Settings, run

    if not 0 <= options.brokers <= MOST_BROKERS or not 0 < options.port <= 65_535 - MOST_BROKERS:
        raise Misunderstood(f"--brokers is from 0 to {MOST_BROKERS}, and --port a port with as many behind it")
    return run(Settings(Path(options.data), options.brokers, options.port, options.exit_with_parent))


def status(options: Options) -> int:
    """The whole cluster in one view."""
    database, bucket = both_places(options)
    from tools.cluster.status import show_status

    return show_status(database, bucket, as_json=options.json)


def import_from(options: Options) -> int:
    """A directory into a cluster."""
    database, bucket = both_places(options)
    database_options(database)
    from tools.cluster.moving import import_from as run

    return run(options.source, database, bucket)


def export_to(options: Options) -> int:
    """A cluster into a directory."""
    database, bucket = both_places(options)
    database_options(database)
    from tools.cluster.moving import export_to as run

    return run(options.target, options.node_id, database, bucket)


def _import_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--from", dest="source", required=True, metavar="DIR", help="data directory, or a backup")
    add_place_options(parser)


def _export_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--to", dest="target", required=True, metavar="DIR", help="a new data directory")
    parser.add_argument(
        "--node-id", type=int, default=1, metavar="N", help="of the broker that will serve it (default 1)"
    )
    add_place_options(parser)


def _local_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--brokers", type=int, default=3, metavar="N", help="how many (default 3); 0: only what brokers need"
    )
    parser.add_argument(
        "--port", type=int, default=9092, help="of the first broker (default 9092), the others behind it"
    )
    parser.add_argument("--data", default="ottla-cluster", metavar="DIR", help="folder that keeps everything")
    parser.add_argument("--exit-with-parent", action="store_true", help="stop when standard input ends")


def drain(options: Options) -> None:
    """Let clients leave a broker; returns when the others have taken over what it coordinated."""
    from time import monotonic, sleep

    from tools.client.configs import ResourceType, alter_configs

    with Cluster(properties_of(options)) as cluster:
        if options.node not in _brokers(cluster):
            raise Failed(f"broker {options.node} is not among those that are in service")
        alter_configs(cluster, ResourceType.BROKER, str(options.node), put={"ottla.drain": "true"})
        deadline = monotonic() + options.timeout
        while options.node in _brokers(cluster) | _coordinators(cluster):
            if monotonic() > deadline:
                raise Failed(f"broker {options.node} is still in service after {options.timeout:g} s")
            sleep(0.1)
        sleep(TAKING_OVER_SECONDS)
    if options.json:
        show_json({"drained": options.node})
    else:
        print(f"broker {options.node} is drained: it coordinates nothing and may be stopped; its next start ends that")


def _coordinators(cluster: Cluster) -> set[int]:
    """The brokers that coordinate groups or transactions: they are shown as leaders of the topics' partitions."""
    topics = [MetadataRequestTopic(name=name) for name in ("__consumer_offsets", "__transaction_state")]
    reply = cluster.ask(MetadataRequest(topics=topics, allow_auto_topic_creation=False), newest=12)
    return {int(each.leader_id) for topic in reply.topics for each in topic.partitions}


def _brokers(cluster: Cluster) -> set[int]:
    reply = cluster.ask(DescribeClusterRequest(), newest=1)
    check(reply.error_code, reply.error_message)
    return {int(each.broker_id) for each in reply.brokers}


def _drain_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("node", type=int, metavar="N", help="the broker's node id")
    parser.add_argument("--timeout", type=float, default=30.0, metavar="SECONDS", help="wait so long (default 30)")


ACTIONS = {
    "describe": Action(describe, _describe_options, "show id, controller and brokers"),
    "features": Action(features, _nothing, "show levels of features"),
    "quorum": Action(quorum, _nothing, "show the voters of the metadata log"),
    "log-dirs": Action(log_dirs, _log_dirs_options, "show where partitions lie and how large they are"),
    "api-versions": Action(api_versions, _nothing, "show which versions of which API brokers serve"),
    "status": Action(status, add_place_options, "show brokers, database and bucket in one view", connects=False),
    "import": Action(
        import_from, _import_options, "take over a broker's data directory or backup", connects=False, prints=False
    ),
    "export": Action(export_to, _export_options, "make a data directory of a cluster", connects=False, prints=False),
    "drain": Action(drain, _drain_options, "let clients leave a broker before it is stopped"),
    "local": Action(
        local, _local_options, "run brokers, a database and a bucket on this machine", connects=False, prints=False
    ),
}
