"""What Kafka's tool prints is understood line by line, and whatever is not foreseen is a complaint."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from tools.log_files import lines
from tools.tests.log_files.data_directory import write
from tools.trials.kafka_exchange import kafka_dump
from tools.trials.kafka_exchange.agreement import Agreement, files_of, in_common
from tools.trials.kafka_exchange.kafka_dump import Decoded, KafkaDump, ToolFailed, understand

OUTPUT = """\
Dumping logs/t-0/00000000000000000007.log
Log starting offset: 7
baseOffset: 7 lastOffset: 8 count: 2 baseSequence: 3 lastSequence: 4 producerId: 5 producerEpoch: 1 partitionLeaderEpoch: 2 isTransactional: true isControl: false deleteHorizonMs: OptionalLong.empty position: 0 CreateTime: 1700000000007 size: 91 magic: 2 compresscodec: zstd crc: 2510492043 isvalid: true
| offset: 7 CreateTime: 1700000000006 keySize: -1 valueSize: 6 sequence: 3 headerKeys: []
| offset: 8 CreateTime: 1700000000007 keySize: 2 valueSize: -1 sequence: 4 headerKeys: [h,n]
baseOffset: 9 lastOffset: 9 count: 1 baseSequence: -1 lastSequence: -1 producerId: 5 producerEpoch: 1 partitionLeaderEpoch: 2 isTransactional: true isControl: true deleteHorizonMs: OptionalLong[1700000000999] position: 91 LogAppendTime: 1700000000008 size: 78 magic: 2 compresscodec: none crc: 1 isvalid: false
| offset: 9 LogAppendTime: 1700000000008 keySize: 4 valueSize: 6 sequence: -1 headerKeys: [] endTxnMarker: ABORT coordinatorEpoch: 0
Dumping logs/t-0/00000000000000000007.index
offset: 8 position: 91
Dumping logs/t-0/00000000000000000007.timeindex
timestamp: 1700000000007 offset: 8
Dumping logs/t-0/00000000000000000007.txnindex
version: 0 producerId: 5 firstOffset: 7 lastOffset: 9 lastStableOffset: 10
Dumping logs/t-0/00000000000000000007.snapshot
producerId: 5 producerEpoch: 1 coordinatorEpoch: -1 currentTxnFirstOffset: OptionalLong[4] lastTimestamp: 17 firstSequence: 1 lastSequence: 2 lastOffset: 6 offsetDelta: 1 timestamp: 17
producerId: 6 producerEpoch: 0 coordinatorEpoch: 3 currentTxnFirstOffset: OptionalLong.empty lastTimestamp: 17 \n\
logs/t-0/00000000000000000008.index is empty.
logs/t-0/00000000000000000007.index passed sanity check.
Non-consecutive offsets in logs/t-0/00000000000000000007.log
  -1 is followed by 7
"""  # noqa: E501


def test_every_kind_of_line() -> None:
    """Batches, records, control records, entries of the indexes, producers: numbers as numbers."""
    dump = understand(OUTPUT.splitlines())
    assert (dump.complaints, dump.gaps, dump.hollow) == ([], [], [])
    log = dump.files["logs/t-0/00000000000000000007.log"]
    assert [line["type"] for line in log] == ["batch", "record", "record", "batch", "record"]
    assert log[0].items() >= {
        "base_offset": 7, "last_sequence": 4, "transactional": True, "codec": "zstd", "crc": 2510492043,
        "crc_valid": True, "timestamp_type": "CreateTime", "delete_horizon": None, "max_timestamp": 1700000000007,
    }.items()  # fmt: skip
    assert log[3].items() >= {"delete_horizon": 1700000000999, "crc_valid": False, "control": True}.items()
    assert (log[2]["headers"], log[2]["value_size"], log[1]["headers"]) == ("h,n", -1, "")
    assert log[4]["control"] == "endTxnMarker: ABORT coordinatorEpoch: 0"
    base = "logs/t-0/00000000000000000007"
    assert dump.files[f"{base}.index"] == [{"type": "entry", "offset": 8, "position": 91}]
    assert dump.files[f"{base}.timeindex"] == [{"type": "entry", "timestamp": 1700000000007, "offset": 8}]
    assert dump.files[f"{base}.txnindex"][0]["last_stable_offset"] == 10
    first, second = dump.files[f"{base}.snapshot"]
    assert (first["transaction_first_offset"], first["last_offset"]) == (4, 6)
    assert (second["coordinator_epoch"], second["last_offset"]) == (3, None)


@pytest.mark.parametrize(
    "sentence",
    [
        "Mismatches in :logs/t-0/00000000000000000007.index",
        "Found out of order timestamp in :logs/t-0/00000000000000000007.timeindex",
        "  Index timestamp: 5, log timestamp: 4",
        "The following indexed offsets are not found in the log.",
        'Exception in thread "main" java.lang.IllegalStateException',
    ],
)
def test_what_is_not_foreseen_is_a_complaint(sentence: str) -> None:
    """Nothing that the tool says may pass for approval."""
    assert len(understand([*OUTPUT.splitlines(), sentence]).complaints) == 1


def test_what_may_be_said_of_compacted_logs() -> None:
    """Gaps, and time index entries of batches that are empty by now, are kept apart."""
    dump = understand([
        *OUTPUT.splitlines(), "  12 is followed by 15", "Found timestamp mismatch in :logs/t-0/7.timeindex",
        "  Index timestamp: 17, log timestamp: -1",
    ])  # fmt: skip
    assert dump.complaints == []
    assert dump.gaps == [("logs/t-0/00000000000000000007.log", 12, 15)]
    assert dump.hollow == ["logs/t-0/7.timeindex"]


def test_a_tool_that_cannot_be_run(tmp_path: Path) -> None:
    """That is no agreement."""
    with pytest.raises(ToolFailed, match="status 1"):
        kafka_dump.run("false", [tmp_path / "a.log"])
    with pytest.raises(ToolFailed):
        kafka_dump.run(str(tmp_path / "missing"), [tmp_path / "a.log"])


def as_kafka_says(data: Path, changed: dict[str, Any] | None = None) -> KafkaDump:
    """What the tool would say of a directory, taken from dump-log; one batch may be `changed`."""
    dump = KafkaDump({}, [], [], [])
    for path in files_of(data):
        said = [in_common(line) for line in lines.of_file(path, records=True) if line["type"] != "file"]
        for line in said:
            if line["type"] == "batch":
                line["delete_horizon"] = line.pop("horizon")
        dump.files[str(path)] = said
        if changed and path.suffix == ".log":
            said[0].update(changed)
            changed = None
    return dump


def in_kafkas_words(line: dict[str, Any]) -> Decoded:
    """A record of an internal topic as Kafka's tool prints it."""

    def named(value: dict[str, Any] | str | None) -> Any:
        if not isinstance(value, dict):
            return None
        [(kind, found)] = value.items()
        data = {re.sub("_(.)", lambda match: match[1].upper(), name): field for name, field in found.items()}
        return {"type": re.sub("(?<!^)(?=[A-Z])", "_", kind).upper(), "version": 0, "data": data}

    return Decoded(line["offset"], named(line["key"]), named(line["value"]))


