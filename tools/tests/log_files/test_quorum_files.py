"""`dump-log` and `check-log` on what a quorum has beside its log: snapshots, and who leads."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import trio

from broker.coordinators.cluster.quorum_files import QuorumFiles
from kproto.formats.cluster_metadata import FeatureLevelRecord, TopicRecord, encode_record
from kproto.formats.metadata_snapshot import Quorum, SnapshotId, write_snapshot
from kproto.formats.quorum_state import QuorumState
from storage.testing.log_builder import batch, spec
from storage.tests.local.local_lab import Place
from tools.commands.check_log import main as check_log
from tools.commands.dump_log import main as dump_log

VALUES = [
    encode_record(FeatureLevelRecord(name="metadata.version", feature_level=30)),
    encode_record(TopicRecord(name="t", topic_id=bytes(15) + b"t")),
]
NAME = "00000000000000000003-0000000000.checkpoint"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The cluster's log with a snapshot and a leader."""
    place = Place(tmp_path / "data")
    trio.run(fill, place)
    return place.path / "__cluster_metadata-0"


async def fill(place: Place) -> None:
    log_spec = spec("__cluster_metadata", segment_bytes=90)
    async with place.open() as store:
        log = store.log(log_spec)
        for _ in range(5):
            log.begin_append([batch(encode_record(FeatureLevelRecord(name="metadata.version", feature_level=30)))])
        files = QuorumFiles(store.blobs(log_spec))
        await files.write_snapshot(SnapshotId(3, 0), lambda: write_snapshot(0, 1, Quorum(), VALUES, 2))
        await files.write_quorum_state(QuorumState(0, 1, 0, voters=(1,)))
        await log.delete_before(3)
        await store.removal.remove_due(float("inf"))


def findings(folder: Path, capsys: pytest.CaptureFixture[str]) -> tuple[list[str], list[str]]:
    """What is wrong, and what there is to note."""
    capsys.readouterr()
    check_log([str(folder.parent), "--json"])
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    wrong = [f"{Path(line['path']).name}: {line['sentence']}" for line in lines if not line["note"]]
    return wrong, [f"{Path(line['path']).name}: {line['sentence']}" for line in lines if line["note"]]


def test_a_sound_log_behind_a_snapshot(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing is wrong, and there is nothing to say."""
    assert not (folder / f"{0:020d}.log").exists(), "the log was cut"
    assert findings(folder, capsys) == ([], [])


def test_a_dump_shows_all_of_it(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Header, records and footer; the leader; in text and as JSON."""
    assert dump_log([str(folder / NAME), str(folder / "quorum-state"), "--records"]) == 0
    text = capsys.readouterr().out
    assert "metadata snapshot of __cluster_metadata-0 at offset 3" in text
    assert "SNAPSHOT_HEADER" in text and "SNAPSHOT_FOOTER" in text and '"TopicRecord": {"name": "t"' in text
    assert '"leaderId": 1' in text
    assert dump_log([str(folder / NAME), str(folder / "quorum-state"), "--records", "--json"]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["control"] for line in lines if line["type"] == "control"] == ["SNAPSHOT_HEADER", "SNAPSHOT_FOOTER"]
    assert lines[-1]["values"]["currentVoters"] == [{"voterId": 1}]


def test_a_snapshot_that_is_cut_between_batches(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each batch is fine, and the whole is not: both commands say so."""
    pieces = list(write_snapshot(0, 1, Quorum(), VALUES, 2))
    (folder / NAME).write_bytes(b"".join(pieces[:2]))
    assert dump_log([str(folder / NAME)]) == 1
    assert "WRONG: it is no whole snapshot: it ends without a footer" in capsys.readouterr().out
    wrong, _ = findings(folder, capsys)
    assert wrong == [
        f"{NAME}: it is damaged: it ends without a footer: the rest of it is missing; a start passes it over",
        "__cluster_metadata-0: the log begins at offset 3, and no whole snapshot says what came before: "
        "no broker starts on it",
    ]


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [
        (f"{9:020d}-{0:010d}.checkpoint", b"".join(write_snapshot(0, 1, Quorum(), VALUES, 2)), "but the log ends at 5"),
        (f"{4:020d}-{7:010d}.checkpoint", b"".join(write_snapshot(0, 1, Quorum(), VALUES, 2)), r"of epoch 7, .* \[0\]"),
        (f"{4:020d}-{0:010d}.checkpoint", b"".join(write_snapshot(0, 1, Quorum(), [b"x"], 2)), "that cannot be read"),
        ("quorum-state", b'{"data_version":5}', "its data_version is 5"),
    ],
)
def test_what_does_not_fit(folder: Path, capsys: pytest.CaptureFixture[str], name: str, data: bytes, said: str) -> None:
    """Beyond the log, of another epoch, with unknown records; or no such file at all."""
    (folder / name).write_bytes(data)
    [sentence], _ = findings(folder, capsys)

    assert sentence.startswith(name) and re.search(said, sentence), sentence


def test_what_is_on_its_way_out(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Unfinished snapshots, those that Kafka was removing, and those from before the log was cut: notes."""
    older = f"{1:020d}-{0:010d}.checkpoint"
    (folder / older).write_bytes((folder / NAME).read_bytes())
    (folder / f"{older}.deleted").write_bytes(b"")
    (folder / f"{2:020d}-{0:010d}-99.checkpoint.part").write_bytes(b"")
    wrong, notes = findings(folder, capsys)
    assert wrong == []
    assert [note.partition(": ")[2][:25] for note in notes] == [
        "a snapshot that was about", "a snapshot that did not g", "it ends before the log be",
    ]  # fmt: skip
