"""`quorum-state`: who leads the quorum of a log, and in which epoch, as Kafka's controllers note it for themselves.

One line of JSON, in one of two versions (`data_version`). Version 0 belongs to quorums whose voters are named in
their configuration (`kraft.version` 0), version 1 to those that know them from their log (1, KIP-853):

    {"clusterId":"","leaderId":1,"leaderEpoch":2,"votedId":-1,"appliedOffset":0,"currentVoters":[{"voterId":1}],
     "data_version":0}
    {"leaderId":1,"leaderEpoch":2,"votedId":-1,"votedDirectoryId":"AAAAAAAAAAAAAAAAAAAAAA","data_version":1}

`votedId` is -1 once a leader is known. `clusterId` and `appliedOffset` have never meant anything.

Source: Kafka's `FileQuorumStateStore`, `QuorumStateData.json`, `ElectionState`.
"""

from __future__ import annotations

import json
from typing import Final, NamedTuple

from kproto.errors import ProtocolError
from kproto.ids import ZERO_UUID, Uuid, format_uuid, parse_uuid

NAME: Final = "quorum-state"
NO_VOTE: Final = -1
NEWEST_VERSION: Final = 1


class QuorumState(NamedTuple):
    """What the file says. Nodes are -1 where there is none."""

    version: int
    leader_id: int
    leader_epoch: int
    voted_id: int = NO_VOTE
    voted_directory_id: Uuid = ZERO_UUID
    voters: tuple[int, ...] = ()
    """Of version 0 only."""

    def encode(self) -> bytes:
        """The text of the file."""
        if self.version == 0:
            values = {
                "clusterId": "",
                "leaderId": self.leader_id,
                "leaderEpoch": self.leader_epoch,
                "votedId": self.voted_id,
                "appliedOffset": 0,
                "currentVoters": [{"voterId": voter} for voter in self.voters],
            }
        else:
            values = {
                "leaderId": self.leader_id,
                "leaderEpoch": self.leader_epoch,
                "votedId": self.voted_id,
                "votedDirectoryId": format_uuid(self.voted_directory_id),
            }
        return json.dumps({**values, "data_version": self.version}, separators=(",", ":")).encode("ascii")


class DamagedQuorumState(Exception):
    """The file cannot be what its name says; the message says why."""


def decode(data: bytes) -> QuorumState:
    """Read the text. Raises DamagedQuorumState."""
    try:
        values = json.loads(data)
    except ValueError as error:
        raise DamagedQuorumState(f"it is no JSON: {error}") from None
    if not isinstance(values, dict):
        raise DamagedQuorumState("it is no JSON object")
    version = _number(values, "data_version")
    if not 0 <= version <= NEWEST_VERSION:
        raise DamagedQuorumState(f"its data_version is {version}; 0 and 1 are known")
    directory = ZERO_UUID
    if version > 0:
        try:
            directory = parse_uuid(str(values.get("votedDirectoryId", "")))
        except (ValueError, ProtocolError):
            raise DamagedQuorumState("it names no votedDirectoryId") from None
    voters = values.get("currentVoters") or [] if version == 0 else []
    if not isinstance(voters, list) or not all(isinstance(voter, dict) for voter in voters):
        raise DamagedQuorumState("its currentVoters are no list of voters")
    return QuorumState(
        version,
        _number(values, "leaderId"),
        _number(values, "leaderEpoch"),
        _number(values, "votedId"),
        directory,
        tuple(_number(voter, "voterId") for voter in voters),
    )


def _number(values: dict[str, object], name: str) -> int:
    value = values.get(name)
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    raise DamagedQuorumState(f"it has no number {name}" if name not in values else f"its {name} is no number")
