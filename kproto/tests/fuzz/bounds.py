"""What an input may cost: time and memory in proportion to its length, whatever it says about itself.

Every fuzz target puts the decoding itself (not its own checks around it) through :func:`measured`. An input that takes
longer than :data:`SECONDS` and :data:`SECONDS_PER_BYTE` allow is tried twice more, because a busy machine is slow at
times and a bad algorithm always is; the processor time of this thread is what counts. Memory is the peak that
`tracemalloc` sees while the same is done once more, beside :data:`KIB` x 64 a number of bytes for each byte of input
that the target chooses. Tracing costs several times the decoding, so a fuzzer that runs a million inputs sets
:data:`sampling` and has a part of them measured; the default suite, which replays the kept inputs, measures all.
"""

from __future__ import annotations

import time
import tracemalloc
from collections.abc import Callable
from typing import Final, TypeVar

T = TypeVar("T")

KIB: Final = 1024

SECONDS: Final = 0.05
"""What any input may take."""

SECONDS_PER_BYTE: Final = 20e-6
"""What each byte of it may take besides. A record of seven bytes costs about two microseconds to read."""

BASE_BYTES: Final = 64 * KIB


class _Sampling:
    """How many inputs come for each one whose memory is measured."""

    def __init__(self) -> None:
        self.one_in = 1
        self.calls = 0


sampling = _Sampling()


def measured(action: Callable[[], T], size: int, *, bytes_per_byte: int, beside: int = BASE_BYTES) -> T:
    """Do `action`, return or raise what it does, and hold it to the bounds for an input of `size` bytes.

    `action` is done several times, so it must change nothing. Raises AssertionError when a bound is broken.
    """
    began = time.thread_time()
    try:
        return action()
    finally:
        allowed = SECONDS + size * SECONDS_PER_BYTE
        if time.thread_time() - began > allowed:
            took = min(_seconds(action), _seconds(action))
            assert took <= allowed, f"{size} bytes took {took:.3f} s where {allowed:.3f} s are allowed"
        sampling.calls += 1
        if sampling.calls % sampling.one_in == 0:
            peak, allowed_bytes = _peak(action), beside + size * bytes_per_byte
            assert peak <= allowed_bytes, f"{size} bytes took {peak} bytes of memory where {allowed_bytes} are allowed"


def _seconds(action: Callable[[], object]) -> float:
    began = time.thread_time()
    _outcome(action)
    return time.thread_time() - began


def _peak(action: Callable[[], object]) -> int:
    tracemalloc.start()
    try:
        result = _outcome(action)
        peak = tracemalloc.get_traced_memory()[1]
        del result
    finally:
        tracemalloc.stop()
    return peak


def _outcome(action: Callable[[], object]) -> object:
    try:
        return action()
    except Exception:
        return None  # the first try has raised it already
