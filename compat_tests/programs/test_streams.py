"""Kafka Streams: a table that all have, words grouped again, counts in windows, and a state that may be lost."""

from __future__ import annotations

import shutil
import socket
import struct
from collections import Counter

import pytest

from compat_tests.programs.kits import STREAMS
from compat_tests.programs.plain import PATIENCE, Plain
from compat_tests.session import eventually

KIT = STREAMS
NAMES = {"a": "alpha", "b": "beta", "c": "gamma"}
LINES = ["a b c", "a b", "a", "nothing known", "c c"]
STREAMS_GROUP_HEARTBEAT = 88


def counted(lines: list[str]) -> dict[str, int]:
    """What the counts have to be."""
    return dict(Counter(NAMES[word] for line in lines for word in line.split() if word in NAMES))


def count(plain: Plain, name: str, guarantee: str, protocol: str = "classic") -> None:
    """Count lines, lose the local state, count more; the repartition topic is emptied behind the counting."""
    lines, names, counts = (f"streams-{name}-{each}" for each in ("lines", "names", "counts"))
    for topic in (lines, names, counts):
        plain.create(topic, 2)
    plain.send(names, list(NAMES.values()), list(NAMES))
    state = plain.folder / "state"

    def run(sent: list[str], expected: dict[str, int]) -> None:
        plain.send(lines, sent)
        with plain.running("Counting", plain.bootstrap, guarantee, protocol, str(state), lines, names, counts) as app:

            def done() -> bool:
                assert not app.ended, app.log()[-3000:]
                return {key: int(value) for key, value in plain.committed_records(counts) if key} == expected

            eventually(done, f"the counts {expected}", PATIENCE)
            repartitioned = f"counting-{lines}-by-name-repartition"
            eventually(lambda: any(plain.starts(repartitioned)), "the repartition topic emptied", PATIENCE)
            assert app.close() == 0, app.log()[-3000:]

    run(LINES, counted(LINES))
    shutil.rmtree(state)
    run(LINES, counted(LINES * 2))
    numbers: dict[str, list[int]] = {}
    for key, value in plain.committed_records(counts):
        numbers.setdefault(key or "", []).append(int(value))
    assert numbers == {name: list(range(1, number + 1)) for name, number in counted(LINES * 2).items()}


@pytest.mark.parametrize("guarantee", ["at_least_once", "exactly_once_v2"])
def test_words_are_counted(plain: Plain, guarantee: str) -> None:
    """Each count comes once and in order, also after the local state is lost; the topic between is emptied."""
    count(plain, guarantee.replace("_", "-"), guarantee)


def test_words_are_counted_in_a_streams_group(plain: Plain) -> None:
    """The same, by a group whose tasks the broker assigns (KIP-1071)"""
    if STREAMS_GROUP_HEARTBEAT not in served(plain.bootstrap):
        pytest.skip("streams groups are not served")
    count(plain, "group", "exactly_once_v2", "streams")


def served(bootstrap: str) -> set[int]:
    """The keys of the APIs that a broker lists."""
    host, _, port = bootstrap.rpartition(":")
    with socket.create_connection((host, int(port)), 10) as asked:
        request = struct.pack(">hhih", 18, 0, 1, -1)
        asked.sendall(struct.pack(">i", len(request)) + request)
        with asked.makefile("rb") as answers:
            [size] = struct.unpack(">i", answers.read(4))
            answer = answers.read(size)
    [number] = struct.unpack_from(">i", answer, 6)
    return {struct.unpack_from(">h", answer, 10 + 6 * at)[0] for at in range(number)}
