"""`ottla check-log`: a sound directory gives no finding, and each kind of damage is described in a sentence."""

from __future__ import annotations

import json
import os
import re
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trio

from kproto.batches.header import compute_crc, read_header
from kproto.errors import ErrorCode
from storage.local import leader_epochs, partition_metadata, producer_snapshot, transaction_index
from storage.local.leader_epochs import EpochStart, LeaderEpochs
from storage.testing.keyed_batches import produced
from storage.testing.lab import refused
from storage.testing.log_builder import ScriptedProducer, spec
from storage.tests.local.local_lab import Place, append
from tools.commands.check_log import main
from tools.log_check.directory import lock_holder


class Checked:
    """What a check said: its status, the sentences about what is wrong, the notes."""

    def __init__(self, status: int, output: str) -> None:
        self.status = status
        lines = [json.loads(line) for line in output.splitlines()]
        self.wrong = [(Path(line["path"]), line["sentence"]) for line in lines if not line["note"]]
        self.notes = [(Path(line["path"]), line["sentence"]) for line in lines if line["note"]]

    def finds(self, path: Path, words: str) -> None:
        """One thing is wrong: `words` (a regular expression), in the file `path`."""
        assert self.status == 1
        [(found, sentence)] = self.wrong
        assert found == path
        assert re.search(words, sentence), sentence

    def notes_only(self, path: Path, words: str) -> None:
        """Nothing is wrong, but there is this to say."""
        assert (self.status, self.wrong) == (0, [])
        assert any(found == path and re.search(words, sentence) for found, sentence in self.notes), self.notes


@pytest.fixture
def check(capsys: pytest.CaptureFixture[str]) -> Callable[..., Checked]:
    """Runs the command."""

    def run(path: Path, *words: str) -> Checked:
        capsys.readouterr()
        status = main([str(path), "--json", *words])
        output = capsys.readouterr()
        assert output.err == ""
        return Checked(status, output.out)

    return run


def segments(data: Path, log: str = "orders-0") -> list[Path]:
    """The segments of a log."""
    return sorted((data / log).glob("*.log"))


def batches_of(segment: Path) -> list[tuple[int, int]]:
    """(position, size) of each batch in a segment."""
    content, position, found = segment.read_bytes(), 0, []
    while position < len(content):
        size = read_header(content, position).size
        found.append((position, size))
        position += size
    return found


def patch(path: Path, position: int, data: bytes) -> None:
    """Overwrite bytes of a file; a negative position counts from its end."""
    content = bytearray(path.read_bytes())
    position %= len(content)
    assert content[position : position + len(data)] != data
    content[position : position + len(data)] = data
    path.write_bytes(content)


def flip(path: Path, position: int) -> None:
    """Change one bit."""
    patch(path, position, bytes([path.read_bytes()[position] ^ 0x10]))


def unclean(data: Path, recovery_point: int = 0) -> None:
    """As if the broker had been killed with orders-0 synced up to `recovery_point`."""
    (data / ".kafka_cleanshutdown").unlink()
    for name in ("recovery-point-offset-checkpoint", "replication-offset-checkpoint"):
        (data / name).write_text(f"0\n1\norders 0 {recovery_point}\n")


# -- nothing wrong -----------------------------------------------------------------------------------------------------


def test_a_sound_directory(data: Path, check: Callable[..., Checked]) -> None:
    """No finding, no note, and nothing in it is changed by looking."""
    before = {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in data.rglob("*") if path.is_file()}
    for words in ([], ["--records"]):
        found = check(data, *words)
        assert (found.status, found.wrong, found.notes) == (0, [], [])
    assert before == {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in data.rglob("*") if path.is_file()}


