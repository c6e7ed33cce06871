"""FastStream: words passed on and gathered in batches, on both of its libraries."""

from __future__ import annotations

import pytest

from compat_tests.programs.kits import FASTSTREAM
from compat_tests.programs.plain import PATIENCE, Plain

KIT = FASTSTREAM
SENT = 50


@pytest.mark.parametrize("library", ["kafka", "confluent"])
def test_words_are_passed_on_and_gathered(plain: Plain, library: str) -> None:
    """A subscriber that publishes, one that takes batches, and an application that ends by itself"""
    with plain.running("app.py", library, plain.bootstrap) as app:
        assert app.wait(PATIENCE) == 0, app.log()[-3000:]
        words = [line for line in app.lines() if line.startswith("WORD ")]
        assert sorted(words) == sorted(f"WORD {number}" for number in range(SENT)), app.log()[-3000:]
