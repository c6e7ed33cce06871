"""The Java client of Apache Kafka itself, in its own process."""

from __future__ import annotations

NAME = "java"
NEEDS = "Java 17 with Kafka's client jars (python -m compat_tests prepare java)"
CANNOT: dict[str, str] = {}
