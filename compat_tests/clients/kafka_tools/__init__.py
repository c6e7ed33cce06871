"""Apache Kafka's own command-line tools: a program for each question, run by Java.

They have scenarios of their own, test_command_line_tools.py, because they do one thing each and say it in words.
"""

from __future__ import annotations

NAME = "kafka-tools"
NEEDS = "Java 17 with the jars of Kafka's tools (python -m compat_tests prepare kafka_tools)"
CANNOT: dict[str, str] = {}
