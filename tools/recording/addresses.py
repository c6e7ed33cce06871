"""Where replies send clients, and that clients come back.

A client learns the cluster's brokers from replies: Metadata, FindCoordinator, DescribeCluster, and the endpoints that
Produce, Fetch and their like for share groups add when a leader has moved (KIP-951). Each address in them is replaced
by one of the recorder's, which has a listener for each broker. `rewrite` changes a decoded reply in place.

**Versions that are not known here** are taken out of the answers to ApiVersions for the APIs that carry addresses,
since an address in a reply that cannot be read would lead a client around the recorder.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from kproto.headers import API_VERSIONS
from kproto.messages import request_type
from kproto.schema.declare import Response
from tools.recording.secrets import structs_of

Address = tuple[str, int]

CARRIERS: Final = frozenset({0, 1, 3, 10, 60, 78, 79})
"""Produce, Fetch, Metadata, FindCoordinator, DescribeCluster, ShareFetch, ShareAcknowledge."""


def rewrite(api_key: int, reply: Response, ours: Callable[[int, Address], Address]) -> bool:
    """Replace addresses in a reply, and versions that could hide some. `ours` gives the recorder's address for a node
    and its own. True if anything was changed."""
    if api_key == API_VERSIONS:
        return _narrow(reply)
    if api_key not in CARRIERS:
        return False
    changed = False
    for struct in structs_of(reply):
        host, port = getattr(struct, "host", None), getattr(struct, "port", None)
        if host and port is not None and port > 0:
            node = getattr(struct, "node_id", None)
            struct.host, struct.port = ours(getattr(struct, "broker_id", -1) if node is None else node, (host, port))
            changed = True
    return changed


def _narrow(reply: Any) -> bool:
    changed = False
    for row in reply.api_keys:
        if row.api_key in CARRIERS and row.max_version > (newest := request_type(row.api_key).max_version):
            row.max_version = newest
            changed = True
    return changed
