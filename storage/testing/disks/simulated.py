"""A disk in memory that can lose power: what was made durable is there afterwards, of the rest anything may be.

    disk = SimulatedDisk()
    ... a store works on it ...
    after = disk.after_power_cut(random.Random(7))      # another disk; the first one is as it was

A file's bytes are durable as they were at its last `datasync`; a name, as it was at the last `sync_directory` of the
directory it stands in. What happened since then is *pending*. A power cut keeps, drawn from its chance:

* of the names in each directory, a prefix of the pending changes, in order (as file systems with a journal do);
* of each file's writes: none, all, a prefix, or a prefix whose last write is torn at a sector; or the size of all with
  zeros where the bytes should be. With `reorder`, also any subset: what disks without barriers do.

`fates` narrows that down to some of the words above; with ("none",) alone, nothing that was not synced survives, names
included: the hardest cut for who relies on something that happens to be there.

Syncing a file does not make its name durable, nor a directory's own name its parent's; renaming does not make the bytes
durable. That is stricter than most file systems, and what the manual promises.

With `stop_after`, the disk fails for good after so many operations, by PowerCut, which no engine catches: the moment
at which the power goes. Every operation is instant and everything read is in memory, so simulations need no threads.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol, Self, TypeVar

from kproto.batches.buffers import ReadableBuffer, WritableBuffer
from storage.seams.disk import File, InUse, Lock, Space

SECTOR = 512

Drawn = TypeVar("Drawn")


class Chance(Protocol):
    """What decides; a `random.Random` with a seed is one."""

    def random(self) -> float: ...

    def randrange(self, stop: int, /) -> int: ...

    def choice(self, options: Sequence[Drawn], /) -> Drawn: ...


class PowerCut(BaseException):
    """The power is gone. No exception that a program handles: it is dead."""


@contextmanager
def until_the_power_goes() -> Iterator[None]:
    """What follows may be ended by a PowerCut, also by one from a task."""
    try:
        yield
    except PowerCut:
        pass
    except BaseExceptionGroup as group:
        _, others = group.split(PowerCut)
        if others is not None:
            raise others from None


class _Inode:
    """A file: its bytes, and what of them is durable."""

    def __init__(self) -> None:
        self.data = bytearray()
        self.durable = b""
        self.pending: list[tuple[int, bytes] | int] = []  # writes, and sizes of truncations, since the last sync
        self.modified = 0

    def write(self, position: int, data: bytes) -> None:
        _put(self.data, position, data)
        self.pending.append((position, data))

    def truncate(self, size: int) -> None:
        _resize(self.data, size)
        self.pending.append(size)

    def sync(self) -> None:
        self.durable = bytes(self.data)
        self.pending.clear()

    def after_power_cut(self, chance: Chance, fates: Sequence[str]) -> _Inode:
        twin = _Inode()
        twin.data, twin.modified = bytearray(self.durable), self.modified
        fate = chance.choice(fates)
        if fate == "zeros":
            _resize(twin.data, max(len(twin.data), len(self.data)))
        elif fate != "none":
            kept = list(self.pending)
            if fate in ("prefix", "torn"):
                kept = kept[: chance.randrange(len(kept) + 1)]
            elif fate == "subset":
                kept = [change for change in kept if chance.random() < 0.5]
            if fate == "torn" and kept and not isinstance(kept[-1], int):
                position, data = kept[-1]
                sectors = range(-position % SECTOR or SECTOR, len(data), SECTOR)
                kept[-1] = position, data[: chance.choice(sectors) if sectors else 0]
            for change in kept:
                if isinstance(change, int):
                    _resize(twin.data, change)
                else:
                    _put(twin.data, *change)
        twin.sync()
        return twin


class _Directory:
    """Names and what they stand for; what of that is durable."""

    def __init__(self) -> None:
        self.names: dict[str, _Directory | _Inode] = {}
        self.durable: dict[str, _Directory | _Inode] = {}
        self.pending: list[dict[str, _Directory | _Inode]] = []  # how the names were after each change

    def changed(self) -> None:
        self.pending.append(dict(self.names))

    def sync(self) -> None:
        self.durable = dict(self.names)
        self.pending.clear()

    def after_power_cut(self, chance: Chance, fates: Sequence[str], seen: dict[int, _Directory | _Inode]) -> _Directory:
        twin = _Directory()
        moments = [self.durable, *(self.pending if tuple(fates) != ("none",) else ())]
        for name, node in moments[chance.randrange(len(moments))].items():
            if id(node) not in seen:
                if isinstance(node, _Inode):
                    seen[id(node)] = node.after_power_cut(chance, fates)
                else:
                    seen[id(node)] = node.after_power_cut(chance, fates, seen)
            twin.names[name] = seen[id(node)]
        twin.sync()
        return twin


class SimulatedDisk:
    """A file system in memory."""

    tells_residency = True

    def __init__(self, *, stop_after: int | None = None) -> None:
        self._root = _Directory()
        self._locked: set[str] = set()
        self.operations = 0
        self.stop_after = stop_after

    def after_power_cut(self, chance: Chance, *, reorder: bool = False, fates: Sequence[str] | None = None) -> Self:
        """The disk that is found when the power is back."""
        if fates is None:
            fates = ("none", "all", "prefix", "torn", "zeros", "subset" if reorder else "prefix")
        found = type(self)()
        found._root = self._root.after_power_cut(chance, fates, {})
        return found

    def step(self) -> None:
        """An operation that changes something. Raises PowerCut when the power is gone."""
        self.operations += 1
        if self.power_is_gone:
            raise PowerCut

    @property
    def power_is_gone(self) -> bool:
        """Whether an operation has met the power cut: what the program says from then on, no other hears."""
        return self.stop_after is not None and self.operations > self.stop_after

    def _find(self, path: str) -> _Directory | _Inode:
        node: _Directory | _Inode = self._root
        for part in path.strip("/").split("/") if path.strip("/") else ():
            if not isinstance(node, _Directory):
                raise NotADirectoryError(errno.ENOTDIR, "not a directory", path)
            try:
                node = node.names[part]
            except KeyError:
                raise FileNotFoundError(errno.ENOENT, "no such file or directory", path) from None
        return node

    def _parent(self, path: str) -> tuple[_Directory, str]:
        above, _, name = path.rpartition("/")
        return (self._directory(above) if above.strip("/") else self._root), name

    def _directory(self, path: str) -> _Directory:
        node = self._find(path)
        if not isinstance(node, _Directory):
            raise NotADirectoryError(errno.ENOTDIR, "not a directory", path)
        return node

    def _inode(self, path: str) -> _Inode:
        node = self._find(path)
        if not isinstance(node, _Inode):
            raise IsADirectoryError(errno.EISDIR, "is a directory", path)
        return node

    @property
    def open_files(self) -> int:
        return 0

    def open(self, path: str, *, create: bool = False) -> File:
        if create:
            directory, name = self._parent(path)
            if name not in directory.names:
                self.step()
                directory.names[name] = _Inode()
                directory.changed()
        return _SimulatedFile(self, self._inode(path))

    def open_read(self, path: str) -> File:
        return _SimulatedFile(self, self._inode(path))

    def read_file(self, path: str) -> bytes | None:
        try:
            return bytes(self._inode(path).data)
        except FileNotFoundError:
            return None

    def write_file(self, path: str, data: bytes) -> None:
        file = self.open(path, create=True)
        file.truncate(0)
        file.write(0, data)

    def write_file_atomically(self, path: str, data: bytes) -> None:
        self.write_file(path + ".tmp", data)
        self.open(path + ".tmp").datasync()
        self.rename(path + ".tmp", path)
        self.sync_directory(path.rpartition("/")[0])

    def allocate(self, path: str, size: int) -> None:
        """This disk is never full."""

    def file_size(self, path: str) -> int | None:
        try:
            return len(self._inode(path).data)
        except FileNotFoundError:
            return None

    def modified_millis(self, path: str) -> int:
        return self._inode(path).modified

    def set_modified_millis(self, path: str, millis: int) -> None:
        self._inode(path).modified = millis

    def is_directory(self, path: str) -> bool:
        try:
            return isinstance(self._find(path), _Directory)
        except FileNotFoundError:
            return False

    def is_link(self, path: str) -> bool:
        return False

    def list_directory(self, path: str) -> list[str]:
        return sorted(self._directory(path).names)

    def make_directory(self, path: str) -> None:
        directory = self._root
        for part in path.strip("/").split("/"):
            if part not in directory.names:
                self.step()
                directory.names[part] = _Directory()
                directory.changed()
            found = directory.names[part]
            if not isinstance(found, _Directory):
                raise NotADirectoryError(errno.ENOTDIR, "not a directory", path)
            directory = found

    def rename(self, old: str, new: str) -> None:
        self._find(old)
        self.step()
        (source, old_name), (target, new_name) = self._parent(old), self._parent(new)
        assert source is target, "across directories a rename is two changes, which this disk does not join"
        target.names[new_name] = source.names.pop(old_name)
        target.changed()

    def link(self, path: str, other: str) -> None:
        inode = self._inode(path)
        self.step()
        directory, name = self._parent(other)
        assert name not in directory.names, "a link takes a name that is free"
        directory.names[name] = inode
        directory.changed()

    def remove(self, path: str) -> None:
        try:
            self._inode(path)
        except FileNotFoundError:
            return
        self.step()
        directory, name = self._parent(path)
        del directory.names[name]
        directory.changed()

    def remove_tree(self, path: str) -> None:
        if not self.is_directory(path):
            return
        for name in self.list_directory(path):
            if self.is_directory(f"{path}/{name}"):
                self.remove_tree(f"{path}/{name}")
            else:
                self.remove(f"{path}/{name}")
        self.step()
        directory, name = self._parent(path)
        del directory.names[name]
        directory.changed()

    def sync_directory(self, path: str) -> None:
        directory = self._directory(path)
        self.step()
        directory.sync()

    def lock(self, path: str) -> Lock:
        if path in self._locked:
            raise InUse(path)
        self.open(path, create=True)
        self._locked.add(path)
        return _SimulatedLock(self._locked, path)

    def space(self, path: str) -> Space:
        return Space(1 << 40, 1 << 39)


class _SimulatedFile:
    """An open file of a SimulatedDisk."""

    def __init__(self, disk: SimulatedDisk, inode: _Inode) -> None:
        self._disk = disk
        self._inode = inode

    def size(self) -> int:
        return len(self._inode.data)

    def read(self, position: int, length: int) -> bytes:
        if position < 0:
            raise OSError(errno.EINVAL, "negative position")
        return bytes(self._inode.data[position : position + length])

    def read_into(self, position: int, buffer: WritableBuffer) -> int:
        data = self.read(position, len(buffer))
        memoryview(buffer)[: len(data)] = data
        return len(data)

    def read_now(self, position: int, length: int) -> bytes | None:
        return self.read(position, length)

    def write(self, position: int, data: ReadableBuffer) -> None:
        self._disk.step()
        self._inode.write(position, bytes(data))

    def write_all(self, position: int, buffers: Sequence[ReadableBuffer]) -> None:
        self.write(position, b"".join(buffers))

    def truncate(self, size: int) -> None:
        self._disk.step()
        self._inode.truncate(size)

    def datasync(self) -> None:
        self._disk.step()
        self._inode.sync()

    def strayed(self, path: str, size: int) -> str | None:
        try:
            found = self._disk.open(path)
        except FileNotFoundError:
            return "is gone"
        same = isinstance(found, _SimulatedFile) and found._inode is self._inode
        return None if same and len(self._inode.data) >= size else "is another file, or has been cut"

    def fileno(self) -> int | None:
        return None

    def close(self) -> None:
        """There is nothing to give back."""


class _SimulatedLock:
    """A lock of a SimulatedDisk."""

    def __init__(self, locked: set[str], path: str) -> None:
        self._locked = locked
        self._path = path

    def strayed(self) -> str | None:
        return None

    def release(self) -> None:
        self._locked.discard(self._path)


def _put(data: bytearray, position: int, new: bytes) -> None:
    if position > len(data):
        _resize(data, position)
    data[position : position + len(new)] = new


def _resize(data: bytearray, size: int) -> None:
    if size < len(data):
        del data[size:]
    else:
        data.extend(bytes(size - len(data)))
