"""`ottla dump-log`: every kind of file, as JSON lines and for people, damaged or not."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest

from kproto.batches.records import ControlRecordType, RecordData, build_batch, build_control_batch
from kproto.formats import share_group_state, transaction_state
from kproto.formats.control_records import (
    KRaftVersionRecord,
    LeaderChangeMessage,
    LeaderChangeVoter,
    SnapshotHeaderRecord,
)
from kproto.formats.share_group_state import ShareSnapshotKey, ShareSnapshotValue
from kproto.formats.transaction_state import TransactionLogKey, TransactionLogValue
from kproto.schema.compile import encode
from kproto.schema.declare import Data
from storage.local import dirty_logs
from storage.testing.log_builder import EPOCH_MS
from tools.commands.dump_log import main
from tools.log_files.names import DirectoryName, FileName, Kind, directory_named, file_named

Line = dict[str, Any]


@pytest.fixture
def dump(capsys: pytest.CaptureFixture[str]) -> Callable[..., list[Line]]:
    """Runs the command, which has to end with `status`; the lines it prints."""

    def run(*words: str | Path, status: int = 0) -> list[Line]:
        capsys.readouterr()
        assert main([*map(str, words), "--json"]) == status
        return [json.loads(line) for line in capsys.readouterr().out.splitlines()]

    return run


def of_type(lines: list[Line], kind: str) -> list[Line]:
    """The lines of one type."""
    return [line for line in lines if line["type"] == kind]


def first_segment(data: Path, log: str = "orders-0") -> Path:
    """A log's first segment."""
    return min((data / log).glob("*.log"))


def test_every_file_of_a_directory(sound: Path, dump: Callable[..., list[Line]]) -> None:
    """All that is there is understood; each file once, with its kind, its log and its offset."""
    files = of_type(dump(sound, "--records", "--index-check"), "file")
    assert sorted(line["file"] for line in files) == sorted(str(path) for path in sound.rglob("*") if path.is_file())
    kinds = {line["kind"] for line in files}
    absent = {Kind.METADATA_SNAPSHOT, Kind.QUORUM_STATE, Kind.DIRTY_LOGS}
    assert kinds == {kind.value for kind in Kind if kind not in absent}
    [txnindex] = [line for line in files if line["kind"] == "transaction index" and line["topic"] == "orders"][:1]
    assert txnindex.items() >= {"partition": 0, "size": 68}.items()


def test_the_list_of_dirty_logs(
    tmp_path: Path, dump: Callable[..., list[Line]], capsys: pytest.CaptureFixture[str]
) -> None:
    """Which logs a start after a crash would look at; one that it would not believe is unreadable."""
    path = tmp_path / dirty_logs.NAME
    path.write_bytes(dirty_logs.encode([("b", 3), ("a", 12)], 77))
    assert of_type(dump(path), "dirty_log") == [
        {"type": "dirty_log", "topic": "a", "partition": 12}, {"type": "dirty_log", "topic": "b", "partition": 3}
    ]  # fmt: skip
    assert main([str(path)]) == 0
    assert capsys.readouterr().out.splitlines()[1:] == ["  a-12", "  b-3"]
    path.write_bytes(path.read_bytes()[:-3])
    assert of_type(dump(path, status=1), "unreadable")


def test_batches(sound: Path, dump: Callable[..., list[Line]]) -> None:
    """A batch's header, its place in the file and whether its CRC is right."""
    lines = dump(first_segment(sound))
    batches = of_type(lines, "batch")
    assert batches[0] == {
        "type": "batch", "base_offset": 0, "last_offset": 1, "count": 2, "position": 0, "size": batches[1]["position"],
        "crc": batches[0]["crc"], "crc_valid": True, "codec": "none", "timestamp_type": "CreateTime",
        "base_timestamp": EPOCH_MS, "max_timestamp": EPOCH_MS, "leader_epoch": 0, "producer_id": 100,
        "producer_epoch": 0, "base_sequence": 0, "last_sequence": 1, "transactional": False, "control": False,
    }  # fmt: skip
    assert [line["base_offset"] for line in batches[1:]] == [line["last_offset"] + 1 for line in batches[:-1]]
    assert sum(line["size"] for line in batches) == lines[0]["size"]
    assert {line["codec"] for line in batches} == {"none", "gzip", "snappy", "lz4", "zstd"}
    assert not of_type(lines, "record")


