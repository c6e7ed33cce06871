"""The judge of counts: for each word 1, 2, 3 ... and the last is how often it was sent."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence


def differences(sent: Mapping[str, int], counts: Mapping[str, Sequence[int]]) -> Iterator[str]:
    """What is wrong, a sentence for each word."""
    for word in sorted({*sent, *counts}):
        expected, found = range(1, sent.get(word, 0) + 1), list(counts.get(word, ()))
        if found == list(expected):
            continue
        at = next((n for n, pair in enumerate(zip(expected, found, strict=False)) if pair[0] != pair[1]), None)
        if at is None:
            yield f"{word}: was sent {len(expected)} times and counted {len(found)} times"
        else:
            yield f"{word}: after {found[max(0, at - 2) : at]} comes {found[at]}, and not {expected[at]}"
