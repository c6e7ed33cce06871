"""Every input that fuzzing has kept, and every one that was a finding once, still keeps what the targets promise."""

from __future__ import annotations

import pytest

from kproto.tests.fuzz.families import families, replay


@pytest.mark.parametrize("name", families("broker"))
def test_kept_inputs_break_no_promise(name: str) -> None:
    """The whole corpus of one family, and its regressions."""
    replay("broker", name)