def test_the_summary_counts(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """For people there is a last line that says how much was looked at."""
    assert main([str(data / "orders-0")]) == 0
    last = capsys.readouterr().out.splitlines()[-1]
    assert re.fullmatch(r"1 log, \d+ segments, 66 batches, 97 records, [\d,]+ bytes: nothing wrong", last), last


@pytest.mark.parametrize("log", ["orders-0", "orders-1", "deleted-0", "__consumer_offsets-0", "__cluster_metadata-0"])
def test_a_partition_alone(sound: Path, log: str, check: Callable[..., Checked]) -> None:
    """One partition's directory can be checked by itself."""
    assert check(sound / log).status == 0


def test_a_partition_away_from_its_data_directory(data: Path, tmp_path: Path, check: Callable[..., Checked]) -> None:
    """Without checkpoints around it there is less to compare, and nothing wrong with that."""
    for log in ("orders-0", "deleted-0"):
        assert check((data / log).rename(tmp_path / log)).status == 0


def test_after_a_kill(data: Path, check: Callable[..., Checked]) -> None:
    """No clean stop, no newest snapshot, indexes that Kafka had mapped, behind them zeros: nothing wrong."""
    unclean(data)
    newest = segments(data)[-1]
    for suffix in (".index", ".timeindex"):
        index = newest.with_suffix(suffix)
        index.write_bytes(index.read_bytes() + bytes(24 * 1000))
    max((data / "orders-0").glob("*.snapshot")).unlink()
    assert check(data).status == 0


def test_while_a_broker_is_at_work(data: Path, check: Callable[..., Checked]) -> None:
    """The end of the newest segment may be half a batch, its indexes behind or ahead."""
    newest = segments(data)[-1]
    newest.write_bytes(newest.read_bytes()[:-5])
    (data / ".kafka_cleanshutdown").unlink()
    script = "import fcntl, sys; f = open(sys.argv[1], 'r+'); fcntl.lockf(f, fcntl.LOCK_EX); print(flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", script, str(data / ".lock")], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        assert lock_holder(data) == holder.pid
        check(data).notes_only(newest, "a batch is being written")
        holder.communicate(b"\n")
    assert lock_holder(data) is None


# -- batches -----------------------------------------------------------------------------------------------------------


def test_a_torn_tail_is_not_damage(data: Path, check: Callable[..., Checked]) -> None:
    """After a kill, above the recovery point, with nothing valid behind: what the next start cuts off."""
    newest = segments(data)[-1]
    position, _ = batches_of(newest)[-1]
    newest.write_bytes(newest.read_bytes()[:-5])
    unclean(data)
    check(data).notes_only(newest, rf"from {position} on, .*the log is torn.*keeps everything below offset 96")


@pytest.mark.parametrize("tail", [b"", b"\0" * 4096, b"garbage" * 100])
def test_a_torn_tail_of_any_kind(data: Path, tail: bytes, check: Callable[..., Checked]) -> None:
    """A wrong CRC in the last batch, zeros, anything else that is no batch."""
    newest = segments(data)[-1]
    if tail:
        newest.write_bytes(newest.read_bytes() + tail)
    else:
        flip(newest, -1)
    unclean(data)
    check(data).notes_only(newest, "the log is torn")


def test_a_torn_tail_below_the_recovery_point(data: Path, check: Callable[..., Checked]) -> None:
    """What had been synced and is not there any more is damage."""
    newest = segments(data)[-1]
    newest.write_bytes(newest.read_bytes()[:-5])
    unclean(data, recovery_point=97)
    found = check(data)
    assert [path for path, _ in found.wrong] == [newest, data / "orders-0", data / "orders-0"]
    assert "had been synced: the log is damaged from offset 96 on" in found.wrong[0][1]


def test_a_torn_tail_after_a_clean_stop(data: Path, check: Callable[..., Checked]) -> None:
    """A clean stop leaves nothing torn."""
    newest = segments(data)[-1]
    newest.write_bytes(newest.read_bytes()[:-5])
    found = check(data)
    assert found.status == 1
    assert (newest, True) in [(path, "although the last stop was a clean one" in words) for path, words in found.wrong]


