"""Whether Kafka's tool and `ottla dump-log` say the same of the same files, number by number.

Records of the internal topics are read by both, too: each field that Kafka's tool shows has to have that value here.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Any, Final

from kproto.formats.consumer_protocol import AssignedTopicPartition, decode_assignment, decode_subscription
from tools.log_check.directory import known_of
from tools.log_files import lines
from tools.log_files.names import Kind, file_named
from tools.trials.kafka_exchange import kafka_dump
from tools.trials.kafka_exchange.kafka_dump import KafkaDump, Line

READ_BY_KAFKA: Final = (
    Kind.SEGMENT, Kind.OFFSET_INDEX, Kind.TIME_INDEX, Kind.TRANSACTION_INDEX, Kind.PRODUCER_SNAPSHOT,
)  # fmt: skip
STATES: Final = (
    "Empty", "Ongoing", "PrepareCommit", "PrepareAbort", "CompleteCommit", "CompleteAbort", "Dead", "PrepareEpochFence",
)  # fmt: skip
"""What Kafka's tool calls the states of transactions, by their numbers."""
INDEXES: Final = (Kind.OFFSET_INDEX, Kind.TIME_INDEX)

_WORD: Final = re.compile(r"(?<!^)([A-Z])")
_BATCH: Final = (
    "base_offset", "last_offset", "count", "position", "size", "crc", "crc_valid", "codec", "timestamp_type",
    "max_timestamp", "leader_epoch", "producer_id", "producer_epoch", "base_sequence", "last_sequence",
    "transactional", "control",
)  # fmt: skip


def files_of(data: Path, kinds: Sequence[Kind] = READ_BY_KAFKA) -> list[Path]:
    """The files of a data directory that the tool can read."""
    return sorted(
        path
        for path in data.rglob("*")
        if path.is_file() and (named := file_named(path.name)) is not None and named.kind in kinds and not named.state
    )


class Agreement:
    """Runs both over a directory. `counted` has how many lines of which kind were compared."""

    def __init__(self, data: Path, tool: str) -> None:
        self._data = data
        self._tool = tool
        self.counted: dict[str, int] = {}

    def complaints(self) -> Iterator[str]:
        """What Kafka's tool complains of, and where the two differ. Raises ToolFailed."""
        files = files_of(self._data)
        deep = kafka_dump.run(self._tool, files, "--deep-iteration") if files else KafkaDump({}, [], [], [])
        if not files:
            yield f"{self._data}: there is nothing that the tool reads"
            return
        yield from deep.complaints
        yield from _unless_compacted(deep)
        indexes = files_of(self._data, INDEXES)
        for option in ("--index-sanity-check", "--verify-index-only"):
            checked = kafka_dump.run(self._tool, indexes, option)
            yield from checked.complaints
            yield from _unless_compacted(checked)
        self.counted["file"] = len(files)
        for path in files:
            yield from self._file(path, deep)
        for topic in kafka_dump.DECODERS:
            yield from self._records(topic)

    def _records(self, topic: str) -> Iterator[str]:
        """The records of an internal topic."""
        files = [path for path in files_of(self._data, (Kind.SEGMENT,)) if path.parent.name.rpartition("-")[0] == topic]
        files = [path for path in files if path.stat().st_size]
        if not files:
            return
        decoded, complaints = kafka_dump.decoded(self._tool, topic, files)
        yield from complaints
        for path in files:
            ours = {line["offset"]: line for line in lines.of_file(path, records=True) if line["type"] == "record"}
            theirs = decoded.get(str(path), [])
            if len(ours) != len(theirs):
                yield f"{path}: dump-log reads {len(ours)} records, Kafka's tool {len(theirs)}"
            for record in theirs:
                self.counted["decoded record"] = self.counted.get("decoded record", 0) + 1
                line = ours.get(record.offset)
                if line is None or not (says(record.key, line["key"]) and says(record.value, line["value"])):
                    yield f"{path}: dump-log says {line}, Kafka's tool says {record}"
                    break

    def _file(self, path: Path, dump: KafkaDump) -> Iterator[str]:
        if str(path) not in dump.files:
            yield f"{path}: Kafka's tool does not mention it"
            return
        ours = [in_common(line) for line in lines.of_file(path, records=True) if line["type"] != "file"]
        theirs = [in_common(line) for line in dump.files[str(path)]]
        for mine, kafkas in zip_longest(ours, theirs):
            kind = (mine or kafkas)["type"]
            self.counted[kind] = self.counted.get(kind, 0) + 1
            if mine != kafkas:
                yield f"{path}: dump-log says {mine}, Kafka's tool says {kafkas}"
                return


