"""How much of the broker a client may have: bytes, time of the event loop, changes of topics, connections.

| module | holds |
|---|---|
| `rates` | how much there was of something lately: Kafka's samples, and its token bucket |
| `limits` | which of the quotas that are set is a client's |
| `quotas` | Quotas: what is counted for whom, and how long a client is to wait |
| `connections` | the rates at which connections may be opened |

**Where it is asked.** `Services.quotas` is None as long as no quota is set, so a plain broker pays one attribute read
for each request. Else `network/dispatch.py` counts what each request takes, `handlers/fetch.py` what it gives,
`handlers/{create_topics,delete_topics,create_partitions}.py` what it changes, and `network/connections.py` who comes.

**What a client feels** (KIP-219, KIP-599). It is answered at once, and the answer says in `throttle_time_ms` how long
from then on its connection will not be read. That is `Peer.muted_until`, which the connection looks at before it takes
the next request, whether or not that has arrived. What the client goes on sending stays with the operating system, and
TCP makes the client wait: memory is that of a slow client, however much it wants. A Fetch that is too early is answered
without records, which are still there the next time.

**Nothing is remembered between requests** but the rates, and there are at most `MAX_RATES` of each kind: a client can
make up client ids without end, and the least recently seen makes way. One that is made up is as new as one that was
forgotten, so that buys nothing.

Replication quotas (`leader.replication.throttled.rate` and the like) are known and mean nothing: no replica copies
here.

Source: ClientQuotaManager, ClientRequestQuotaManager, ControllerMutationQuotaManager, ConnectionQuotas, Rate,
SampledStat, TokenBucket, QuotaUtils.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from broker.config.settings import BrokerConfig
    from broker.coordinators.cluster import ClusterChange, ClusterImage
    from broker.quotas.quotas import Quotas


def quotas_after(
    before: Quotas | None, config: BrokerConfig, image: ClusterImage, change: ClusterChange
) -> Quotas | None:
    """What is limited once the cluster has changed, or is loaded; None for nothing.

    The modules of this package are imported when something is limited for the first time.
    """
    if before is None:
        if not image.client_quotas and not config.limits_connection_creation:
            return None
        from broker.quotas.quotas import Quotas

        before = Quotas(config)
        before.adopt(image)
    else:
        before.follow(image, change)
        before.reconfigure(config)
    return before if before.active else None