@pytest.mark.parametrize("clean", [True, False])
@pytest.mark.parametrize("byte", [16, 17, 21, 23, 35, 57, 70])
def test_damage_in_the_middle(data: Path, byte: int, clean: bool, check: Callable[..., Checked]) -> None:
    """A flipped bit in a batch that others follow: magic, CRC, attributes, delta, timestamp, count, records."""
    segment = segments(data)[1]
    position, size = batches_of(segment)[3]
    flip(segment, position + byte)
    if not clean:
        unclean(data)
    check(data).finds(segment, rf"^{size} bytes from {position} on are no valid batch .*damaged in the middle")


def test_damage_at_the_end_of_an_old_segment(data: Path, check: Callable[..., Checked]) -> None:
    """It is in the middle of the log."""
    segment = segments(data)[1]
    segment.write_bytes(segment.read_bytes()[:-5])
    unclean(data)
    check(data).finds(segment, "damaged in the middle")


@pytest.mark.parametrize("length", [b"\x7f\xff\xff\xff", b"\x00\x00\x00\x01", b"\x00\x00\x02\x00", b"\xff\xff\xff\xff"])
def test_a_damaged_length(data: Path, length: bytes, check: Callable[..., Checked]) -> None:
    """The batches behind it are found although nothing leads there."""
    segment = segments(data)[0]
    position, size = batches_of(segment)[3]
    patch(segment, position + 8, length)
    check(data).finds(segment, rf"^{size} bytes from {position} on are no valid batch")


def test_offsets_that_do_not_ascend(data: Path, check: Callable[..., Checked]) -> None:
    """The base offset lies outside the CRC."""
    segment = segments(data)[0]
    position, _ = batches_of(segment)[5]
    offset = read_header(segment.read_bytes(), position).base_offset
    patch(segment, position, struct.pack(">q", offset - 2))
    found = check(data)
    assert (segment, True) in [(path, "offsets do not ascend" in sentence) for path, sentence in found.wrong]


def test_offsets_that_are_not_dense(data: Path, check: Callable[..., Checked]) -> None:
    """A batch that was cut out leaves a gap, and so do indexes that still know where it was."""
    segment = segments(data, "deleted-0")[-1]
    (start, size), content = batches_of(segment)[1], segment.read_bytes()
    offset = read_header(content, start).base_offset
    segment.write_bytes(content[:start] + content[start + size :])
    for suffix in (".index", ".timeindex"):
        segment.with_suffix(suffix).write_bytes(b"")
    check(data).finds(segment, f"offsets {offset} to {offset} are missing: offsets are not dense")


def test_gaps_in_a_compacted_log(data: Path, check: Callable[..., Checked]) -> None:
    """Where the cluster says that the topic is compacted, holes are what is to be expected."""
    segment = segments(data, "__consumer_offsets-0")[0]
    patch(segment, 0, struct.pack(">q", 5))
    (data / "__consumer_offsets-0" / leader_epochs.NAME).write_bytes(LeaderEpochs([EpochStart(0, 5)]).encode())
    for name in ("recovery-point-offset-checkpoint", "replication-offset-checkpoint"):
        path = data / name
        path.write_text(path.read_text().replace("__consumer_offsets 0 2", "__consumer_offsets 0 7"))
    segment.with_suffix(".timeindex").write_bytes(b"")
    max(segment.parent.glob("*.snapshot")).unlink()
    assert check(data).wrong == []


def test_a_missing_segment(data: Path, check: Callable[..., Checked]) -> None:
    """Its offsets are missing, and its other files are left without it."""
    segment = segments(data, "deleted-0")[0]
    whole = segments(data)[1]
    whole.unlink()
    found = check(data)
    wrong = dict(found.wrong)
    assert "is missing" in wrong[whole.with_suffix(".index")]
    assert "are missing" in wrong[segments(data)[1]]
    assert segment.exists()


def test_segments_that_overlap(data: Path, check: Callable[..., Checked]) -> None:
    """A file name below where the segment before it ends."""
    second = segments(data)[1]
    below = second.with_name(f"{int(second.stem) - 1:020d}.log")
    second.rename(below)
    assert any(path == below and "begins below offset" in sentence for path, sentence in check(data).wrong)


