"""The states of a classic group, as a table. A transition that is not in the table is a defect, not an error code.

    EMPTY ──member joined──> PREPARING_REBALANCE ──all joined──> COMPLETING_REBALANCE ──leader synced──> STABLE
      │ ^                        │         ^                              │                                │
      │ └───last member left─────┘         └──────membership changed──────┴────────────────────────────────┘
      └──removed──> DEAD

EMPTY, STABLE and DEAD are states *of the log*: a group enters them when a record is replayed, and a crash finds it
there again. PREPARING_REBALANCE and COMPLETING_REBALANCE are states *of the living*: they are not written down, a crash
forgets them, and the members join again. (Kafka: ClassicGroupState.)

How each state answers:

| state | join | sync | heartbeat | commit by a member |
|---|---|---|---|---|
| EMPTY | starts a rebalance | 25 | 25 | 25, unless it claims no generation |
| PREPARING_REBALANCE | waits for the others | 27 | 27, session kept | accepted, session kept |
| COMPLETING_REBALANCE | repeats the answer, or starts over if the member changed | waits for the leader | 0 | 27 |
| STABLE | repeats the answer; leader or changed member: starts over | the assignment | 0 | accepted, session kept |

25 is UNKNOWN_MEMBER_ID, 27 REBALANCE_IN_PROGRESS.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Final


class GroupState(Enum):
    """The value is the name on the wire (DescribeGroups, ListGroups)."""

    EMPTY = "Empty"
    PREPARING_REBALANCE = "PreparingRebalance"
    COMPLETING_REBALANCE = "CompletingRebalance"
    STABLE = "Stable"
    DEAD = "Dead"


class GroupEvent(Enum):
    """What moves a group from one state to the next."""

    MEMBER_JOINED = "member joined"
    ALL_JOINED = "all joined"
    LAST_MEMBER_LEFT = "last member left"
    LEADER_SYNCED = "leader synced"
    MEMBERSHIP_CHANGED = "membership changed"
    REMOVED = "removed"


TRANSITIONS: Final[Mapping[GroupState, Mapping[GroupEvent, GroupState]]] = {
    GroupState.EMPTY: {
        GroupEvent.MEMBER_JOINED: GroupState.PREPARING_REBALANCE,
        GroupEvent.REMOVED: GroupState.DEAD,
    },
    GroupState.PREPARING_REBALANCE: {
        GroupEvent.ALL_JOINED: GroupState.COMPLETING_REBALANCE,
        GroupEvent.LAST_MEMBER_LEFT: GroupState.EMPTY,
    },
    GroupState.COMPLETING_REBALANCE: {
        GroupEvent.LEADER_SYNCED: GroupState.STABLE,
        GroupEvent.MEMBERSHIP_CHANGED: GroupState.PREPARING_REBALANCE,
    },
    GroupState.STABLE: {
        GroupEvent.MEMBERSHIP_CHANGED: GroupState.PREPARING_REBALANCE,
    },
    GroupState.DEAD: {},
}


def next_state(state: GroupState, event: GroupEvent) -> GroupState:
    """Where `event` leads from `state`."""
    following = TRANSITIONS[state].get(event)
    assert following is not None, f"a group that is {state.value} cannot see '{event.value}'"
    return following
