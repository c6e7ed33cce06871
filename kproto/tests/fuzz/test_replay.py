"""Every input that fuzzing has kept, and every one that was a finding once, still keeps what the targets promise.

`python -m tools.trials fuzz` makes new inputs; this needs nothing but the kept ones.
"""

from __future__ import annotations

import pytest

from kproto.tests.fuzz.families import families, pack, replay, unpack


@pytest.mark.parametrize("name", families("kproto"))
def test_kept_inputs_break_no_promise(name: str) -> None:
    """The whole corpus of one family, and its regressions."""
    replay("kproto", name)


def test_a_corpus_file_is_unpacked_as_it_was_packed() -> None:
    """Each input once, the short ones first."""
    inputs = [b"long" * 100, b"", b"b", b"a", b"b"]
    assert unpack(pack(inputs)) == [b"", b"a", b"b", b"long" * 100]
