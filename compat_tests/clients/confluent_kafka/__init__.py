"""confluent-kafka: librdkafka under a thin Python layer. What holds here holds for most clients of other languages."""

from __future__ import annotations

NAME = "confluent-kafka"
NEEDS = "the package confluent-kafka"
CANNOT = {
    "delegation_tokens": "librdkafka does not say in SCRAM that it has a token",
    "copy_reconnects": "librdkafka waits for the group's coordinator that a producer knew before, and for no other",
    "no_partitions": "librdkafka checks the number of partitions by itself",
    "delete_group_offsets": "AdminClient does not offer librdkafka's DeleteConsumerGroupOffsets",
    "log_sizes": "librdkafka does not have DescribeLogDirs",
}