def _unless_compacted(dump: KafkaDump) -> Iterator[str]:
    """What the tool says of compacted logs only, if it says it of another."""
    said = [(file, f"offset {before} is followed by {after}") for file, before, after in dump.gaps]
    said += [(file, "it has an entry for a batch without that timestamp") for file in dump.hollow]
    for file, words in said:
        known = known_of(Path(file).parent)
        if not (known.compacted or known.cleaner_offset):
            yield f"{file}: {words}, says Kafka's tool, and the log is not compacted"


def says(theirs: Any, ours: Any) -> bool:
    """Whether a key or value, in both cases named by its kind, has everything that Kafka's tool shows of it."""
    if theirs is None or ours is None:
        return ours is None or (theirs is None and isinstance(ours, str))  # a key where the tool shows none
    if not isinstance(ours, dict) or len(ours) != 1:
        return False
    [(name, fields)] = ours.items()
    kind = theirs.get("type", "")
    return (kind.isdigit() or kind.replace("_", "").lower() in ("", name.lower())) and agrees(theirs["data"], fields)


def agrees(theirs: Any, ours: Any) -> bool:
    """Whether each field that Kafka's tool shows is so here; bytes it shows in base64."""
    if isinstance(theirs, dict) and isinstance(ours, dict):
        if ours.keys() == {"hex"} and theirs.keys() & {"topics", "assignedPartitions"}:
            return _of_member(theirs, bytes.fromhex(ours["hex"]))
        return all(agrees(value, ours.get(_WORD.sub(r"_\1", name).lower())) for name, value in theirs.items())
    if isinstance(theirs, list) and isinstance(ours, list):
        return len(theirs) == len(ours) and all(map(agrees, theirs, ours))
    if theirs == ours or (theirs in STATES and ours == STATES.index(theirs)):
        return True
    try:
        data = base64.b64decode(theirs, validate=True)
    except (TypeError, ValueError, binascii.Error):
        return False
    return data == (bytes.fromhex(ours["hex"]) if isinstance(ours, dict) else str(ours).encode())


def _of_member(theirs: dict[str, Any], data: bytes) -> bool:
    """Whether the topics and partitions are so that Kafka's tool reads in a member's subscription or assignment."""
    if "topics" in theirs:
        return bool(theirs["topics"] == decode_subscription(data).topics)
    assigned = [shown(each) for each in decode_assignment(data).assigned_partitions]
    return bool(theirs["assignedPartitions"] == assigned)


def shown(assigned: AssignedTopicPartition) -> dict[str, Any]:
    """A topic's partitions as Kafka's tool shows them."""
    return {"topic": assigned.topic, "partitions": assigned.partitions}


def in_common(line: Line) -> dict[str, Any]:
    """What both say of a thing, in the same words."""
    kind = line["type"]
    if kind == "batch":
        return {"type": kind, **{name: line[name] for name in _BATCH}, "horizon": line.get("delete_horizon")}
    if kind == "control" or (kind == "record" and line.get("control")):
        return {"type": "control", "offset": line["offset"], "timestamp": line["timestamp"]}
    if kind == "record":
        names = ("type", "offset", "timestamp", "key_size", "value_size")
        headers = line["headers"]
        if isinstance(headers, list):
            headers = ",".join(name for name, _ in headers)
        return {name: line[name] for name in names} | {"sequence": line.get("sequence", -1), "headers": headers or ""}
    if kind == "producer":
        # Kafka shows a producer without a batch by leaving its fields out.
        names = ("producer_id", "producer_epoch", "coordinator_epoch", "last_sequence", "last_offset")
        found = {name: line[name] for name in names}
        if found["last_offset"] in (None, -1):
            found |= {"last_sequence": None, "last_offset": None}
        return {"type": kind, **found}
    return line
