"""`quorum-state`: Kafka's text, and nothing else."""

from __future__ import annotations

import json

import pytest

from kproto.formats.quorum_state import DamagedQuorumState, QuorumState, decode


@pytest.mark.parametrize(
    ("state", "text"),
    [
        (
            QuorumState(0, 1, 2, voters=(1,)),
            '{"clusterId":"","leaderId":1,"leaderEpoch":2,"votedId":-1,"appliedOffset":0,'
            '"currentVoters":[{"voterId":1}],"data_version":0}',
        ),
        (
            QuorumState(1, 1, 1),
            '{"leaderId":1,"leaderEpoch":1,"votedId":-1,"votedDirectoryId":"AAAAAAAAAAAAAAAAAAAAAA","data_version":1}',
        ),
    ],
)
def test_quorum_state_is_kafkas(state: QuorumState, text: str) -> None:
    """Letter for letter what Kafka has written, and read again."""
    assert state.encode() == text.encode()
    assert decode(text.encode()) == state


@pytest.mark.parametrize("state", [QuorumState(0, 1, 5, voters=(1,)), QuorumState(1, -1, 6, 2, b"d" * 16)])
def test_either_version_is_read_as_it_was_written(state: QuorumState) -> None:
    """With and without a leader."""
    assert decode(state.encode()) == state


@pytest.mark.parametrize(
    "text",
    [
        "", "[]", "{}", '{"data_version":2}', '{"data_version":0,"leaderId":"1"}', '{"data_version":1,"leaderId":1}',
        '{"data_version":true}', '{"data_version":0,"leaderId":1,"leaderEpoch":1,"votedId":1,"currentVoters":[1]}',
        '{"leaderId":1,"leaderEpoch":1,"votedId":-1,"votedDirectoryId":"short","data_version":1}', "\xff",
    ],
)  # fmt: skip
def test_no_quorum_state(text: str) -> None:
    """Anything else is refused with a reason."""
    with pytest.raises(DamagedQuorumState):
        decode(text.encode("latin-1"))


def test_null_voters_are_none() -> None:
    """Kafka's field may be null."""
    values = json.loads(QuorumState(0, 1, 2).encode()) | {"currentVoters": None}
    assert decode(json.dumps(values).encode()).voters == ()
