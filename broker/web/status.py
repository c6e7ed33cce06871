"""What only Ottla can say of itself, for the page: its connections, what its time goes to, what held up the event loop.

Not for Prometheus: each connection would be a series. The busiest connections come first, `MOST` of them.
"""

from __future__ import annotations

from typing import Any, Final

from broker.web.collecting import Running
from broker.web.sampling import this_thread, watched
from storage.seams.offload import Lane
from storage.seams.slices import Slices

MOST: Final = 500


async def status_of(running: Running) -> dict[str, Any]:
    """`connections`, the busiest first; `left_out`, how many more there are; `turns`, the last that were too long;
    `time`, what a moment of the event loop went to; `faults`, as commanded."""
    each = running.connections.each()
    each.sort(key=lambda connection: -connection.requests)
    slices = Slices()
    connections = [
        {
            "peer": f"{one.peer.host}:{one.peer.port}",
            "listener": one.peer.listener,
            "user": str(one.peer.principal),
            "software": " ".join(filter(None, one.peer.client_software)),
            "requests": one.requests,
            "received": one.received_bytes,
            "sent": one.sent_bytes,
            "still": round(one.still, 1),
        }
        async for one in slices.over(each[:MOST])
    ]
    turns = running.services.turns.statistics().last
    sampled = await running.services.offload.run(watched, this_thread(), abandonable=True, lane=Lane.LOOKING)
    return {
        "connections": connections,
        "left_out": max(0, len(each) - MOST),
        "turns": [
            {
                "task": turn.task.rpartition(".")[2],
                "doing": ", ".join(f"{name} {value}" for name, value in turn.doing.items()),
                "milliseconds": turn.milliseconds,
            }
            for turn in reversed(turns)
        ],
        "time": sampled._asdict(),
        "faults": running.connections.faults(),
    }
