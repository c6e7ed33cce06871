"""The memory of this process, as the system sees it: the door to /proc and to the C library's allocator.

What Python frees goes back to the allocator, which keeps it for later, by the thread that had asked for it. A broker
that has decoded a few large requests in threads so holds hundreds of megabytes that nothing uses (glibc has an arena
for each thread, and moves the size from which on a block has pages of its own up to 32 MiB as such blocks are freed).
`give_back_free` makes it return them. Only glibc offers that; elsewhere both functions say that they do not know.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import cache

_PAGES = "/proc/self/statm"
_PAGE_BYTES = 4096
"""The unit of statm is the system's page: that of x86-64, and of most kernels for ARM. On those with larger pages the
figure is too small by that factor, which is all the same to who compares two of them."""


def resident_bytes() -> int | None:
    """Memory that the process holds now, shared pages included; None where the system does not say."""
    try:
        with open(_PAGES, "rb") as file:
            return int(file.read().split()[1]) * _PAGE_BYTES
    except (OSError, ValueError, IndexError):
        return None


def give_back_free() -> bool:
    """Return to the system what the allocator holds and nothing uses; False where it cannot be told to.

    Takes some milliseconds for a hundred megabytes, in which other threads that allocate may have to wait: call it in a
    thread, when the event loop has nothing to do.
    """
    trim = _trim()
    if trim is None:
        return False
    trim(0)
    return True


@cache
def _trim() -> Callable[[int], int] | None:
    """`malloc_trim` of glibc. Imported when first needed: ctypes takes 15 ms."""
    if sys.platform != "linux":
        return None
    import ctypes

    function = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if function is None:
        return None
    function.argtypes = [ctypes.c_size_t]
    trim: Callable[[int], int] = function
    return trim
