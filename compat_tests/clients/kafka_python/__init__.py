"""kafka-python 3: a client in pure Python, each call synchronous."""

from __future__ import annotations

NAME = "kafka-python"
NEEDS = "the package kafka-python (with its extras lz4, snappy and zstd)"
CANNOT = {
    "null_headers": "KafkaProducer.send takes headers of (str, bytes) only",
}
