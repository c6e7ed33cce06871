"""An immutable map: every version of it stays what it was."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from broker.coordinators.cluster.persistent_map import PersistentMap

KEYS = st.integers(0, 30)


@given(st.lists(st.tuples(st.dictionaries(KEYS, st.integers(), max_size=5), st.lists(KEYS, max_size=5))))
def test_every_version_equals_the_dict_it_stands_for(changes: list[tuple[dict[int, int], list[int]]]) -> None:
    """Removals first, then what is put; earlier versions do not see later changes."""
    versions: list[tuple[PersistentMap[int, int], dict[int, int]]] = []
    current: PersistentMap[int, int] = PersistentMap()
    model: dict[int, int] = {}
    for put, remove in changes:
        current = current.updated(put, remove)
        model = {key: value for key, value in model.items() if key not in remove} | put
        versions.append((current, model))
    for version, expected in versions:
        assert dict(version) == expected
        assert len(version) == len(expected)
        for key in range(31):
            assert version.get(key) == expected.get(key)
            assert (key in version) == (key in expected)


def test_a_change_shares_what_it_does_not_touch() -> None:
    """The cost of a change does not grow with the map."""
    empty: PersistentMap[int, int] = PersistentMap()
    large = empty.updated({key: key for key in range(10_000)})
    changed = large.updated({5: -5})
    shared = sum(a is b for a, b in zip(large._buckets, changed._buckets, strict=True))
    assert shared == len(large._buckets) - 1