def test_records(sound: Path, dump: Callable[..., list[Line]]) -> None:
    """With --records, what is in the batches, transaction markers included."""
    lines = dump(sound / "orders-0", "--records")
    records = of_type(lines, "record")
    assert records[1] == {
        "type": "record", "offset": 1, "timestamp": EPOCH_MS, "key_size": -1, "value_size": 0, "key": None, "value": "",
        "headers": [], "sequence": 1,
    }  # fmt: skip
    assert records[5]["value"] == "z" * 80
    assert "sequence" not in records[5]
    assert [(line["control"], line["value"]) for line in of_type(lines, "control")] == [
        ("ABORT", {"coordinator_epoch": 0}),
        ("COMMIT", {"coordinator_epoch": 0}),
        ("ABORT", {"coordinator_epoch": 3}),
    ]


def test_keys_values_and_headers_that_are_no_text(tmp_path: Path, dump: Callable[..., list[Line]]) -> None:
    """Text where the bytes are text, hexadecimal digits where not, null where there is nothing."""
    path = tmp_path / f"{0:020d}.log"
    record = RecordData(timestamp=1, key=b"\xff\0", value="grüß\n".encode(), headers=[("h", None), ("i", b"\0")])
    path.write_bytes(build_batch([record, RecordData(timestamp=1, key=b"k")]))
    first, second = of_type(dump(path, "--deep"), "record")
    assert (first["key"], first["value"]) == ({"hex": "ff00"}, "grüß\n")
    assert first["headers"] == [["h", None], ["i", {"hex": "00"}]]
    assert (second["key"], second["value"]) == ("k", None)


def test_consumer_offsets(sound: Path, dump: Callable[..., list[Line]]) -> None:
    """Keys and values by name, a tombstone without a value."""
    commit, tombstone = of_type(dump(first_segment(sound, "__consumer_offsets-0"), "--records"), "record")
    assert commit["key"] == {"OffsetCommitKey": {"group": "g", "topic": "orders", "partition": 1}}
    assert commit["value"]["OffsetCommitValue"].items() >= {"offset": 42, "metadata": "m"}.items()
    assert tombstone["key"] == commit["key"]
    assert tombstone["value"] is None


def test_cluster_metadata(sound: Path, dump: Callable[..., list[Line]]) -> None:
    """Records by name, ids in Kafka's base64."""
    records = of_type(dump(first_segment(sound, "__cluster_metadata-0"), "--records"), "record")
    assert records[0]["value"] == {"TopicRecord": {"name": "orders", "topic_id": "AAAAAW9yZGVycwAAAAAAAA"}}


@pytest.mark.parametrize(
    ("topic", "pair", "names"),
    [
        (
            "__transaction_state",
            transaction_state.encode_record(
                TransactionLogKey(transactional_id="t"), TransactionLogValue(producer_id=5)
            ),
            ("TransactionLogKey", "TransactionLogValue"),
        ),
        (
            "__share_group_state",
            share_group_state.encode_record(ShareSnapshotKey(group_id="s"), ShareSnapshotValue(start_offset=9)),
            ("ShareSnapshotKey", "ShareSnapshotValue"),
        ),
    ],
)
def test_other_internal_topics(
    tmp_path: Path, topic: str, pair: tuple[bytes, bytes], names: tuple[str, str], dump: Callable[..., list[Line]]
) -> None:
    """The states of transactions and of share groups; a record that is none is shown with the reason."""
    directory = tmp_path / f"{topic}-3"
    directory.mkdir()
    path = directory / f"{0:020d}.log"
    path.write_bytes(build_batch([RecordData(timestamp=1, key=pair[0], value=pair[1])]))
    [record] = of_type(dump(path, "--records"), "record")
    assert (*record["key"], *record["value"]) == names
    path.write_bytes(build_batch([RecordData(timestamp=1, key=b"?", value=b"\x63\x63")]))
    [record] = of_type(dump(path, "--records", status=1), "record")
    assert record["key"] == "?"
    assert "no room" in record["unreadable"]


def _body(message: Data, version: int = 0) -> bytes:
    return b"".join(cast(list[bytes], encode(message, version)))


