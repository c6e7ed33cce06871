"""Where a backup lies: in a file, unpacked in a folder, or in memory."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import NamedTuple

from storage.copies import StoreCopy
from storage.local.copied_files import CopiedFile, read_file
from storage.portable.backup import MANIFEST, BadBackup, Manifest, archive, check, copy_in, files_in_archive
from storage.seams.disk import Disk


class Backup(NamedTuple):
    """A backup that has been read through, and is what its manifest says."""

    manifest: Manifest
    copy: StoreCopy
    files: Mapping[str, CopiedFile]
    """All that the manifest names."""


def backup_at(disk: Disk, path: str) -> Backup:
    """The backup in a file or a folder; bytes are read from there as long as it is used. In a thread; raises BadBackup
    with a sentence that names the place."""
    try:
        is_folder = disk.is_directory(path)
        return _checked(_files_in(disk, path, "") if is_folder else files_in_archive(disk.open_read(path).read))
    except OSError as error:
        raise BadBackup(f"{path} cannot be read: {error.strerror or error}") from error
    except BadBackup as error:
        raise BadBackup(f"{path} cannot be used: {error}") from None


def backup_in(data: bytes) -> Backup:
    """The backup in an archive in memory. Raises BadBackup with a sentence."""
    view = memoryview(data)
    return _checked(files_in_archive(lambda position, length: bytes(view[position : position + length])))


def _checked(files: dict[str, CopiedFile]) -> Backup:
    manifest = check(files)
    return Backup(manifest, copy_in(files, manifest), {path: files[path] for path in manifest.files})


def _files_in(disk: Disk, folder: str, inside: str) -> dict[str, CopiedFile]:
    files: dict[str, CopiedFile] = {}
    for name in disk.list_directory(folder):
        path = f"{folder}/{name}"
        if disk.is_directory(path):
            if not inside:
                files |= _files_in(disk, path, f"{name}/")
        else:
            size = disk.file_size(path) or 0
            files[inside + name] = CopiedFile(inside + name, size, partial(read_file, disk, path, size))
    return files


def pack(backup: Backup) -> bytes:
    """The archive of a backup, in memory. Raises OSError, BadBackup."""
    return b"".join(archive(backup.copy, backup.manifest.node_id, backup.manifest.made_ms))


def unpack(backup: Backup, disk: Disk, folder: str) -> None:
    """Make a folder of a backup, which has its name, durably, when it is whole. Raises OSError, BadBackup."""
    unfinished = f"{folder}.unfinished"
    disk.remove_tree(unfinished)
    directories = {unfinished: None}
    try:
        disk.make_directory(unfinished)
        text = backup.manifest.encode()
        manifest = CopiedFile(MANIFEST, len(text), lambda: iter((text,)))
        for file in (*backup.files.values(), manifest):
            path = f"{unfinished}/{file.name}"
            directory = path.rpartition("/")[0]
            if directory not in directories:
                disk.make_directory(directory)
                directories[directory] = None
            _write(disk, path, file)
        for directory in reversed(directories):
            disk.sync_directory(directory)
    except BaseException:
        disk.remove_tree(unfinished)
        raise
    disk.rename(unfinished, folder)
    disk.sync_directory(folder.rpartition("/")[0] or ".")


def _write(disk: Disk, path: str, file: CopiedFile) -> None:
    made = disk.open(path, create=True)
    position = 0
    for piece in file.pieces():
        made.write(position, piece)
        position += len(piece)
    made.datasync()
    made.close()
