"""Every API we serve, as one literal table; dispatch, ApiVersions and the coverage test derive from it.

A handler module has two functions:

- `handle(request, ctx)` answers with a response, or None for no response. As an `async def` it runs once every earlier
  request of its connection has been answered, which is Kafka's rule. Produce and Fetch are plain functions: their
  first phase (append, or look) runs as soon as the request is read, and they return the response or a coroutine that
  will; so the requests of one connection overlap where order allows, and replies still leave in order.
- `refuse(request, error, version)` is the well-formed reply for "not now, not you": the error wherever Kafka's own
  `getErrorResponse` puts it. A KafkaError that escapes `handle` is answered with it.

A row says what permission every request of the API needs (`broker/security/needs.py`). With an authorizer, the dispatch
asks for it before the handler is called; where it DEPENDS on what the request says, the handler asks
(`RequestContext.may` and its like in `broker/context.py`).

It also names what the handler asks for that a start leaves out (`broker/on_demand.py`); that is imported with it.

Versions are those of the release (`kproto/release/apis.py`), unless a row holds the newest of them back: so an API
stays as it was while its handler learns a newer version.
"""

from __future__ import annotations

from importlib import import_module
from inspect import iscoroutinefunction

from broker.handlers.handler import Api, Handler
from broker.on_demand import AUTHENTICATION, FETCHES, GROUPS, TOKENS, TRANSACTIONS, import_all
from broker.security.needs import (
    ALTER_CLUSTER,
    ALTER_CLUSTER_CONFIGS,
    DELETE_GROUP,
    DEPENDS,
    DESCRIBE_CLUSTER,
    DESCRIBE_CLUSTER_CONFIGS,
    NONE,
    READ_GROUP,
    WRITE_TRANSACTION,
    WRITE_TRANSACTION_READ_GROUP,
)
from kproto.release.apis import APIS

__all__ = ["ADVERTISED_VERSIONS", "HANDLERS", "SERVED_VERSIONS", "Api", "Handler", "handler", "loaded"]

HANDLERS: dict[int, Api] = {
    0: Api("produce", DEPENDS),
    1: Api("fetch", DEPENDS, FETCHES),
    2: Api("list_offsets", DEPENDS),
    3: Api("metadata", DEPENDS),
    8: Api("offset_commit", READ_GROUP, GROUPS),
    9: Api("offset_fetch", DEPENDS, GROUPS),
    10: Api("find_coordinator", DEPENDS),
    11: Api("join_group", READ_GROUP, GROUPS),
    12: Api("heartbeat", READ_GROUP, GROUPS),
    13: Api("leave_group", READ_GROUP, GROUPS),
    14: Api("sync_group", READ_GROUP, GROUPS),
    15: Api("describe_groups", DEPENDS, GROUPS),
    16: Api("list_groups", DEPENDS, GROUPS),
    17: Api("sasl_handshake", NONE, AUTHENTICATION),
    18: Api("api_versions", NONE),
    19: Api("create_topics", DEPENDS),
    20: Api("delete_topics", DEPENDS),
    21: Api("delete_records", DEPENDS),
    22: Api("init_producer_id", DEPENDS),
    23: Api("offset_for_leader_epoch", DEPENDS),
    24: Api("add_partitions_to_txn", DEPENDS, TRANSACTIONS),
    25: Api("add_offsets_to_txn", WRITE_TRANSACTION_READ_GROUP, (*GROUPS, *TRANSACTIONS)),
    26: Api("end_txn", WRITE_TRANSACTION, TRANSACTIONS),
    27: Api("write_txn_markers", DEPENDS, TRANSACTIONS),
    28: Api("txn_offset_commit", WRITE_TRANSACTION_READ_GROUP, GROUPS),
    29: Api("describe_acls", DESCRIBE_CLUSTER),
    30: Api("create_acls", ALTER_CLUSTER),
    31: Api("delete_acls", ALTER_CLUSTER),
    32: Api("describe_configs", DEPENDS),
    33: Api("alter_configs", DEPENDS),
    34: Api("alter_replica_log_dirs", ALTER_CLUSTER),
    35: Api("describe_log_dirs", DESCRIBE_CLUSTER),
    36: Api("sasl_authenticate", NONE, AUTHENTICATION),
    37: Api("create_partitions", DEPENDS),
    38: Api("create_delegation_token", DEPENDS, TOKENS),
    39: Api("renew_delegation_token", DEPENDS, TOKENS),
    40: Api("expire_delegation_token", DEPENDS, TOKENS),
    41: Api("describe_delegation_token", DEPENDS, TOKENS),
    42: Api("delete_groups", DEPENDS, GROUPS),
    43: Api("elect_leaders", ALTER_CLUSTER),
    44: Api("incremental_alter_configs", DEPENDS),
    45: Api("alter_partition_reassignments", ALTER_CLUSTER),
    46: Api("list_partition_reassignments", DESCRIBE_CLUSTER),
    47: Api("offset_delete", DELETE_GROUP, GROUPS),
    48: Api("describe_client_quotas", DESCRIBE_CLUSTER_CONFIGS),
    49: Api("alter_client_quotas", ALTER_CLUSTER_CONFIGS),
    50: Api("describe_user_scram_credentials", DESCRIBE_CLUSTER),
    51: Api("alter_user_scram_credentials", ALTER_CLUSTER),
    55: Api("describe_quorum", DESCRIBE_CLUSTER),
    57: Api("update_features", ALTER_CLUSTER),
    60: Api("describe_cluster", NONE),
    61: Api("describe_producers", DEPENDS),
    64: Api("unregister_broker", ALTER_CLUSTER),
    65: Api("describe_transactions", DEPENDS, TRANSACTIONS),
    66: Api("list_transactions", DEPENDS, TRANSACTIONS),
    68: Api("consumer_group_heartbeat", READ_GROUP, GROUPS),
    69: Api("consumer_group_describe", DEPENDS, GROUPS),
    74: Api("list_config_resources", DESCRIBE_CLUSTER_CONFIGS),
    71: Api("get_telemetry_subscriptions", NONE),
    72: Api("push_telemetry", NONE),
    75: Api("describe_topic_partitions", DEPENDS),
    80: Api("add_raft_voter", ALTER_CLUSTER),
    81: Api("remove_raft_voter", ALTER_CLUSTER),
    94: Api("unregister_controller", ALTER_CLUSTER),
}

SERVED_VERSIONS: dict[int, tuple[int, int]] = {
    key: (APIS[key].oldest, APIS[key].newest if api.newest is None else api.newest) for key, api in HANDLERS.items()
}
"""API key -> the oldest and the newest version that are served."""

ADVERTISED_VERSIONS: dict[int, tuple[int, int]] = {
    key: (APIS[key].oldest_advertised, newest) for key, (_, newest) in SERVED_VERSIONS.items()
}
"""API key -> the versions that ApiVersions lists."""

loaded: dict[int, Handler] = {}
"""API key -> its handler, once that has been imported."""


def handler(api_key: int) -> Handler:
    """The handler of a served API, imported on first use."""
    found = loaded.get(api_key)
    if found is None:
        module = import_module(f"{__name__}.{HANDLERS[api_key].module}")
        import_all(HANDLERS[api_key].asks)
        found = loaded[api_key] = Handler(module.handle, module.refuse, not iscoroutinefunction(module.handle))
    return found
