"""Settings of Kafka clients for tests, by library: what a producer or a consumer has to be given to work on a broker.

    KafkaConsumer(topic, **settings("kafka-python", broker.bootstrap_servers).consumer)

They are plain dictionaries under the names of each library, without what a library would choose anyway: where the
broker is, that records count when they are acknowledged by all replicas, that a new group begins at the beginning, and
waits that suit a broker on the same machine. A group is a new one each time, unless it is named.
"""

from __future__ import annotations

TYPE_CHECKING = False  # as in typing, whose import is not needed for anything else here
if TYPE_CHECKING:
    from typing import Any

LIBRARIES = ("kafka-python", "confluent-kafka", "aiokafka")


class ClientSettings:
    """The settings for one library. `common` is for what is neither a producer nor a consumer, as an admin client."""

    def __init__(self, common: dict[str, Any], producer: dict[str, Any], consumer: dict[str, Any]) -> None:
        self.common = common
        self.producer = {**common, **producer}
        self.consumer = {**common, **consumer}


def settings(library: str, bootstrap_servers: str, group: str | None = None) -> ClientSettings:
    """For one of LIBRARIES. Raises ValueError for another name."""
    group = group or _new_group()
    if library == "kafka-python":
        return ClientSettings(
            {"bootstrap_servers": bootstrap_servers},
            {"acks": "all"},
            {"group_id": group, "auto_offset_reset": "earliest", "consumer_timeout_ms": 10_000},
        )
    if library == "aiokafka":
        return ClientSettings(
            {"bootstrap_servers": bootstrap_servers},
            {"acks": "all"},
            {"group_id": group, "auto_offset_reset": "earliest"},
        )
    if library == "confluent-kafka":
        return ClientSettings(
            {"bootstrap.servers": bootstrap_servers},
            {"acks": "all", "linger.ms": 0},
            {"group.id": group, "auto.offset.reset": "earliest"},
        )
    raise ValueError(f"{library!r} is none of {', '.join(LIBRARIES)}")


def _new_group() -> str:
    import os

    return f"group-{os.urandom(6).hex()}"
