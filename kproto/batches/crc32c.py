"""CRC-32C (Castagnoli), the checksum of record batches v2.

``crc32c(data, value=0)`` is the checksum of ``data``, an unsigned 32-bit number; for data in pieces, ``value`` is the
checksum of what came before. The function is the ``crc32c`` package's own: it uses the processor's instruction (some
20 GB/s) and gives up the interpreter's lock on large buffers. The message sets of old used the other polynomial, that
of :func:`zlib.crc32`; nothing here needs it.

The package's ``__init__`` looks up its own version and imports a command line, which takes longer than everything
else a broker imports for its batches (40 ms of a start that is promised within 200). So its extension module is
loaded without it where it lies in a directory, as it does after any ordinary installation.
"""

import sys
from importlib.machinery import PathFinder
from importlib.util import module_from_spec
from types import ModuleType
from typing import Final, Protocol

from kproto.batches.buffers import ReadableBuffer

__all__ = ["Checksum", "crc32c"]


class Checksum(Protocol):
    """Bytes, and the checksum of the bytes before them, to a number."""

    def __call__(self, data: ReadableBuffer, value: int = 0, /) -> int: ...


def _extension() -> ModuleType:
    package = None if "crc32c" in sys.modules else PathFinder.find_spec("crc32c")
    places = None if package is None else package.submodule_search_locations
    spec = None if places is None else PathFinder.find_spec("crc32c._crc32c", places)
    if spec is None or spec.loader is None:
        import crc32c

        return crc32c
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


crc32c: Final[Checksum] = _extension().crc32c
