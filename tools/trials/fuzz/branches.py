"""Which inputs of a corpus are worth keeping: the shortest that together take every branch the whole corpus takes, and
that no seed takes, because seeds are made again each time.

A branch is a pair of lines of one function that ran one after the other, seen by Python's own tracing, so nothing needs
to be installed and generated decoders count like everything else. Run as `trials.fuzz.branches PACKAGE NAME
FOLDER...`, it replaces the family's corpus file by the best of what it and the folders hold, and prints how many inputs
and branches that is.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

from kproto.tests.fuzz.families import ROOT, Family, Target, pack

LONGEST = 1280
"""Longer inputs are left out: what they reach, a shorter one reaches as well, sooner or later."""

Branch = tuple[CodeType, int, int]


def best(target: Target, inputs: Iterable[bytes], seeds: Iterable[bytes] = ()) -> tuple[list[bytes], int]:
    """The inputs to keep, and the number of branches they and the seeds take. A finding is not kept."""
    known: set[Branch] = set()
    kept = []
    for seed in seeds:
        target(seed)
        known |= branches(target, seed)
    for data in sorted({each for each in inputs if len(each) <= LONGEST}, key=lambda each: (len(each), each)):
        try:
            target(data)  # what is done once only, such as compiling a decoder, is no branch of this input
        except Exception:
            continue
        taken = branches(target, data)
        if not taken <= known:
            known |= taken
            kept.append(data)
    return kept, len(known)


def branches(target: Target, data: bytes) -> set[Branch]:
    """The branches that an input takes in this project's code."""
    taken: set[Branch] = set()
    root = str(ROOT)

    def called(frame: FrameType, event: str, argument: Any) -> Any:
        code = frame.f_code
        if not code.co_filename.startswith((root, "<decode", "<encode")) or "site-packages" in code.co_filename:
            return None
        last = 0

        def stepped(frame: FrameType, event: str, argument: Any) -> Any:
            nonlocal last
            if event == "line":
                taken.add((code, last, frame.f_lineno))
                last = frame.f_lineno
            return stepped

        return stepped

    before = sys.gettrace()
    sys.settrace(called)
    try:
        target(data)
    finally:
        sys.settrace(before)
    return taken


def main(arguments: list[str]) -> None:
    """Thin out a family's corpus."""
    package, name, *folders = arguments
    family = Family(package, name)
    inputs = family.corpus()
    inputs += [path.read_bytes() for folder in folders for path in sorted(Path(folder).iterdir())]
    kept, count = best(family.target(), inputs, family.seeds())
    family.corpus_file.parent.mkdir(exist_ok=True)
    data = pack(kept)
    family.corpus_file.write_bytes(data)
    print(f"{name}: {len(kept)} of {len(set(inputs))} inputs kept, {len(data)} bytes, {count} branches")


if __name__ == "__main__":
    main(sys.argv[1:])
