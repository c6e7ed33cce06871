"""The consumer protocol (KIP-848): members beat, and the coordinator decides who reads what.

| module | holds |
|---|---|
| `protocol` | what heartbeats ask for, and what follows from silence |
| `group` | a group: the fold of its records |
| `member` | a member: what it said, what it owns, in Kafka's records |
| `reconciliation` | how a member gets from what it owns to what it shall own |
| `assigning` | who shall own what: an assignor's question and answer |
| `expressions` | subscriptions by regular expression, and the topics that they match |
| `topics` | topics as groups see them, and the hash by which a change is noticed |
| `configs` | sessions and intervals of a group |
"""
