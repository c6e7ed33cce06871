"""`ottla doctor`: is the cluster up, which addresses do clients hear, do they reach them, and what is wrong?

    ok    127.0.0.1:9092 answers in 3 ms
    ok    it is cluster 5L6g3nShT-eMCtK--X86sw with 1 broker
    FAIL  clients hear kafka:29092 of broker 1, and do not get there: the name kafka is not known here; ...
    ...

Each line is one finding. What a client does first is looked at first, and what cannot be looked at because of an
earlier failure is left out. The exit status is 0 if nothing has failed, 1 otherwise; a `warn` is no failure.

With `--cluster` and `--objects` it looks at what a cluster stands on, before its brokers do: the database and the
bucket, each promise of theirs that records depend on (`storage/object/bucket_check.py`, `postgres/database_check.py`).
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from kproto.ids import TopicPartition
from kproto.messages.api_versions import ApiVersionsRequest
from kproto.messages.describe_cluster import DescribeClusterRequest
from kproto.messages.describe_log_dirs import DescribeLogDirsRequest
from kproto.messages.list_groups import ListGroupsRequest
from kproto.messages.list_transactions import ListTransactionsRequest
from tools.client.cluster import Cluster, Node, check
from tools.client.connection import BrokerConnection, Security
from tools.client.properties import Address, ClientProperties, add_connection_options, properties_of
from tools.cluster.places import Places, add_place_options, places_of
from tools.failures import Failed
from tools.output.tables import is_terminal, show_json

OK, WARN, FAIL = "ok", "warn", "FAIL"
SOON_DAYS = 14
FULL_SHARE = 0.9
NAMED_AT_MOST = 5


class Finding(NamedTuple):
    """One sentence, and how bad it is."""

    status: str
    sentence: str


def main(arguments: Sequence[str]) -> int:
    """Look at everything and return the exit status. Raises Failed for settings that cannot be used."""
    options = parser().parse_args(arguments)
    findings = []
    for finding in _all(options):
        findings.append(finding)
        if not options.json:
            print(_line(finding), flush=True)
    if options.json:
        show_json([{"status": finding.status.lower(), "finding": finding.sentence} for finding in findings])
    return int(any(finding.status == FAIL for finding in findings))


def parser() -> argparse.ArgumentParser:
    """All words of `ottla doctor`."""
    made = argparse.ArgumentParser(
        prog="ottla doctor", description="Is the cluster up, which addresses do clients hear, what is wrong?"
    )
    made.add_argument("--json", action="store_true", help="print JSON, for programs")
    add_connection_options(made)
    add_place_options(made)
    return made


def _all(options: argparse.Namespace) -> Iterator[Finding]:
    """Of database and bucket, if they were named, and of the brokers, unless only those two were."""
    places = places_of(options)
    if places.database is not None or places.bucket is not None:
        yield from _places(places)
        if options.bootstrap_server is None:
            return
    yield from examined(properties_of(options))


def _places(places: Places) -> list[Finding]:
    """What a cluster stands on."""
    import trio

    from tools.cluster.examining import examine_places

    async def look() -> list[Finding]:
        return [Finding(each.level.value, each.sentence) async for each in examine_places(places)]

    return trio.run(look)


def examined(properties: ClientProperties) -> Iterator[Finding]:
    """All findings, in the order in which a client would meet them."""
    security = Security.of(properties)
    reached = False
    for address in properties.bootstrap:
        finding = _reach(address, security, properties.timeout)
        reached |= finding.status == OK
        yield finding
    if not reached:
        return
    try:
        with Cluster(properties) as cluster:
            yield from _cluster(cluster, properties)
            yield from _advertised(cluster, security, properties)
            for part in (_partitions, _groups, _transactions, _disks):
                try:
                    yield from part(cluster)
                except Failed as error:
                    yield Finding(WARN, f"{part.__name__.strip('_')} could not be looked at: {error}")
    except Failed as error:
        yield Finding(FAIL, str(error))
    yield _library()


def _reach(address: Address, security: Security, timeout: float) -> Finding:
    """Whether a broker answers at an address: name, port, TLS, authentication."""
    began = time.monotonic()
    try:
        connection = BrokerConnection.make(address, security, timeout)
    except Failed as error:
        hint = "" if "Connection refused" not in str(error) else ": nothing listens there"
        return Finding(FAIL, f"{error}{hint}")
    took = round(1000 * (time.monotonic() - began))
    expires = connection.certificate_expires
    connection.close()
    if expires is not None and (days := (expires - time.time()) / 86_400) < SOON_DAYS:
        return Finding(WARN, f"{connection.name} answers in {took} ms, and its certificate expires in {days:.0f} days")
    return Finding(OK, f"{connection.name} answers in {took} ms")


def _cluster(cluster: Cluster, properties: ClientProperties) -> Iterator[Finding]:
    reply = cluster.ask(DescribeClusterRequest())
    check(reply.error_code, reply.error_message)
    brokers = len(reply.brokers)
    about = cluster.ask(ApiVersionsRequest(client_software_name="ottla", client_software_version="1"), newest=4)
    level = {each.name: each.max_version_level for each in about.finalized_features}.get("metadata.version")
    release = _release(level)
    what = f", {release}" if release else ""
    yield Finding(OK, f"it is cluster {reply.cluster_id} with {brokers} broker{'s' if brokers > 1 else ''}{what}")
    if reply.controller_id < 0:
        yield Finding(FAIL, "it has no controller: topics cannot be made or changed until there is one")
    if properties.protocol == "PLAINTEXT" and any(not _is_loopback(host) for host, _ in properties.bootstrap):
        yield Finding(WARN, "the connection is neither encrypted nor authenticated (security.protocol=PLAINTEXT)")


def _release(level: int | None) -> str:
    from kproto.release.features import METADATA_VERSIONS

    known = METADATA_VERSIONS.get(level or -1)
    return f"metadata.version {known.name}" if known else ""


def _advertised(cluster: Cluster, security: Security, properties: ClientProperties) -> Iterator[Finding]:
    """Whether what clients hear of each broker leads them there."""
    known = {(host, port) for host, port in properties.bootstrap}
    for node in cluster.nodes():
        yield _advertisement(node, known, security, properties.timeout)


def _advertisement(node: Node, known: set[Address], security: Security, timeout: float) -> Finding:
    address = f"{node.host}:{node.port}"
    if (node.host, node.port) in known:
        return Finding(OK, f"clients hear {address} of broker {node.id}, which is where they came from")
    try:
        BrokerConnection.make((node.host, node.port), security, timeout).close()
    except Failed as error:
        return Finding(
            FAIL,
            f"clients hear {address} of broker {node.id}, and do not get there: {error}; advertised.listeners decides "
            "what they hear",
        )
    hint = ""
    if _is_loopback(node.host) and not any(_is_loopback(host) for host, _ in known):
        hint = "; it is this machine's own address, so clients elsewhere end up at themselves"
    return Finding(WARN if hint else OK, f"clients hear {address} of broker {node.id}, and get there{hint}")


def _is_loopback(host: str) -> bool:
    return host == "localhost" or host.startswith("127.") or host == "::1"


def _partitions(cluster: Cluster) -> Iterator[Finding]:
    topics = cluster.metadata().topics
    unled, lagging, count = [], [], 0
    for topic in topics:
        for each in topic.partitions:
            count += 1
            place = TopicPartition(topic.name, each.partition_index)
            if each.leader_id < 0:
                unled.append(place)
            elif len(each.isr_nodes) < len(each.replica_nodes):
                lagging.append(place)
    if unled:
        yield Finding(
            FAIL, f"{len(unled)} partitions have no leader and can be neither read nor written: {_named(unled)}"
        )
    if lagging:
        yield Finding(WARN, f"{len(lagging)} partitions have replicas that lag behind: {_named(lagging)}")
    if not unled and not lagging:
        yield Finding(OK, f"{count} partitions of {len(topics)} topics have their leaders and all replicas")


def _named(places: Sequence[TopicPartition]) -> str:
    names = [f"{place.topic}-{place.partition}" for place in places[:NAMED_AT_MOST]]
    return ", ".join(names) + (" ..." if len(places) > NAMED_AT_MOST else "")


def _groups(cluster: Cluster) -> Iterator[Finding]:
    count = 0
    for node, reply in cluster.ask_all(ListGroupsRequest()).items():
        check(reply.error_code, what=f"broker {node}")
        count += len(reply.groups)
    yield Finding(OK, f"groups can be asked for; there are {count}")


def _transactions(cluster: Cluster) -> Iterator[Finding]:
    if not cluster.serves(ListTransactionsRequest):
        return
    open_ones = 0
    for node, reply in cluster.ask_all(ListTransactionsRequest(state_filters=["Ongoing"])).items():
        check(reply.error_code, what=f"broker {node}")
        open_ones += len(reply.transaction_states)
    yield Finding(OK, f"transactions can be asked for; {open_ones} are open")


def _disks(cluster: Cluster) -> Iterator[Finding]:
    if not cluster.serves(DescribeLogDirsRequest):
        return
    for node, reply in cluster.ask_all(DescribeLogDirsRequest(topics=[])).items():
        check(reply.error_code, what=f"broker {node}")
        for found in reply.results:
            if found.error_code:
                yield Finding(FAIL, f"the log directory {found.log_dir} of broker {node} is offline")
            elif found.total_bytes > 0:
                used = 1 - found.usable_bytes / found.total_bytes
                status = WARN if used > FULL_SHARE else OK
                yield Finding(status, f"the disk under {found.log_dir} of broker {node} is {used:.0%} full")


def _library() -> Finding:
    try:
        import confluent_kafka
    except ImportError:
        return Finding(WARN, "ottla produce and ottla consume need a library: pip install 'ottla[cli]'")
    return Finding(OK, f"records are read and written by confluent-kafka {confluent_kafka.__version__}")


def _line(finding: Finding) -> str:
    colours = {OK: "32", WARN: "33", FAIL: "31"}
    import sys

    word = f"{finding.status:<4}"
    if is_terminal(sys.stdout):
        word = f"\x1b[{colours[finding.status]}m{word}\x1b[0m"
    return f"{word}  {finding.sentence}"
