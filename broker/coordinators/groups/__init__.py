"""The group coordinator: who is in which group, who reads which partitions, and how far they have come.

| module | holds |
|---|---|
| `coordinator`, `routing` | GroupCoordinator: what handlers ask; which shard knows |
| `machine` | one shard: the fold of one partition of `__consumer_offsets` |
| `rebalance` | the classic protocol's decisions: join, sync, beat, leave, silence |
| `classic`, `states` | a classic group and its members; the table of its states |
| `offsets` | committed offsets and when they may be forgotten |
| `records` | both in Kafka's records |
| `settings` | what operators may set, and caps |
"""

from broker.coordinators.groups.classic.protocol import Caller
from broker.coordinators.groups.coordinator import GroupCoordinator
from broker.coordinators.groups.machine import CommittingMember
from broker.coordinators.groups.offsets import CommittedOffset, OffsetToCommit

__all__ = ["Caller", "CommittedOffset", "CommittingMember", "GroupCoordinator", "OffsetToCommit"]
