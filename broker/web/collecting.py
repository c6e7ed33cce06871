"""The samples of the metrics, from what the parts of the broker say of themselves.

Collecting changes nothing and waits for no disk: a log that is closed is not opened for it, so it has no sample. It
goes in steps of at most `BLOCK` samples, each short to render as well, between which others run. A scrape is so no
picture of one moment, and need not be: each number is true when it is read.

Four lists may be long: topics, partitions, offsets of groups, and what clients have pushed. One that has more than
`MOST_OF_A_LIST` entries is left out as a whole, and `ottla_samples_left_out` says so: half of a list would be a wrong
sum. The totals are always there.

Promises kept here: W1, W2 in docs/invariants.md.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple, TypeVar

from broker.handlers import HANDLERS
from broker.network.watch import Ending
from broker.web.families import FAMILIES, Family
from kproto.errors import KafkaError
from kproto.ids import format_uuid
from kproto.release import RELEASE
from storage.seams.slices import Slices

if TYPE_CHECKING:
    from broker.context import Services
    from broker.coordinators.shards import ShardsStatistics
    from broker.network.connections import Connections
    from broker.partitions import Partition
    from broker.telemetry.instances import Telemetry
    from storage.statistics import StoreStatistics

T = TypeVar("T")

BLOCK: Final = 500
MOST_OF_A_LIST: Final = 10_000

RUNNING: Final = 3
"""Kafka's BrokerState."""

Sample = tuple[tuple[str, ...], float]
"""The values of the family's labels, as many as it has or none, and the number."""


class Block(NamedTuple):
    """Samples of one family; blocks of a family follow each other."""

    family: Family
    samples: Sequence[Sample]


class Running(NamedTuple):
    """A broker that runs, as it is looked at."""

    services: Services
    connections: Connections


class Groups(NamedTuple):
    """Groups as they were asked for; `left_out` if there were too many for what they have committed."""

    by_kind: Mapping[str, int]
    classic_by_state: Mapping[str, int]
    commits: Sequence[tuple[tuple[str, str, str], int]]
    """(group, topic, partition) and the offset."""
    left_out: bool


async def look_at_groups(services: Services) -> Groups:
    """The groups of the broker. Raises KafkaError when a shard of them is being loaded."""
    groups = await services.groups.list_groups()
    slices = Slices()
    kinds = Counter([group.group_type async for group in slices.over(groups)])
    states = Counter([group.group_state async for group in slices.over(groups) if group.group_type == "classic"])
    commits: list[tuple[tuple[str, str, str], int]] = []
    for group in groups if len(groups) <= MOST_OF_A_LIST else ():
        committed = (await services.groups.committed({group.group_id: None}))[group.group_id]
        if isinstance(committed, KafkaError):
            continue
        async for place, offset in slices.over(committed.offsets.items()):
            commits.append(((group.group_id, place.topic, str(place.partition)), offset.offset))
        if len(commits) > MOST_OF_A_LIST:
            break
    return Groups(kinds, states, commits, max(len(groups), len(commits)) > MOST_OF_A_LIST)


def collect(running: Running, groups: Groups | None) -> Iterator[Block | None]:
    """All samples, a family after the other; None where a step had none. The caller gives way between the steps."""
    for name, number in _numbers(running):
        yield Block(FAMILIES[name], [((), number)])
    for name, samples in _short_lists(running):
        yield Block(FAMILIES[name], samples)
    left_out: dict[str, bool] = {}
    hosted = running.services.partitions.hosted()
    yield from _traffic(running.services, hosted, left_out)
    yield from _partitions(hosted, left_out)
    if running.services.telemetry is not None:
        yield from _telemetry(running.services.telemetry, left_out)
    if groups is not None:
        left_out["groups"] = groups.left_out
        yield from _groups(running.services, groups)
    yield Block(FAMILIES["ottla_samples_left_out"], [((of,), float(is_so)) for of, is_so in left_out.items()])