def test_a_leader_epoch_that_goes_back(data: Path, check: Callable[..., Checked]) -> None:
    """The epoch lies outside the CRC too."""
    segment = segments(data)[0]
    position, _ = batches_of(segment)[4]
    patch(segment, position + 12, struct.pack(">i", 3))
    sentences = [sentence for path, sentence in check(data).wrong if path == segment]
    assert sentences
    assert "of leader epoch 0, but epoch 3 came before it" in sentences[0]
    assert "there is more of that" in sentences[-1]


def test_records_that_are_not_what_the_header_says(data: Path, check: Callable[..., Checked]) -> None:
    """With --records: a batch whose count is wrong although its CRC is right."""
    segment = segments(data)[0]
    content = bytearray(segment.read_bytes())
    header = read_header(content)
    content[57:61] = struct.pack(">i", header.record_count + 1)
    content[23:27] = struct.pack(">i", header.last_offset_delta)
    content[17:21] = struct.pack(">I", compute_crc(content, 0, header.size))
    segment.write_bytes(content)
    check(data, "--records").finds(segment, "the records of the batch at byte 0 cannot be read|announces 3 records")


# -- what speaks of batches --------------------------------------------------------------------------------------------


def test_an_index_entry_that_points_nowhere(data: Path, check: Callable[..., Checked]) -> None:
    """Into the middle of a batch."""
    index = segments(data)[0].with_suffix(".index")
    position = struct.unpack_from(">i", index.read_bytes(), 12)[0]
    patch(index, 12, struct.pack(">i", position + 1))
    check(data).finds(index, f"points to byte {position + 1}, where no batch begins; it is rebuilt")


def test_an_index_entry_with_another_offset(data: Path, check: Callable[..., Checked]) -> None:
    """To a batch, but not to the one it names."""
    index = segments(data)[0].with_suffix(".index")
    offset = struct.unpack_from(">i", index.read_bytes(), 8)[0]
    patch(index, 8, struct.pack(">i", offset - 1))
    check(data).finds(index, f"for offset {offset - 1} .*where the batch that ends with offset {offset} begins")


def test_an_index_entry_beyond_the_end(data: Path, check: Callable[..., Checked]) -> None:
    """After a clean stop that is wrong; after a kill an index may be ahead of what is left of the log."""
    index = segments(data)[-1].with_suffix(".index")
    index.write_bytes(index.read_bytes() + struct.pack(">ii", 90_000, 90_000))
    check(data).finds(index, "points to byte 90000, but the last batch begins before that")
    unclean(data)
    check(data).notes_only(index, "points to byte 90000")


@pytest.mark.parametrize("suffix", [".index", ".timeindex"])
def test_an_index_of_an_odd_size(data: Path, suffix: str, check: Callable[..., Checked]) -> None:
    """Cut in the middle of an entry."""
    index = segments(data)[0].with_suffix(suffix)
    index.write_bytes(index.read_bytes()[:-3])
    check(data).finds(index, "bytes at the end are no whole entry of")


def test_an_index_that_does_not_grow(data: Path, check: Callable[..., Checked]) -> None:
    """Two entries the wrong way round."""
    index = segments(data)[0].with_suffix(".index")
    content = index.read_bytes()
    index.write_bytes(content[8:16] + content[:8] + content[16:])
    check(data).finds(index, "its entries do not grow")


def test_a_missing_index(data: Path, check: Callable[..., Checked]) -> None:
    """A clean stop leaves them all."""
    index = segments(data)[0].with_suffix(".timeindex")
    index.unlink()
    check(data).finds(index, "it is missing; it is rebuilt")


def test_a_time_index_that_is_not_monotone(data: Path, check: Callable[..., Checked]) -> None:
    """A timestamp that is smaller than the one before it."""
    index = segments(data)[1].with_suffix(".timeindex")
    patch(index, 12, struct.pack(">q", 5))
    check(data).finds(index, "it is not monotone: .* comes timestamp 5 ")