def test_control_records_of_kraft(tmp_path: Path, dump: Callable[..., list[Line]]) -> None:
    """What a quorum writes for itself, in a log and in a snapshot of the metadata."""
    directory = tmp_path / "__cluster_metadata-0"
    directory.mkdir()
    path = directory / "00000000000000000007-0000000001.checkpoint"
    content = b""
    for offset, (kind, message, version) in enumerate(
        (
            (ControlRecordType.SNAPSHOT_HEADER, SnapshotHeaderRecord(last_contained_log_timestamp=5), 0),
            (ControlRecordType.KRAFT_VERSION, KRaftVersionRecord(k_raft_version=1), 0),
            (
                ControlRecordType.LEADER_CHANGE,
                LeaderChangeMessage(version=1, leader_id=1, voters=[LeaderChangeVoter(voter_id=1)]),
                1,
            ),
        )
    ):
        content += build_control_batch(kind, _body(message, version), timestamp=1, base_offset=offset)
    content += build_control_batch(ControlRecordType.ABORT, b"", timestamp=1, base_offset=3)
    path.write_bytes(content)
    lines = dump(path, "--records", status=1)
    assert lines[0].items() >= {"kind": "metadata snapshot", "offset": 7, "topic": "__cluster_metadata"}.items()
    header, kraft, leader, unreadable = of_type(lines, "control")
    assert (header["control"], header["value"]["last_contained_log_timestamp"]) == ("SNAPSHOT_HEADER", 5)
    assert (kraft["control"], kraft["value"]["k_raft_version"]) == ("KRAFT_VERSION", 1)
    assert leader["value"]["voters"] == [{"voter_id": 1, "voter_directory_id": "AAAAAAAAAAAAAAAAAAAAAA"}]
    assert "unreadable" in unreadable


def test_indexes(sound: Path, dump: Callable[..., list[Line]]) -> None:
    """Offsets come out absolute; the entries are those of batches."""
    segment = sorted((sound / "orders-0").glob("*.log"))[1]
    batches = {line["last_offset"]: line for line in of_type(dump(segment), "batch")}
    entries = of_type(dump(segment.with_suffix(".index")), "entry")
    assert entries
    assert all(batches[entry["offset"]]["position"] == entry["position"] for entry in entries)
    entries = of_type(dump(segment.with_suffix(".timeindex")), "entry")
    assert entries
    assert all(batches[entry["offset"]]["max_timestamp"] == entry["timestamp"] for entry in entries)


def test_zeros_behind_an_index(sound: Path, tmp_path: Path, dump: Callable[..., list[Line]]) -> None:
    """What Kafka has mapped and not used yet is no entry, and no damage."""
    for suffix in (".index", ".timeindex"):
        path = tmp_path / f"{0:020d}{suffix}"
        content = first_segment(sound).with_suffix(suffix).read_bytes()
        path.write_bytes(content + bytes(2400))
        expected = dump(first_segment(sound).with_suffix(suffix))[1:]
        assert dump(path)[1:] == [*expected, {"type": "preallocated", "size": 2400}]


def test_the_small_files(sound: Path, tmp_path: Path, dump: Callable[..., list[Line]]) -> None:
    """Snapshots, transaction indexes, epochs, ids, checkpoints, markers."""
    [_, first, second] = dump(next((sound / "orders-0").glob("*.txnindex")))
    assert (first["producer_id"], second["producer_id"]) == (7, 8)
    assert (first["last_offset"], first["last_stable_offset"]) == (93, 92)
    states = of_type(dump(max((sound / "orders-0").glob("*.snapshot"))), "producer")
    assert {state["producer_id"] for state in states} == {100, 7, 8}
    assert dump(sound / "orders-0" / "leader-epoch-checkpoint")[1:] == [
        {"type": "epoch", "epoch": 0, "start_offset": 0}
    ]
    assert dump(sound / "orders-0" / "partition.metadata")[1:] == [
        {"type": "topic_id", "topic_id": "AAAAAW9yZGVycwAAAAAAAA"}
    ]
    assert {"type": "offset", "topic": "deleted", "partition": 0, "offset": 33} in dump(
        sound / "log-start-offset-checkpoint"
    )
    assert dump(sound / "meta.properties")[1]["node_id"] == 1
    assert dump(sound / ".kafka_cleanshutdown")[1:] == [{"type": "values", "values": {"version": 0, "brokerEpoch": -1}}]
    state = tmp_path / "quorum-state"
    state.write_text('{"leaderId":1,"leaderEpoch":2,"data_version":1}')
    assert dump(state)[1]["values"]["leaderEpoch"] == 2


