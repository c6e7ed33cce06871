"""A recorded reply beside the present one: what differs, and what of it any two brokers may differ in.

Values are compared one by one. Elements of lists are paired by what identifies them (`bindings.paired`), ids through
what they are bound to. A difference is *explained* if a rule below covers it, and is then counted only.

| rule | why |
| --- | --- |
| `ELSEWHERE` | addresses, node ids, racks, replicas: another cluster has others |
| `WORDS` | sentences for people |
| `IN_TIME` | how far logs have come, when, how long a client is throttled |
| not ready then | the recorded broker was still making a topic or loading a coordinator; the present one is done |
| a heartbeat | that a group is being rebalanced, which one member hears with this heartbeat or the next |
| not used | APIs, versions, features that no request makes use of; topics and groups that none names |
| records | how many a Fetch returns is a matter of time; those at the same offset are equal, and none is missing |

A present reply that is *not ready* where the recorded one was is for the caller to ask for again (`is_not_ready`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from kproto.batches.header import HEADER_SIZE, read_header
from kproto.errors import ErrorCode
from tools.recording.bindings import Bindings, fields_in, kind_of, paired
from tools.recording.plain import batches

ELSEWHERE: Final = frozenset({
    "host", "port", "rack", "node_id", "broker_id", "controller_id", "leader_id", "leader_epoch", "replica_nodes",
    "isr_nodes", "offline_replicas", "replicas", "eligible_leader_replicas", "last_known_elr", "preferred_read_replica",
    "node_endpoints", "log_dir", "total_bytes", "usable_bytes", "user_data",
})  # fmt: skip
WORDS: Final = frozenset({"error_message", "record_error_message", "batch_index_error_message", "message"})
IN_TIME: Final = frozenset({
    "throttle_time_ms", "log_append_time_ms", "high_watermark", "last_stable_offset", "finalized_features_epoch",
    "issue_timestamp_ms", "expiry_timestamp_ms", "max_timestamp_ms", "transaction_start_time_ms",
    "last_timestamp", "start_timestamp", "epoch", "client_host", "heartbeat_interval_ms", "push_interval_ms",
    "group_epoch", "assignment_epoch", "partition_size", "offset_lag", "coordinator_epoch", "zk_migration_ready",
})  # fmt: skip
UNREADY: Final = frozenset({
    ErrorCode.LEADER_NOT_AVAILABLE, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, ErrorCode.UNKNOWN_TOPIC_ID,
    ErrorCode.COORDINATOR_NOT_AVAILABLE, ErrorCode.COORDINATOR_LOAD_IN_PROGRESS, ErrorCode.NOT_COORDINATOR,
    ErrorCode.NOT_LEADER_OR_FOLLOWER, ErrorCode.CONCURRENT_TRANSACTIONS, ErrorCode.REBALANCE_IN_PROGRESS,
    ErrorCode.UNSTABLE_OFFSET_COMMIT, ErrorCode.FETCH_SESSION_ID_NOT_FOUND,
})  # fmt: skip
"""What a broker answers that is not ready yet: clients ask again."""
FOLLOWED_FEATURES: Final = frozenset({"transaction.version", "group.version"})
"""Features whose level changes what clients send."""

OF_BROKERS: Final = frozenset({4, 8})
"""Kinds of resources: a broker, its loggers."""

API_VERSIONS, FETCH, METADATA, HEARTBEAT, DESCRIBE_CONFIGS, CREATE_TOPICS = 18, 1, 3, 12, 32, 19


@dataclass(frozen=True)
class Difference:
    """Where two replies differ. `path` looks like `topics[t].partitions[0].error_code`."""

    path: str
    then: Any
    now: Any


@dataclass
class Compared:
    """What a comparison of two replies has found."""

    unexplained: list[Difference] = field(default_factory=list)
    explained: dict[str, int] = field(default_factory=dict)
    """Rule -> differences."""
    missing: list[tuple[Any, int, int, int]] = field(default_factory=list)
    """Records that the recorded Fetch returned and the present one did not: topic (as the recorded reply has it),
    partition, offset of the first, offset behind the last."""

    def explain(self, rule: str) -> None:
        """One more difference that a rule covers."""
        self.explained[rule] = self.explained.get(rule, 0) + 1


class Used:
    """What the requests of a conversation make use of."""

    def __init__(self) -> None:
        self.versions: dict[int, set[int]] = {}
        """API key -> versions asked in."""
        self.names: set[str] = set()
        """All texts in requests: names of topics, groups and the like."""
        self.topic_ids: set[bytes] = set()

    def note(self, api_key: int, version: int, message: Any) -> None:
        """One more request."""
        self.versions.setdefault(api_key, set()).add(version)
        if message is not None:
            self._note(message)

    def _note(self, struct: Any) -> None:
        for declared in fields_in(struct):
            kind, value = declared.type.element or declared.type, getattr(struct, declared.name)
            for each in (value or ()) if declared.type.element is not None else (value,):
                if each is None:
                    continue
                if kind.struct is not None:
                    self._note(each)
                elif kind.name == "string":
                    self.names.add(each)
                elif kind.name == "uuid":
                    self.topic_ids.add(bytes(each))


def is_not_ready(then: Any, now: Any) -> bool:
    """Whether the present broker is not ready where the recorded one was."""
    old, new = set(error_codes(then)), set(error_codes(now))
    return bool((new - old) & UNREADY) and not (old & UNREADY)


def error_codes(message: Any) -> Iterator[int]:
    """All error codes in a reply."""
    from tools.recording.secrets import structs_of

    for struct in structs_of(message):
        if code := code_of(struct):
            yield code


def code_of(struct: Any) -> int | None:
    """The error code of a struct by itself, whatever the field is called; None if it has none."""
    for name in ("error_code", "partition_error_code"):
        code = getattr(struct, name, None)
        if code is not None:
            return int(code)
    return None


class Comparison:
    """Compares the replies of a conversation."""

    def __init__(self, bindings: Bindings, used: Used) -> None:
        self._bindings = bindings
        self._used = used
        self._version = 0
        self._topic: Any = None  # of the partition of a Fetch that is being compared

    def compare(self, api_key: int, version: int, then: Any, now: Any, group: str = "") -> Compared:
        """Two replies to one request; the ids in them are bound already."""
        found = Compared()
        self._version = version
        if api_key == DESCRIBE_CONFIGS:
            self._configs(then, now, found)
        elif api_key == API_VERSIONS:
            self._versions(then, now, found)
        else:
            self._struct("", then, now, version, group, api_key, found)
        return found

    def _configs(self, then: Any, now: Any, found: Compared) -> None:
        """Those of a topic, a group or a subscription in whole; a broker's own settings are its operator's."""
        for one, other in zip(then.results, now.results, strict=False):
            if one.resource_type in OF_BROKERS and not one.error_code and not other.error_code:
                found.explain("elsewhere")
            else:
                path = f"results[{one.resource_name}]"
                self._struct(path, one, other, self._version, "", DESCRIBE_CONFIGS, found)
        if len(then.results) != len(now.results):
            found.unexplained.append(Difference("results", len(then.results), len(now.results)))

    def _versions(self, then: Any, now: Any, found: Compared) -> None:
        if then.error_code != now.error_code:
            found.unexplained.append(Difference("error_code", then.error_code, now.error_code))
        old = {row.api_key: (row.min_version, row.max_version) for row in then.api_keys}
        new = {row.api_key: (row.min_version, row.max_version) for row in now.api_keys}
        for key in sorted({**old, **new}):
            if old.get(key) == new.get(key):
                continue
            low, high = new.get(key, (0, -1))
            lacking = sorted(version for version in self._used.versions.get(key, ()) if not low <= version <= high)
            if lacking:
                found.unexplained.append(Difference(f"api_keys[{key}]", old.get(key), new.get(key)))
            else:
                found.explain("not used")
        for name in ("supported_features", "finalized_features"):
            for one, other in paired(getattr(then, name), getattr(now, name)):
                if one != other:
                    feature = (one or other).name
                    if feature in FOLLOWED_FEATURES and name == "finalized_features":
                        found.unexplained.append(Difference(f"{name}[{feature}]", one, other))
                    else:
                        found.explain("not used")

    def _struct(self, path: str, then: Any, now: Any, version: int, group: str, api_key: int, found: Compared) -> None:
        group = getattr(then, "group_id", None) or group
        code = code_of(then)
        if api_key == HEARTBEAT and {code, code_of(now)} == {ErrorCode.NONE, ErrorCode.REBALANCE_IN_PROGRESS}:
            found.explain("a heartbeat")
            return
        if code in UNREADY and code_of(now) != code:
            found.explain("not ready then")
            return
        for declared in fields_in(then):
            if version not in declared.versions:
                continue
            name, old, new = declared.name, getattr(then, declared.name), getattr(now, declared.name)
            below = f"{path}.{name}" if path else name
            if name in ELSEWHERE:
                self._explained("elsewhere", old, new, found)
            elif name in WORDS:
                self._explained("words", old, new, found)
            elif name in IN_TIME:
                self._explained("in time", old, new, found)
            elif declared.type.name == "records":
                self._records(below, then, old, new, found)
            elif name == "aborted_transactions":
                self._explained("records", old, new, found)
            elif declared.type.element is not None and declared.type.element.struct is not None:
                self._list(below, old, new, version, group, api_key, found)
            elif declared.type.struct is not None and old is not None and new is not None:
                self._struct(below, old, new, version, group, api_key, found)
            elif (kind := kind_of(declared)) is not None and declared.type.element is None:
                old = bytes(old) if isinstance(old, memoryview) else old
                if self._bindings.now(kind, old, group) != new:
                    found.unexplained.append(Difference(below, old, new))
            elif name == "producer_epoch":
                if self._bindings.epoch_now(getattr(now, "producer_id", -1), old) != new:
                    found.unexplained.append(Difference(below, old, new))
            elif old != new:
                found.unexplained.append(Difference(below, old, new))

    def _explained(self, rule: str, old: Any, new: Any, found: Compared) -> None:
        if old != new:
            found.explain(rule)

    def _list(self, path: str, then: Any, now: Any, version: int, group: str, api_key: int, found: Compared) -> None:
        if (then is None) != (now is None):
            found.unexplained.append(Difference(path, then, now))
            return
        for one, other in self._paired(then or [], now or [], group):
            label = f"{path}[{_identity(one if one is not None else other)}]"
            if one is None or other is None:
                if self._is_unused(one if one is not None else other, api_key):
                    found.explain("not used")
                elif other is None and api_key == FETCH and path in ("responses",):
                    self._lost_topic(one, found)
                elif (api_key == FETCH and one is None) or (
                    api_key == FETCH and other is None and path.endswith("partitions")
                ):
                    found.explain("records")
                else:
                    found.unexplained.append(Difference(label, one, other))
                continue
            if api_key == FETCH and hasattr(one, "partitions"):
                self._topic = one
            self._struct(label, one, other, version, group, api_key, found)

    def _paired(self, then: Any, now: Any, group: str) -> list[tuple[Any, Any]]:
        """Members and topics by their ids, as these are bound; the others by what identifies them."""
        for kind, name in (("uuid", "topic_id"), ("member", "member_id")):
            if (
                then
                and now
                and hasattr(then[0], name)
                and not (getattr(then[0], "name", "") or getattr(now[0], "name", ""))
            ):
                left = {self._bindings.now(kind, _plain(getattr(each, name)), group): each for each in then}
                right = {_plain(getattr(each, name)): each for each in now}
                if len(left) == len(then) and len(right) == len(now) and left.keys() != {bytes(16)}:
                    return [(left.get(key), right.get(key)) for key in {**left, **right}]
        return paired(then, now)

    def _is_unused(self, struct: Any, api_key: int) -> bool:
        """Whether no request of the conversation names this element."""
        if api_key == DESCRIBE_CONFIGS or (api_key == CREATE_TOPICS and hasattr(struct, "config_source")):
            return str(getattr(struct, "name", "")) not in self._used.names
        name = next(
            (value for each in ("name", "group_id", "transactional_id") if (value := getattr(struct, each, None))), None
        )
        if api_key == METADATA and hasattr(struct, "rack"):
            return True  # a broker: another cluster has others
        return isinstance(name, str) and name not in self._used.names

    def _lost_topic(self, topic: Any, found: Compared) -> None:
        for partition in getattr(topic, "partitions", ()):
            self._note_missing(topic, partition, batches(partition.records or b""), found)

    def _records(self, path: str, owner: Any, then: Any, now: Any, found: Compared) -> None:
        old, new = _by_offset(then), _by_offset(now)
        for offset in sorted(old.keys() & new.keys()):
            if (left := self._normal(old[offset])) != (right := self._normal(new[offset], present=True)):
                found.unexplained.append(Difference(f"{path}@{offset}", left, right))
        if new.keys() - old.keys():
            found.explain("records")
        if lacking := sorted(old.keys() - new.keys()):
            last = read_header(old[lacking[-1]])
            found.explain("records")
            found.missing.append(
                (self._topic, owner.partition_index, lacking[0], last.base_offset + last.last_offset_delta + 1)
            )

    def _note_missing(self, topic: Any, partition: Any, found_batches: list[Any], found: Compared) -> None:
        found.explain("records")
        if found_batches:
            last = read_header(found_batches[-1])
            first = read_header(found_batches[0]).base_offset
            end = last.base_offset + last.last_offset_delta + 1
            found.missing.append((topic, partition.partition_index, first, end))

    def _normal(self, batch: Any, present: bool = False) -> Mapping[str, Any]:
        """A batch as what has to be equal."""
        header = read_header(batch)
        producer = header.producer_id
        if producer >= 0 and not present:
            now = self._bindings.now("producer", producer)
            producer, epoch = now, self._bindings.epoch_now(now, header.producer_epoch)
        else:
            epoch = header.producer_epoch
        return {
            "attributes": header.attributes,
            "count": header.record_count,
            "last_offset_delta": header.last_offset_delta,
            "base_timestamp": None if header.is_control else header.base_timestamp,
            "producer": (producer, epoch, header.base_sequence),
            "payload": b"" if header.is_control else bytes(batch[HEADER_SIZE:]),
        }


def _by_offset(records: Any) -> dict[int, Any]:
    return {int.from_bytes(batch[:8], "big"): batch for batch in batches(records or b"")}


def _plain(value: Any) -> Any:
    return bytes(value) if isinstance(value, memoryview | bytearray) else value


def _identity(struct: Any) -> str:
    for name in ("name", "topic", "group_id", "key", "partition_index", "partition", "index", "member_id", "topic_id"):
        value = getattr(struct, name, None)
        if value is not None and value != "" and value != bytes(16):
            return value.hex() if isinstance(value, bytes | memoryview) else str(value)
    return "?"


def shown(value: Any) -> str:
    """A value of a difference for people."""
    text = value.hex() if isinstance(value, bytes | memoryview) else repr(value)
    return text if len(text) <= 300 else f"{text[:297]}..."
