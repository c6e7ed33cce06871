"""Every API we serve, as one literal table; dispatch, ApiVersions and the coverage test derive from it.

A handler module has two functions:

- `handle(request, ctx)` answers with a response, or None for no response. As an `async def` it runs once every earlier
  request of its connection has been answered, which is Kafka's rule. Produce and Fetch are plain functions: their
  first phase (append, or look) runs as soon as the request is read, and they return the response or a coroutine that
  will; so the requests of one connection overlap where order allows, and replies still leave in order.
- `refuse(request, error, version)` is the well-formed reply for "not now, not you": the error wherever Kafka's own
  `getErrorResponse` puts it. A KafkaError that escapes `handle` is answered with it.

A row says which versions are served and what permission every request of the API needs (`broker/security/needs.py`);
nothing is enforced yet, so no dispatch looks at it.

Versions are those of Kafka 4.3.1. Produce is advertised from 0 and served from 3, as Kafka does: librdkafka takes a
missing v0 for a broker that cannot compress.
"""

from __future__ import annotations

from importlib import import_module
from inspect import iscoroutinefunction

from broker.handlers.handler import Api, Handler
from broker.security.needs import ALTER_CLUSTER, DEPENDS, DESCRIBE_CLUSTER, NONE, READ_GROUP

__all__ = ["HANDLERS", "SERVED_VERSIONS", "Api", "Handler", "handler"]

HANDLERS: dict[int, Api] = {
    0: Api("produce", 3, 13, DEPENDS, advertised_from=0),
    1: Api("fetch", 4, 18, DEPENDS),
    2: Api("list_offsets", 1, 11, DEPENDS),
    3: Api("metadata", 0, 13, DEPENDS),
    8: Api("offset_commit", 2, 10, DEPENDS),
    9: Api("offset_fetch", 1, 10, DEPENDS),
    10: Api("find_coordinator", 0, 6, DEPENDS),
    11: Api("join_group", 0, 9, READ_GROUP),
    12: Api("heartbeat", 0, 4, READ_GROUP),
    13: Api("leave_group", 0, 5, READ_GROUP),
    14: Api("sync_group", 0, 5, READ_GROUP),
    15: Api("describe_groups", 0, 6, DEPENDS),
    16: Api("list_groups", 0, 5, DEPENDS),
    18: Api("api_versions", 0, 5, NONE),
    19: Api("create_topics", 2, 7, DEPENDS),
    20: Api("delete_topics", 1, 6, DEPENDS),
    21: Api("delete_records", 0, 2, DEPENDS),
    22: Api("init_producer_id", 0, 5, DEPENDS),
    23: Api("offset_for_leader_epoch", 2, 4, DEPENDS),
    32: Api("describe_configs", 1, 4, DEPENDS),
    33: Api("alter_configs", 0, 2, DEPENDS),
    35: Api("describe_log_dirs", 1, 5, DESCRIBE_CLUSTER),
    37: Api("create_partitions", 0, 3, DEPENDS),
    42: Api("delete_groups", 0, 3, DEPENDS),
    44: Api("incremental_alter_configs", 0, 1, DEPENDS),
    47: Api("offset_delete", 0, 0, DEPENDS),
    57: Api("update_features", 0, 2, ALTER_CLUSTER),
    60: Api("describe_cluster", 0, 2, NONE),
    75: Api("describe_topic_partitions", 0, 0, DEPENDS),
}

SERVED_VERSIONS: dict[int, tuple[int, int]] = {key: (api.oldest, api.newest) for key, api in HANDLERS.items()}


_loaded: dict[int, Handler] = {}


def handler(api_key: int) -> Handler:
    """The handler of a served API, imported on first use."""
    found = _loaded.get(api_key)
    if found is None:
        module = import_module(f"{__name__}.{HANDLERS[api_key].module}")
        found = _loaded[api_key] = Handler(module.handle, module.refuse, not iscoroutinefunction(module.handle))
    return found
