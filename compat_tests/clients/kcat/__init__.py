"""kcat: librdkafka as a command. Each producer's batch and each consumer is a process."""

from __future__ import annotations

NAME = "kcat"
NEEDS = "the command kcat"
_PROCESS = "a running kcat takes no orders"
_ADMIN = "kcat changes and describes nothing"
CANNOT = {
    "delegation_tokens": "librdkafka does not say in SCRAM that it has a token",
    "tls": "kcat is given an address here, and no properties beside it",
    "leave_for_a_while": "the librdkafka that distributions build it with is older than the protocol",
    "consumer_protocol": "the librdkafka that distributions build it with is older than the protocol",
    "binary_keys": "kcat sends no empty messages and no empty keys",
    "null_key_and_value": "kcat sends no message that is empty",
    "timestamps": "kcat does not set timestamps",
    "stored_partitions": "kcat reports deliveries without saying of which record",
    "error_codes": "kcat reports errors in words",
    "reconnects": "each batch of kcat's is a new process",
    "seek": _PROCESS,
    "pause": _PROCESS,
    "position": "kcat does not tell its position",
    "max_poll_interval": "kcat polls all the time",
    "patterns": "librdkafka does, but kcat's group members say nothing of it",
    "transactions": "kcat ends its transaction when its input ends",
    "copy": _PROCESS,
    "copy_reconnects": _PROCESS,
    "commit": _PROCESS,
    "commit_metadata": _PROCESS,
    "committed": "kcat does not tell what is committed",
    "commit_without_joining": _PROCESS,
    "no_auto_creation": "kcat's metadata requests may create topics",
    "resubscribe": _PROCESS,
    "create_topics": _ADMIN,
    "default_partitions": _ADMIN,
    "config_errors": _ADMIN,
    "delete_topics": _ADMIN,
    "create_partitions": _ADMIN,
    "describe_configs": _ADMIN,
    "alter_configs": _ADMIN,
    "delete_records": _ADMIN,
    "list_groups": _ADMIN,
    "describe_groups": _ADMIN,
    "delete_groups": _ADMIN,
    "group_offsets": _ADMIN,
    "alter_group_offsets": _ADMIN,
    "delete_group_offsets": _ADMIN,
    "log_sizes": _ADMIN,
}
