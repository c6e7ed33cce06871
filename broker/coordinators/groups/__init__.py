"""The group coordinator: who is in which group, who reads which partitions, and how far they have come.

| module | holds |
|---|---|
| `coordinator` | GroupCoordinator: what handlers ask, and which shard knows |
| `machine`, `membership` | one shard: the fold of one partition of `__consumer_offsets`; its groups and their members |
| `group`, `decision` | what every kind of group has; what each needs to decide: drafts, deadlines, callers |
| `classic/` | the classic protocol: join, sync, beat, leave, silence; a group, its members, its states |
| `consumer/` | the consumer protocol (KIP-848): heartbeats, targets, reconciliation; changes between protocols |
| `assignors/`, `expressions` | who shall own which partition; topics by regular expression |
| `memory` | what groups take, and the budget that they share |
| `forgetting` | what is too old, or of a topic that is gone |
| `committing` | what may be committed |
| `offset_runs` | very many offsets that change together, in records made before the decision |
| `offsets`, `pending_offsets` | committed offsets; those that wait for the end of a transaction |
| `records` | both in Kafka's records |
| `settings` | what operators may set, and caps |
"""

from broker.coordinators.groups.coordinator import CommittedByGroup, GroupCoordinator
from broker.coordinators.groups.decision import Caller, CommittingMember
from broker.coordinators.groups.offsets import CommittedOffset, OffsetToCommit

__all__ = [
    "Caller",
    "CommittedByGroup",
    "CommittedOffset",
    "CommittingMember",
    "GroupCoordinator",
    "OffsetToCommit",
]