@pytest.mark.parametrize(
    "name",
    [
        "leader-epoch-checkpoint", "partition.metadata", "recovery-point-offset-checkpoint", "meta.properties",
        ".kafka_cleanshutdown", "00000000000000000003.snapshot", "00000000000000000003.txnindex", ".lock",
        "00000000000000000003.index", "00000000000000000003.timeindex",
    ],
)  # fmt: skip
def test_a_file_that_is_not_what_its_name_says(tmp_path: Path, name: str, dump: Callable[..., list[Line]]) -> None:
    """A line says so, and the status is 1."""
    (tmp_path / name).write_bytes(b"garbage")
    [line] = of_type(dump(tmp_path / name, status=1), "unreadable")
    assert line["reason"]


def test_damage_is_shown_and_passed_over(sound: Path, tmp_path: Path, dump: Callable[..., list[Line]]) -> None:
    """A batch with a wrong CRC, bytes that are none, a torn end: everything else is printed."""
    path = tmp_path / f"{0:020d}.log"
    content = bytearray(first_segment(sound).read_bytes())
    before = of_type(dump(first_segment(sound)), "batch")
    content[before[2]["position"] + 65] ^= 1
    start = before[5]["position"]
    content[start : start + before[5]["size"]] = b"?" * before[5]["size"]
    path.write_bytes(content[:-5])
    lines = dump(path, "--records", status=1)
    batches = of_type(lines, "batch")
    assert [line["crc_valid"] for line in batches[:4]] == [True, True, False, True]
    assert [line["base_offset"] for line in batches] == [
        line["base_offset"] for number, line in enumerate(before[:-1]) if number != 5
    ]
    middle, torn = of_type(lines, "hole")
    assert (middle["position"], middle["size"]) == (start, before[5]["size"])
    assert (torn["position"], torn["size"]) == (before[-1]["position"], before[-1]["size"] - 5)
    assert "are left" in torn["reason"]


def test_indexes_held_against_their_segment(sound: Path, tmp_path: Path, dump: Callable[..., list[Line]]) -> None:
    """With --index-check an index that is wrong about the segment beside it is reported."""
    data = shutil.copytree(sound, tmp_path / "data")
    index = first_segment(data).with_suffix(".index")
    content = bytearray(index.read_bytes())
    content[7] ^= 1
    index.write_bytes(content)
    assert not of_type(dump(index), "wrong")
    [line] = of_type(dump(data, "--index-check", status=1), "wrong")
    assert "where no batch begins" in line["sentence"]


def test_for_people(sound: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The same as text: a line for each, times readable."""
    assert main([str(sound), "--records"]) == 0
    text = capsys.readouterr().out
    assert "  batch 0..1 count 2, byte 0 size " in text
    assert "CreateTime max 1700000000000 (2023-11-14 22:13:20.000)" in text
    assert 'key {"OffsetCommitKey": {"group": "g", "topic": "orders", "partition": 1}} value null' in text
    assert 'ABORT {"coordinator_epoch": 3}' in text
    assert "  deleted-0 33\n" in text
    assert main([str(sound), "--json"]) == 0
    assert text.count("\n") > capsys.readouterr().out.count("\n") > 100
    broken = tmp_path / f"{0:020d}.log"
    broken.write_bytes(b"?" * 100)
    assert main([str(broken)]) == 1
    assert "NO BATCH at byte 0, 100 bytes: " in capsys.readouterr().out


def test_what_cannot_be_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A file that is not there, or whose name says nothing: status 2 and a sentence; the others are printed."""
    fine = tmp_path / "quorum-state"
    fine.write_text("{}")
    strange = tmp_path / "notes.txt"
    strange.write_text("")
    assert main([str(tmp_path / "missing.log"), str(strange), str(fine)]) == 2
    output = capsys.readouterr()
    assert "missing.log: No such file" in output.err
    assert "notes.txt: no file of a data directory" in output.err
    assert "quorum state, 2 bytes" in output.out


def test_names() -> None:
    """Kafka's names and nothing else."""
    assert file_named("00000000000000000042.log") == FileName(Kind.SEGMENT, 42)
    assert file_named("00000000000000000042.timeindex.deleted") == FileName(Kind.TIME_INDEX, 42, ".deleted")
    assert file_named("42.log") is None
    assert file_named("00000000000000000042.log.bak1") is None
    assert directory_named("a-b-7") == DirectoryName("a-b", 7)
    assert directory_named(f"a-7.{'f' * 32}-delete") == DirectoryName("a", 7, "delete")
    assert directory_named("a-") is None
