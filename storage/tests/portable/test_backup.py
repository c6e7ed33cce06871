"""A backup: read as it was written, served when it is unpacked, and refused when a byte of it is another one."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path

import pytest

from storage.copies import StoreCopy
from storage.portable.backup import MANIFEST, BadBackup, archive
from storage.portable.places import Backup, backup_at, backup_in
from storage.seams.disk import SystemDisk
from storage.testing.conformance.copies import SPECS, Shown, shown, written
from storage.testing.lab import Lab
from storage.testing.log_builder import batch
from storage.tests import test_copies
from storage.tests.test_copies import local_store, opened

MADE_MS = 1_700_000_000_000
LONG = "a-topic-whose-name-is-as-long-as-any-may-be-".ljust(249, "x")


def archived(copy: StoreCopy) -> bytes:
    """The bytes of the archive."""
    return b"".join(archive(copy, 1, MADE_MS))


async def some_logs() -> tuple[StoreCopy, dict[str, Shown]]:
    """A copy with logs of every kind, and what they answer."""
    async with test_copies.TestMemory().lab() as lab:
        await written(lab)
        answers = {each.topic: await shown(lab, lab.log(each.topic)) for each in SPECS}
        await lab.append(lab.log(LONG), batch(b"x"))
        assert hasattr(lab.store, "copy")
        return await lab.store.copy(), answers


async def answers_of(backup: Backup) -> dict[str, Shown]:
    """What the logs of a backup answer in an engine in memory."""
    async with test_copies.TestMemory().lab() as lab:
        assert hasattr(lab.store, "prepare") and hasattr(lab.store, "give_way")
        await lab.store.prepare(backup.copy)
        lab.store = await lab.store.give_way()
        return {each.topic: await shown(lab, lab.log(each.topic)) for each in SPECS}


async def test_what_was_written_is_read() -> None:
    """Every answer of every log, and whose they were."""
    copy, answers = await some_logs()
    backup = backup_in(archived(copy))
    assert await answers_of(backup) == answers
    assert backup.manifest[:4] == (copy.cluster_id, copy.directory_id, 1, MADE_MS)
    assert LONG in {log.topic for log in backup.copy.logs}


async def test_a_file_and_a_folder_are_the_same_backup(tmp_path: Path) -> None:
    """tar unpacks it."""
    copy, answers = await some_logs()
    (tmp_path / "backup.tar").write_bytes(archived(copy))
    with tarfile.open(tmp_path / "backup.tar") as archive_file:
        archive_file.extractall(tmp_path / "backup", filter="data")
    for name in ("backup.tar", "backup"):
        backup = backup_at(SystemDisk(), str(tmp_path / name))
        assert await answers_of(backup) == answers


async def test_what_is_unpacked_is_a_data_directory(tmp_path: Path) -> None:
    """It is opened as after a clean stop, and answers the same."""
    copy, answers = await some_logs()
    with tarfile.open(fileobj=io.BytesIO(archived(copy))) as archive_file:
        archive_file.extractall(tmp_path / "data", filter="data")
    store = local_store(str(tmp_path / "data"))
    async with opened(store):
        lab = Lab(lambda: opened(store))
        lab.store = store
        assert {each.topic: await shown(lab, lab.log(each.topic)) for each in SPECS} == answers
        assert store.cluster_id == copy.cluster_id
        assert not store.loader.unverified


async def test_any_byte_that_is_another_one_is_found() -> None:
    """E28: In any file; padding means nothing."""
    data = archived((await some_logs())[0])
    with tarfile.open(fileobj=io.BytesIO(data)) as archive_file:
        members = [member for member in archive_file.getmembers() if member.size]
    for member in members:
        damaged = bytearray(data)
        damaged[member.offset_data + member.size // 2] ^= 0x40
        with pytest.raises(BadBackup):
            backup_in(bytes(damaged))


async def test_what_was_cut_short_is_refused() -> None:
    """Wherever: the manifest comes last."""
    data = archived((await some_logs())[0])
    for length in (0, 1, 512, 1000, len(data) // 2, len(data) - 2048):
        with pytest.raises(BadBackup):
            backup_in(data[:length])


def test_something_else_is_refused_in_a_sentence(tmp_path: Path) -> None:
    """It names the place, and says what is wrong with it."""
    (tmp_path / "else").write_bytes(b"else" * 500)
    for name, reason in (("else", "no archive of a backup"), ("missing", "cannot be read"), (".", MANIFEST)):
        with pytest.raises(BadBackup, match=reason):
            backup_at(SystemDisk(), str(tmp_path / name))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"version": 2}, "version 2"),
        ({"format": "else"}, "cannot be read"),
        ({"files": {"../../etc/passwd": {"bytes": 0, "sha256": ""}}}, "not a path inside"),
        ({"files": {"missing": {"bytes": 0, "sha256": ""}}}, "missing is missing"),
        ({"files": {}}, "recovery-point-offset-checkpoint cannot be read"),
    ],
)
def test_a_manifest_that_makes_no_sense_is_refused(tmp_path: Path, change: dict[str, object], reason: str) -> None:
    """Whatever it names is a path inside of the backup, and there."""
    manifest: dict[str, object] = {
        "format": "ottla-backup", "version": 1, "cluster_id": "a", "directory_id": "b", "node_id": 1, "made_ms": 0,
        "files": {},
    }  # fmt: skip
    (tmp_path / MANIFEST).write_text(json.dumps(manifest | change))
    with pytest.raises(BadBackup, match=reason):
        backup_at(SystemDisk(), str(tmp_path))
