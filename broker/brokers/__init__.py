"""The brokers of a cluster: who lives, who leads what, who coordinates what, and how they ask each other.

Only a broker that shares its store with others has this room. Alone, `Services.brokers` is None.

| module | holds |
|---|---|
| `brokers` | what this broker knows of all: what Metadata and FindCoordinator show |
| `rendezvous` | which of them are preferred for what |
| `lifecycle` | living among them: heartbeats, shards taken up and given up, draining |
| `telling` | making others know what was decided here |
| `entry` | the transaction coordinator, wherever it is; markers for groups' shards, wherever they are |
"""

from broker.brokers.brokers import Brokers

__all__ = ["Brokers"]
