"""kafka-python 3: a client in pure Python, each call synchronous."""

from __future__ import annotations

NAME = "kafka-python"
NEEDS = "the package kafka-python (with its extras lz4, snappy and zstd)"
CANNOT = {
    "delegation_tokens": "it does not say in SCRAM that it has a token",
    "leave_for_a_while": "it speaks the classic protocol only",
    "consumer_protocol": "it speaks the classic protocol only",
    "config_errors": "KafkaAdminClient.describe_configs leaves errors out",
    "null_key_and_value": "KafkaProducer.send wants a key or a value",
    "no_auto_creation": "its allow_auto_create_topics=False does not reach the group's metadata requests",
    "null_headers": "KafkaProducer.send takes headers of (str, bytes) only",
}
