"""Quix Streams: words grouped and counted in a state of its own."""

from __future__ import annotations

import json
import shutil

import pytest

from compat_tests.programs.kits import QUIX_STREAMS
from compat_tests.programs.plain import PATIENCE, Plain
from compat_tests.session import eventually

KIT = QUIX_STREAMS
WORDS = ["a", "b", "a", "c", "a", "b"]


@pytest.mark.parametrize("guarantee", ["at-least-once", "exactly-once"])
def test_words_are_counted(plain: Plain, guarantee: str) -> None:
    """Each count comes once, also after the local state is lost and read back from its changelog"""
    source, target = f"quix-{guarantee}-words", f"quix-{guarantee}-counts"
    plain.create(source, 2)
    plain.create(target, 2)
    state = plain.folder / "state"

    def run(expected: int) -> None:
        plain.send(source, [json.dumps({"word": word}) for word in WORDS])
        with plain.running("app.py", plain.bootstrap, guarantee, str(state), source, target) as app:

            def done() -> bool:
                assert not app.ended, app.log()[-3000:]
                return len(plain.committed_records(target)) >= expected

            eventually(done, f"{expected} counts", PATIENCE)
            assert app.terminate() == 0, app.log()[-3000:]

    run(len(WORDS))
    shutil.rmtree(state)
    run(2 * len(WORDS))
    counts = [json.loads(value) for _, value in plain.committed_records(target)]
    found = {word: [each["count"] for each in counts if each["word"] == word] for word in "abc"}
    assert found == {"a": [1, 2, 3, 4, 5, 6], "b": [1, 2, 3, 4], "c": [1, 2]}