def _numbers(running: Running) -> Iterator[tuple[str, float]]:
    """The families of one sample."""
    services = running.services
    image = services.cluster.image
    yield "kafka_server_kafkaserver_brokerstate", RUNNING
    yield "kafka_server_replicamanager_partitioncount", image.partition_count
    yield "kafka_server_replicamanager_leadercount", image.partition_count
    yield "kafka_controller_kafkacontroller_activecontrollercount", 1
    yield "kafka_controller_kafkacontroller_activebrokercount", 1
    yield "kafka_controller_kafkacontroller_globaltopiccount", len(image.topics)
    yield "kafka_controller_kafkacontroller_globalpartitioncount", image.partition_count
    sessions = services.fetches.statistics().sessions
    yield "kafka_server_fetchsessioncache_numincrementalfetchsessions", sessions.sessions
    yield "kafka_server_fetchsessioncache_numincrementalfetchpartitionscached", sessions.partitions
    yield "kafka_server_fetchsessioncache_incrementalfetchsessionevictions_total", sessions.evictions
    turns = services.turns.statistics()
    yield "ottla_event_loop_long_turns_total", turns.too_long
    yield "ottla_event_loop_longest_turn_seconds", turns.longest_ms / 1000
    yield "ottla_event_loop_long_rounds_total", turns.long_rounds
    yield "ottla_event_loop_longest_round_seconds", turns.longest_round_ms / 1000
    groups = services.groups.statistics()
    yield "ottla_group_state_bytes", groups.state_bytes
    yield "ottla_group_state_most_bytes", groups.state_max_bytes
    yield "ottla_group_state_refused_total", groups.refused
    transactions = services.transactions.statistics()
    yield "ottla_transactional_ids", transactions.transactional_ids
    yield "ottla_transactions_ending", transactions.prepared
    yield "ottla_transaction_state_bytes", transactions.state_bytes
    yield "ottla_transaction_state_most_bytes", transactions.state_max_bytes
    yield "ottla_transaction_state_refused_total", transactions.refused
    yield from _store(running)
    connections = running.connections.statistics()
    yield "kafka_network_socketserver_expiredconnectionskilledcount", connections.ended.get(Ending.IDLE, 0)
    yield "ottla_connections_accepted_total", connections.accepted
    yield "ottla_connections_refused_total", connections.refused
    yield "ottla_connections_most", connections.most_open
    yield "ottla_connections_unknown", connections.unknown
    yield "ottla_connections_turned_away_total", connections.turned_away
    yield "ottla_handshakes_failed_total", connections.not_secured
    yield "ottla_received_bytes_total", connections.received_bytes
    yield "ottla_sent_bytes_total", connections.sent_bytes
    yield "ottla_replies_waiting", connections.replies_waiting
    yield "ottla_request_memory_bytes", connections.memory.held
    yield "ottla_request_memory_most_bytes", connections.memory.limit
    yield "ottla_request_memory_waiting", connections.memory.waiting
    yield "ottla_telemetry_instances", 0 if services.telemetry is None else len(services.telemetry)


def _store(running: Running) -> Iterator[tuple[str, float]]:
    """What the engine says; of what it does not do there is no sample."""
    store = running.services.store.statistics()
    yield "ottla_store_open_logs", store.open_logs
    yield "ottla_store_open_files", store.open_files
    yield "ottla_store_stopped", store.has_stopped
    if store.flushes is not None:
        yield "kafka_log_logflushstats_logflushrateandtimems_count", store.flushes.syncs
        yield "ottla_store_flush_rounds_total", store.flushes.rounds
        yield "ottla_store_flush_failures_total", store.flushes.failures
        yield "ottla_store_flush_waiting", store.flushes.waiting
    if store.cleaner is not None:
        yield "kafka_log_logcleanermanager_uncleanable_partitions_count", store.cleaner.uncleanable
        yield "ottla_store_cleanings_total", store.cleaner.cleanings
        yield "ottla_store_cleaned_bytes_total", store.cleaner.cleaned_bytes
    if store.upkeep is not None:
        yield "ottla_store_dirty_logs", store.upkeep.dirty
        yield "ottla_store_files_to_remove", store.upkeep.to_remove
    if (shared := store.shared) is not None:
        yield "ottla_shared_waiting_bytes", shared.waiting_bytes
        yield "ottla_shared_cached_bytes", shared.cached_bytes
        if shared.objects >= 0:  # the upkeep has looked, and it is this broker that counts them
            yield "ottla_shared_objects", shared.objects
            yield "ottla_shared_object_bytes", shared.object_bytes
            yield "ottla_shared_objects_deleting", shared.deleting_objects
        if shared.unmerged_runs >= 0:
            yield "ottla_shared_runs_unmerged", shared.unmerged_runs