def test_records_of_internal_topics(tmp_path: Path) -> None:
    """The tool reads out what they say; what it cannot read is a complaint."""
    head = "CreateTime: 5 keySize: 24 valueSize: 51 sequence: -1 headerKeys: []"
    printed = [
        "Dumping logs/__consumer_offsets-3/0.log",
        "Log starting offset: 0",
        f'| offset: 0 {head} key: {{"type":"1","data":{{"group":"a key: b"}}}} payload: {{"version":"4","data":{{}}}}',
        f'| offset: 1 {head} key: {{"type":"1","data":{{"group":"g"}}}} payload: <DELETE>',
        "Error at offset 2, skipping. Unknown record type",
    ]
    tool = tmp_path / "tool"
    tool.write_text("#!/bin/sh\ncat <<'.'\n" + "\n".join(printed) + "\n.\n")
    tool.chmod(0o755)
    found, complaints = kafka_dump.decoded(str(tool), "__consumer_offsets", [tmp_path / "a.log"])
    assert complaints == ["Error at offset 2, skipping. Unknown record type"]
    key = {"type": "1", "data": {"group": "g"}}
    assert found["logs/__consumer_offsets-3/0.log"][1] == Decoded(1, key, None)
    assert found["logs/__consumer_offsets-3/0.log"][0].key["data"] == {"group": "a key: b"}


def test_agreement(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One different number anywhere is reported; so are gaps in a log that is not compacted."""
    data = tmp_path / "data"
    write(data)
    dump = as_kafka_says(data)

    def run(_: str, files: object, *options: str) -> KafkaDump:
        return dump if "--deep-iteration" in options else KafkaDump({}, [], [], [])

    def decoded(_: str, topic: str, files: list[Path]) -> tuple[dict[str, list[Decoded]], list[str]]:
        found = {str(path): [in_kafkas_words(line) for line in lines.of_file(path, records=True)
                             if line["type"] == "record"] for path in files}  # fmt: skip
        if topic == wrong:
            path, records = next(iter(found.items()))
            found[path] = [Decoded(0, records[0].key, {"type": "", "data": {"wrong": 1}}), *records[1:]]
        return found, []

    wrong = ""
    monkeypatch.setattr(kafka_dump, "run", run)
    monkeypatch.setattr(kafka_dump, "decoded", decoded)
    sound = Agreement(data, "tool")
    assert list(sound.complaints()) == []
    assert sound.counted["batch"] > 100
    assert {"file", "batch", "record", "control", "entry", "aborted", "producer", "decoded record"} == set(
        sound.counted
    )
    for wrong in ("__cluster_metadata", "__consumer_offsets"):
        [complaint] = Agreement(data, "tool").complaints()
        assert wrong in complaint
    wrong = ""
    dump = as_kafka_says(data, {"crc": 1})
    assert len(list(Agreement(data, "tool").complaints())) == 1
    dump = as_kafka_says(data)
    dump.gaps.append((str(data / "orders-0" / f"{0:020d}.log"), 3, 5))
    dump.gaps.append((str(data / "__consumer_offsets-0" / f"{0:020d}.log"), 3, 5))
    [complaint] = Agreement(data, "tool").complaints()
    assert "orders-0" in complaint
    del dump.files[str(data / "orders-0" / f"{0:020d}.log")]
    assert any("does not mention" in said for said in Agreement(data, "tool").complaints())
    assert list(Agreement(tmp_path / "data" / "deleted-1", "tool").complaints()) != []
