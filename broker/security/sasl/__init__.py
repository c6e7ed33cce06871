"""SASL: how a client proves who it is, mechanism by mechanism.

| module | knows |
|---|---|
| `exchange` | what all mechanisms have in common: an exchange, an identity, a refusal |
| `plain`, `scram` | one mechanism's messages each |
| `conversation` | what a connection may send in which order, and how long an authentication counts (KIP-368) |

Nothing here knows sockets or the cluster's log.
"""