def _shared(store: StoreStatistics) -> Iterator[tuple[str, Sequence[Sample]]]:
    """How the servers that a cluster stands on answer this broker, by kind of request."""
    if store.shared is None:
        return
    bucket, database = store.shared.bucket, store.shared.database
    kinds = {
        "put": bucket.puts,
        "get": bucket.gets,
        "list": bucket.lists,
        "delete": bucket.deletes,
        "commit": database.commits,
        "question": database.questions,
    }
    yield "ottla_shared_requests_total", [((kind,), each.done) for kind, each in kinds.items()]
    yield "ottla_shared_failures_total", [((kind,), each.failed) for kind, each in kinds.items()]
    yield "ottla_shared_bytes_total", [((kind,), each.bytes) for kind, each in kinds.items()]
    yield "ottla_shared_seconds_total", [((kind,), each.seconds) for kind, each in kinds.items()]
    yield "ottla_shared_median_seconds", [((kind,), each.median_ms / 1000) for kind, each in kinds.items()]
    yield "ottla_shared_slowest_seconds", [((kind,), each.slowest_ms / 1000) for kind, each in kinds.items()]


def _short_lists(running: Running) -> Iterator[tuple[str, Sequence[Sample]]]:
    """The families whose samples are as many as the broker has parts, whatever clients do."""
    services = running.services
    connections = running.connections.statistics()
    yield from _shared(services.store.statistics())
    yield "ottla_kafka_release_info", [((services.config.ottla_emulate or RELEASE,), 1)]
    yield (
        "kafka_network_requestmetrics_requests_total",
        [((api_name(key),), count) for key, count in connections.by_api.items() if count],
    )
    listeners = {listener.name: 0 for listener in services.config.listeners} | dict(connections.connected)
    yield (
        "kafka_server_socket_server_metrics_connection_count",
        [((name,), count) for name, count in listeners.items()],
    )
    yield (
        "ottla_connections_ended_total",
        [((str(ending),), connections.ended.get(ending, 0)) for ending in Ending],
    )
    waiting = services.fetches.statistics().purgatory.waiting
    yield "kafka_server_delayedoperationpurgatory_purgatorysize", [(("Fetch",), waiting)]
    if services.quotas is not None:
        quotas = services.quotas.statistics()
        yield "ottla_quota_limits", [((key,), count) for key, count in quotas.limits.items()]
        yield "ottla_quota_clients", [((key,), count) for key, count in quotas.clients.items()]
        yield "ottla_quota_delayed_total", [((key,), count) for key, count in quotas.delayed.items()]
        yield "ottla_quota_delay_seconds_total", [((key,), millis / 1000) for key, millis in quotas.delay_ms.items()]
    shards = (services.groups.statistics().shards, services.transactions.statistics().shards)
    for field in ("decisions", "appends"):
        yield f"ottla_coordinator_{field}_total", [each for some in shards for each in _of_runtimes(some, field)]


def api_name(key: int) -> str:
    """An API's name as Kafka writes it: `InitProducerId`."""
    return "".join(word.capitalize() for word in HANDLERS[key].module.split("_"))


def _of_runtimes(shards: ShardsStatistics, field: str) -> list[Sample]:
    counts: Counter[str] = Counter()
    for runtime in shards.runtimes:
        counts[runtime.topic] += getattr(runtime, field)
    return [((topic,), count) for topic, count in counts.items()]


