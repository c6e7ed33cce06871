"""The map of keys that compaction works with: like a dict, in a sixth of the memory."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from storage.key_map import KeyMap

LIVES, DIES = 0, 1


@given(st.lists(st.one_of(st.none(), st.binary(max_size=3)), max_size=200), st.integers(1, 20))
def test_like_a_dict(keys: list[bytes | None], step: int) -> None:
    """The newest record of each key lives, however the keys come in; a map that is nearly full is no exception."""
    found = KeyMap(max(len(set(keys)), 1), load_factor=0.95)
    marks = bytearray(len(keys))
    for first in range(0, len(keys), step):
        found.put_run(keys[first : first + step], first, marks, DIES)
    newest = {key: number for number, key in enumerate(keys) if key is not None}
    assert [number for number, mark in enumerate(marks) if mark == LIVES] == sorted(newest.values())
    assert found.count == len(newest)
    for key, number in newest.items():
        assert found.get(key) == number
    assert found.get(b"none of them") == -1


def test_a_full_map_still_finds_everything() -> None:
    """To the last key that fits."""
    chance = random.Random(1)
    keys: list[bytes | None] = [chance.randbytes(chance.randrange(9, 40)) for _ in range(5000)]
    found = KeyMap(5000, load_factor=0.95)
    found.put_run(keys, 0, bytearray(5000), DIES)
    assert [found.get(key or b"") for key in keys] == list(range(5000))
    assert all(found.get(chance.randbytes(8)) < 0 for _ in range(1000))