def test_a_time_index_that_is_wrong_about_a_batch(data: Path, check: Callable[..., Checked]) -> None:
    """Another timestamp than the batch has; an offset that ends no batch."""
    index = segments(data)[1].with_suffix(".timeindex")
    content = index.read_bytes()
    timestamp, offset = struct.unpack_from(">qi", content, 0)
    patch(index, 0, struct.pack(">q", timestamp - 1))
    check(data).finds(index, f"for timestamp {timestamp - 1} names offset .*largest timestamp is {timestamp}")
    index.write_bytes(content)
    patch(index, 8, struct.pack(">i", offset - 2))
    check(data).finds(index, "with which no batch ends")


def test_a_time_index_beyond_the_end(data: Path, check: Callable[..., Checked]) -> None:
    """As for the offset index."""
    index = segments(data)[-1].with_suffix(".timeindex")
    index.write_bytes(index.read_bytes() + struct.pack(">qi", 1 << 50, 90_000))
    check(data).finds(index, "but the segment ends before")


def test_a_transaction_index(data: Path, check: Callable[..., Checked]) -> None:
    """Missing, garbled, with an entry too many, too few, or about another transaction."""
    [path] = (data / "orders-0").glob("*.txnindex")
    content = path.read_bytes()
    entries = transaction_index.decode(content, 0, 1 << 63)
    assert entries is not None
    assert len(entries) == 2
    path.unlink()
    check(data).finds(path, "producer 7 aborted a transaction at offset .*there is no such file")
    for planted, words in (
        (content[:-1], "it cannot be read"),
        (content[: len(content) // 2], "producer 8 aborted .* it has no entry for that"),
        (transaction_index.encode([entries[0]._replace(producer_id=9), entries[1]]), "names producer 9"),
        (transaction_index.encode([entries[0]._replace(first_offset=3), entries[1]]), "began at 3"),
        (transaction_index.encode([entries[0]._replace(last_stable_offset=3), entries[1]]), "stable up to 3"),
        (
            transaction_index.encode([*entries, entries[1]._replace(last_offset=entries[1].last_offset + 9)]),
            "is of no marker in the segment",
        ),
    ):
        path.write_bytes(planted)
        check(data).finds(path, words)
    path.write_bytes(transaction_index.encode([entries[0], entries[0]._replace(last_offset=94), entries[1]]))
    check(data).finds(path, "is of a transaction that was committed")


def test_an_unreadable_snapshot(data: Path, check: Callable[..., Checked]) -> None:
    """One flipped bit is enough."""
    path = min((data / "orders-0").glob("*.snapshot"))
    flip(path, 20)
    check(data).finds(path, "it is unreadable: its version, size or CRC is wrong")


def test_a_snapshot_that_is_wrong_about_a_batch(data: Path, check: Callable[..., Checked]) -> None:
    """Well-formed, but with another sequence than the batch has; or of a batch that it cannot know."""
    path = min((data / "orders-0").glob("*.snapshot"))
    states = producer_snapshot.decode(path.read_bytes())
    assert states
    states[-1] = states[-1]._replace(last_sequence=12345)
    path.write_bytes(producer_snapshot.encode(states))
    check(data).finds(path, "up to sequence 12345; it is of producer 100")
    states[-1] = states[-1]._replace(last_offset=90)
    path.write_bytes(producer_snapshot.encode(states))
    check(data).finds(path, "that ends with offset 90, but a snapshot of this name is of what lies before")


def test_a_snapshot_beyond_the_end(data: Path, check: Callable[..., Checked]) -> None:
    """Its name is an offset that the log has not reached."""
    newest = max((data / "orders-0").glob("*.snapshot"))
    path = newest.with_name(f"{500:020d}.snapshot")
    path.write_bytes(newest.read_bytes())
    check(data).finds(path, "it is for offset 500, beyond the log's end at 97")
    unclean(data)
    check(data).notes_only(path, "beyond the log's end")


def test_leader_epochs(data: Path, check: Callable[..., Checked]) -> None:
    """Unreadable, about another epoch than the batches, beyond the end."""
    path = data / "orders-0" / leader_epochs.NAME
    for planted, words in (
        (b"0\n2\n0 0\n", "it is unreadable"),
        (b"0\n1\n4 0\n", "it has epoch 4 for offset 0, the batch there is of epoch 0"),
        (b"0\n0\n", "it has no epoch for offset 0"),
        (b"0\n2\n0 0\n1 500\n", "its epoch 1 begins at 500, beyond the log's end at 97"),
    ):
        path.write_bytes(planted)
        check(data).finds(path, words)


# -- names, ids, checkpoints -------------------------------------------------------------------------------------------


def test_the_id_of_another_topic(data: Path, check: Callable[..., Checked]) -> None:
    """By the cluster's metadata; without that, by the other partitions of the topic."""
    path = data / "orders-1" / partition_metadata.NAME
    path.write_bytes(partition_metadata.encode(b"another topic id"))
    check(data).finds(path, "it has topic id .*, but orders has .*of an older topic of that name")
    for file in (data / "__cluster_metadata-0").iterdir():
        file.unlink()
    (data / "__cluster_metadata-0").rmdir()
    for name in ("recovery-point-offset-checkpoint", "replication-offset-checkpoint"):
        (data / name).write_text("0\n0\n")
    check(data).finds(path, "but orders-0 of the same topic has")


def test_an_unreadable_topic_id(data: Path, check: Callable[..., Checked]) -> None:
    """Half a file."""
    path = data / "orders-1" / partition_metadata.NAME
    path.write_bytes(b"version: 0\n")
    check(data).finds(path, "it is unreadable")


@pytest.mark.parametrize("name", ["12.log", "00000000000000000000x.index", "0000000000000000000.timeindex"])
def test_file_names_that_do_not_fit(data: Path, name: str, check: Callable[..., Checked]) -> None:
    """Something that looks like a file of a log and will never be read as one."""
    path = data / "orders-0" / name
    path.write_bytes(b"")
    check(data).finds(path, "its name does not fit")


def test_files_of_a_compaction_that_was_interrupted(data: Path, check: Callable[..., Checked]) -> None:
    """`.swap` is what a killed broker may leave; what was being removed or made is of no consequence."""
    path = data / "orders-0" / f"{0:020d}.log.swap"
    path.write_bytes(b"")
    check(data).finds(path, "a compaction was interrupted")
    unclean(data)
    check(data).notes_only(path, "the next start brings it to its end")
    other = path.rename(path.with_name(f"{0:020d}.log.cleaned"))
    check(data).notes_only(other, "a compaction that did not get to its end")


def test_what_does_not_belong(data: Path, check: Callable[..., Checked]) -> None:
    """Files of others are left alone, logs on their way out are named."""
    (data / "notes.txt").write_text("mine")
    (data / f"gone-0.{'0' * 32}-delete").mkdir()
    found = check(data)
    assert found.status == 0
    assert [path.name for path, _ in found.notes] == [f"gone-0.{'0' * 32}-delete", "notes.txt"]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("recovery-point-offset-checkpoint", "its recovery point is 500 .*, but it ends at 97"),
        ("log-start-offset-checkpoint", "its start is 500 .*, but it ends at 97"),
        ("replication-offset-checkpoint", "its high watermark is 500 .*, but it ends at 97"),
        ("cleaner-offset-checkpoint", "its cleaner's offset is 500 .*, but it ends at 97"),
    ],
)
def test_checkpoints_beyond_the_end(data: Path, name: str, words: str, check: Callable[..., Checked]) -> None:
    """Each of the four, and a checkpoint that is no whole file."""
    (data / name).write_text("0\n2\norders 0 500\ndeleted 0 33\n")
    check(data / "orders-0").finds(data / "orders-0", words)
    (data / name).write_text("0\n2\norders 0 5\n")
    check(data).finds(data / name, "it is unreadable")