def _traffic(services: Services, hosted: Sequence[Partition], left_out: dict[str, bool]) -> Iterator[Block | None]:
    """What clients have written and read: in all, and by topic."""
    total = list(services.partitions.past_traffic)
    by_topic: dict[str, list[int]] = {}
    for some in batched(hosted):
        for partition in some:
            counts = partition.messages_in, partition.bytes_in, partition.bytes_out
            if any(counts):
                of_topic = by_topic.setdefault(partition.topic, [0, 0, 0])
                for index, count in enumerate(counts):
                    total[index] += count
                    of_topic[index] += count
        yield None
    left_out["topics"] = len(by_topic) > MOST_OF_A_LIST
    for index, name in enumerate(("messagesin", "bytesin", "bytesout")):
        family = FAMILIES[f"kafka_server_brokertopicmetrics_{name}_total"]
        yield Block(family, [((), total[index])])
        if not left_out["topics"]:
            yield from _blocks(family, [((topic,), counts[index]) for topic, counts in by_topic.items()])


def _partitions(hosted: Sequence[Partition], left_out: dict[str, bool]) -> Iterator[Block | None]:
    """The logs that are open."""
    left_out["partitions"] = len(hosted) > MOST_OF_A_LIST
    if left_out["partitions"]:
        return
    seen = []
    for some in batched(hosted):
        for partition in some:
            if partition.alive and partition.log.is_open:
                log = partition.log.statistics()
                labels = partition.topic, str(partition.index)
                seen.append((labels, (log.log_start_offset, log.log_end_offset, log.size)))
        yield None
    for index, name in enumerate(("logstartoffset", "logendoffset", "size")):
        yield from _blocks(FAMILIES[f"kafka_log_log_{name}"], [(labels, log[index]) for labels, log in seen])


def _telemetry(telemetry: Telemetry, left_out: dict[str, bool]) -> Iterator[Block | None]:
    """What clients have pushed of their own metrics (KIP-714)."""
    left_out["telemetry"] = telemetry.numbers > MOST_OF_A_LIST
    if left_out["telemetry"]:
        return
    pushed: list[Sample] = []
    for some in batched(telemetry.pushing()):
        for each in some:
            client = each.parameters["client_id"], format_uuid(each.client)
            pushed += [((name, *client), number) for name, number in each.numbers.items()]
        yield None
    yield from _blocks(FAMILIES["ottla_telemetry_value"], pushed)


def _groups(services: Services, groups: Groups) -> Iterator[Block | None]:
    """Groups by protocol and state, and what they have committed."""
    yield Block(
        FAMILIES["kafka_server_group_coordinator_metrics_group_count"],
        [((kind,), groups.by_kind.get(kind, 0)) for kind in ("classic", "consumer")],
    )
    prefix = "kafka_coordinator_group_groupmetadatamanager_numgroups"
    yield Block(FAMILIES[prefix], [((), groups.by_kind.get("classic", 0))])
    for state in ("Empty", "Stable", "PreparingRebalance", "CompletingRebalance"):
        yield Block(FAMILIES[prefix + state.lower()], [((), groups.classic_by_state.get(state, 0))])
    if groups.left_out:
        return
    yield from _blocks(FAMILIES["kafka_consumergroup_current_offset"], groups.commits)
    lags: list[Sample] = []
    for some in batched(groups.commits):
        for labels, offset in some:
            log = services.partitions.log_of(labels[1], int(labels[2]))
            if log is not None and log.is_open:
                lags.append((labels, max(0, log.high_watermark - offset)))
        yield None
    yield from _blocks(FAMILIES["kafka_consumergroup_lag"], lags)


def _blocks(family: Family, samples: Sequence[Sample]) -> Iterator[Block]:
    return (Block(family, some) for some in batched(samples))


def batched(elements: Sequence[T]) -> Iterator[Sequence[T]]:
    """The elements, `BLOCK` at a time."""
    return (elements[start : start + BLOCK] for start in range(0, len(elements), BLOCK))
