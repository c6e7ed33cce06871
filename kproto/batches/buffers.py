"""What this package calls a buffer: bytes that can be read, and bytes that can be patched.

``collections.abc.Buffer`` needs Python 3.12; until that is the oldest version, the types in use are named here.
"""

from mmap import mmap
from typing import TypeAlias

__all__ = ["ReadableBuffer", "WritableBuffer"]

ReadableBuffer: TypeAlias = bytes | bytearray | memoryview | mmap
WritableBuffer: TypeAlias = bytearray | memoryview | mmap
