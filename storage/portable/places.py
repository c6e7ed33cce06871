"""Where a backup lies: in a file, unpacked in a folder, or in memory."""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

from storage.copies import StoreCopy
from storage.local.copied_files import CopiedFile
from storage.local.copying import read_file
from storage.portable.backup import BadBackup, Manifest, check, copy_in, files_in_archive
from storage.seams.disk import Disk


class Backup(NamedTuple):
    """A backup that has been read through, and is what its manifest says."""

    manifest: Manifest
    copy: StoreCopy


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
    return Backup(manifest, copy_in(files, manifest))


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
