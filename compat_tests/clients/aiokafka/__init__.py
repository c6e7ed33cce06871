"""aiokafka: a client in pure Python on asyncio. It sends older versions of requests than the others do."""

from __future__ import annotations

NAME = "aiokafka"
NEEDS = "the package aiokafka"
_ADMIN = "AIOKafkaAdminClient has no such call"
CANNOT = {
    "delegation_tokens": "it does not say in SCRAM that it has a token",
    "leave_for_a_while": "it speaks the classic protocol only",
    "consumer_protocol": "it speaks the classic protocol only",
    "null_headers": "its record builder takes headers of (str, bytes) only",
    "null_key_and_value": "AIOKafkaProducer.send wants a key or a value",
    "commit_metadata": "AIOKafkaConsumer.committed returns the offset only",
    "cooperative": "it has no cooperative assignor",
    "no_auto_creation": "it has no such setting",
    "default_partitions": "NewTopic wants a number of partitions",
    "alter_configs": "it only has the older request that replaces all settings at once",
    "delete_groups": _ADMIN,
    "alter_group_offsets": _ADMIN,
    "delete_group_offsets": _ADMIN,
    "log_sizes": _ADMIN,
}
