"""The transaction coordinator: who owns a transactional id, which partitions its transaction has, how it ends.

| module | holds |
|---|---|
| `coordinator` | TransactionCoordinator: what handlers ask, and the task that completes what is decided |
| `machine` | one shard: the fold of one partition of `__transaction_state` |
| `states` | a transactional id, and the table of its states |
| `endings` | what an EndTxn is answered, in tables |
| `markers` | the end of a transaction in every partition that it has |
| `records` | all of it in Kafka's records |
| `settings` | what operators may set, and caps |
"""

from broker.coordinators.transactions.coordinator import TransactionCoordinator
from broker.coordinators.transactions.machine import Initialization, Listing, Owner
from broker.coordinators.transactions.states import STATES_BY_LABEL, VERSION_2, Transaction, TransactionState

__all__ = [
    "STATES_BY_LABEL",
    "VERSION_2",
    "Initialization",
    "Listing",
    "Owner",
    "Transaction",
    "TransactionCoordinator",
    "TransactionState",
]