def test_a_recovery_point_below_the_end_of_a_clean_stop(data: Path, check: Callable[..., Checked]) -> None:
    """The marker says that every log was synced to its end."""
    (data / "recovery-point-offset-checkpoint").write_text("0\n1\norders 0 50\n")
    check(data).finds(data / "orders-0", "its recovery point is 50 and it ends at 97, although")


def test_a_checkpoint_of_a_log_that_is_gone(data: Path, check: Callable[..., Checked]) -> None:
    """The next start forgets it."""
    path = data / "cleaner-offset-checkpoint"
    path.write_text("0\n1\nvanished 3 5\n")
    check(data).notes_only(path, "it names vanished-3, of which there is no directory")


def test_meta_properties(data: Path, check: Callable[..., Checked]) -> None:
    """Unreadable, or missing."""
    path = data / "meta.properties"
    path.write_text("version=7\n")
    check(data).finds(path, "its version is 7")
    path.unlink()
    check(data).finds(path, "it is missing")


def test_what_the_broker_keeps_beside_logs_is_not_foreign(data: Path, check: Callable[..., Checked]) -> None:
    """The reserve for full disks and the folder of `ottla serve --secure`: no note about them."""
    (data / "ottla-reserve").touch()
    (data / "secure").mkdir()
    assert check(data).notes == []
    (data / "photos").mkdir()
    check(data).notes_only(data / "photos", "left alone")


