"""Every API we serve, as one literal table; dispatch, ApiVersions and the coverage test derive from it.

A handler module has two functions:

- `handle(request, ctx)` answers with a response, or None for no response. As an `async def` it runs once every earlier
  request of its connection has been answered, which is Kafka's rule. Produce and Fetch are plain functions: their
  first phase (append, or look) runs as soon as the request is read, and they return the response or a coroutine that
  will; so the requests of one connection overlap where order allows, and replies still leave in order.
- `refuse(request, error, version)` is the well-formed reply for "not now, not you": the error wherever Kafka's own
  `getErrorResponse` puts it. A KafkaError that escapes `handle` is answered with it.

Versions are those of Kafka 4.3.1. Produce is advertised from 0 and served from 3, as Kafka does: librdkafka takes a
missing v0 for a broker that cannot compress.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from inspect import iscoroutinefunction
from typing import Any, NamedTuple


class Api(NamedTuple):
    """One row: the module (of this package, and of kproto.messages), and the versions served."""

    module: str
    oldest: int
    newest: int
    advertised_from: int | None = None


HANDLERS: dict[int, Api] = {
    0: Api("produce", 3, 13, advertised_from=0),
    1: Api("fetch", 4, 18),
    2: Api("list_offsets", 1, 11),
    3: Api("metadata", 0, 13),
    8: Api("offset_commit", 2, 10),
    9: Api("offset_fetch", 1, 10),
    10: Api("find_coordinator", 0, 6),
    11: Api("join_group", 0, 9),
    12: Api("heartbeat", 0, 4),
    13: Api("leave_group", 0, 5),
    14: Api("sync_group", 0, 5),
    15: Api("describe_groups", 0, 6),
    16: Api("list_groups", 0, 5),
    18: Api("api_versions", 0, 4),
    19: Api("create_topics", 2, 7),
    20: Api("delete_topics", 1, 6),
    21: Api("delete_records", 0, 2),
    22: Api("init_producer_id", 0, 5),
    23: Api("offset_for_leader_epoch", 2, 4),
    32: Api("describe_configs", 1, 4),
    33: Api("alter_configs", 0, 2),
    35: Api("describe_log_dirs", 1, 5),
    37: Api("create_partitions", 0, 3),
    42: Api("delete_groups", 0, 2),
    44: Api("incremental_alter_configs", 0, 1),
    47: Api("offset_delete", 0, 0),
    60: Api("describe_cluster", 0, 2),
    75: Api("describe_topic_partitions", 0, 0),
}

SERVED_VERSIONS: dict[int, tuple[int, int]] = {key: (api.oldest, api.newest) for key, api in HANDLERS.items()}


class Handler(NamedTuple):
    """A handler module's functions. `eager`: `handle` is a plain function and may run before earlier replies have
    left."""

    handle: Callable[..., Any]
    refuse: Callable[..., Any]
    eager: bool


_loaded: dict[int, Handler] = {}


def handler(api_key: int) -> Handler:
    """The handler of a served API, imported on first use."""
    found = _loaded.get(api_key)
    if found is None:
        module = import_module(f"{__name__}.{HANDLERS[api_key].module}")
        found = _loaded[api_key] = Handler(module.handle, module.refuse, not iscoroutinefunction(module.handle))
    return found
