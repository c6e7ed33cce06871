"""kafkajs: the widely used client for Node.js, without a release since 2023. It sends old versions of requests."""

from __future__ import annotations

NAME = "kafkajs"
NEEDS = "Node.js with kafkajs (python -m compat_tests prepare kafkajs)"
_NATIVE = "kafkajs leaves this codec to add-ons that must be compiled"
CANNOT = {
    "delegation_tokens": "kafkajs does not say in SCRAM that it has a token",
    "leave_for_a_while": "it speaks the classic protocol only",
    "consumer_protocol": "it speaks the classic protocol only",
    "lz4": _NATIVE,
    "zstd": _NATIVE,
    "null_headers": "kafkajs takes headers of strings and buffers only",
    "position": "a kafkajs consumer does not tell its position",
    "reset_none": "a kafkajs consumer always starts somewhere",
    "commit_without_joining": "kafkajs commits as a running member of a group only",
    "static_membership": "kafkajs has no static members",
    "cooperative": "kafkajs rebalances eagerly only",
    "range_assignor": "kafkajs shares by an assignor of its own",
    "max_poll_interval": "kafkajs is not polled",
    "patterns": "kafkajs looks for matching topics when it subscribes, not later",
    "resubscribe": "a running kafkajs consumer does not subscribe again",
    "no_auto_creation": "kafkajs refuses to subscribe to a topic that is not there",
    "alter_configs": "kafkajs has the older request only, which replaces all settings at once",
    "delete_group_offsets": "kafkajs has no such call",
    "log_sizes": "kafkajs has no such call",
}