# -- what cannot be checked --------------------------------------------------------------------------------------------


def test_what_cannot_be_read(tmp_path: Path, data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing there, nothing of ours, a file: status 2 and a sentence."""
    (tmp_path / "empty").mkdir()
    for path in (tmp_path / "missing", tmp_path / "empty", data / "meta.properties"):
        assert main([str(path)]) == 2
        assert str(path) in capsys.readouterr().err


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_permission(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Not readable is not damaged."""
    segments(data)[0].chmod(0)
    assert main([str(data)]) == 2
    assert "Permission denied" in capsys.readouterr().err


async def test_what_recovery_refuses_is_what_the_check_finds(data: Path, check: Callable[..., Checked]) -> None:
    """The check and the engine agree about the same damaged directory."""
    segment = segments(data)[1]
    flip(segment, 70)
    unclean(data)
    assert check(data).status == 1
    async with Place(data).open() as store:
        with refused(ErrorCode.KAFKA_STORAGE_ERROR):
            _ = store.log(spec("orders")).log_end_offset
        assert store.log(spec("orders", 1)).log_end_offset == 97


def rewritten(tmp_path: Path) -> Path:
    """A directory with a log of one key, a producer's batch to a segment, that has been compacted and stopped."""

    async def write(place: Place) -> None:
        async with place.open() as store:
            settings: dict[str, Any] = {"segment_bytes": 400, "compact": True, "min_cleanable_dirty_ratio": 0.0}
            log, producer = store.log(spec("compacted", **settings)), ScriptedProducer(5)
            for number in range(9):
                await append(log, produced(producer, (b"the key", b"%d" % number * 300)))
            assert await store.cleaner.clean_due() == 1

    trio.run(write, Place(tmp_path / "data"))
    return tmp_path / "data"


def test_a_place_holder_says_nothing_of_producers(tmp_path: Path, check: Callable[..., Checked]) -> None:
    """Found by moving data: where compaction has left nothing but a place holder at a producer's offsets, its snapshot
    was accused of telling of another producer's batch."""
    data = rewritten(tmp_path)
    segments = sorted((data / "compacted-0").glob("*.log"))
    held = [header for header in (read_header(path.read_bytes()) for path in segments) if header.producer_id < 0]
    assert held, "there is a place holder"
    assert (check(data).status, check(data).wrong) == (0, [])


def test_a_segment_that_kafka_has_compacted_away(tmp_path: Path, check: Callable[..., Checked]) -> None:
    """Found by moving data: Kafka leaves an empty segment where all of it was compacted; elsewhere that is damage."""
    data = rewritten(tmp_path)
    first = min((data / "compacted-0").glob("*.log"))
    for suffix in (".log", ".index", ".timeindex"):
        first.with_suffix(suffix).write_bytes(b"")
    check(data).notes_only(first, "it is empty")
    (data / "cleaner-offset-checkpoint").unlink()
    assert (first, "it is empty, although it is not the newest segment") in check(data).wrong
