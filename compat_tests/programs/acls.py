"""What Kafka Connect and MirrorMaker 2 must be allowed, and no more; docs/security.md has the same as a table.

Names are those of the settings in the tests. READ and WRITE imply DESCRIBE, so it is listed only where it stands alone.
"""

from __future__ import annotations

from dataclasses import dataclass

TOPIC, GROUP, CLUSTER = "TOPIC", "GROUP", "BROKER"
"""Kinds as librdkafka calls them; the last one's only name is `kafka-cluster`."""
LITERAL, PREFIXED = "LITERAL", "PREFIXED"


@dataclass(frozen=True)
class Acl:
    """Allows a user operations on resources of that name, or whose names begin so."""

    user: str
    kind: str
    name: str
    operations: tuple[str, ...]
    pattern: str = LITERAL

    def row(self) -> str:
        """How the page's table has it."""
        star = "*" if self.pattern == PREFIXED else ""
        where = "the cluster" if self.kind == CLUSTER else f"{self.kind.lower()} `{self.name}{star}`"
        return f"| `{self.user}` | {', '.join(self.operations)} | {where} |"


WORKER, SOURCE_TASKS, SINK_TASKS = "connect", "connect-source", "connect-sink"
WORKERS_GROUP, SINK, LINES = "connect-cluster", "file-sink", "lines"
INTERNAL = {"config": "connect-configs", "offset": "connect-offsets", "status": "connect-status"}
"""Part of a setting `<part>.storage.topic` -> the topic."""

CONNECT_SINK_GROUP = Acl(SINK_TASKS, GROUP, f"connect-{SINK}", ("READ",))
CONNECT_WORKERS_GROUP = Acl(WORKER, GROUP, WORKERS_GROUP, ("READ",))
CONNECT = (
    CONNECT_WORKERS_GROUP,
    *(Acl(WORKER, TOPIC, name, ("CREATE", "READ", "WRITE")) for name in INTERNAL.values()),
    Acl(SOURCE_TASKS, TOPIC, LINES, ("CREATE", "WRITE")),
    Acl(SINK_TASKS, TOPIC, LINES, ("READ",)),
    CONNECT_SINK_GROUP,
)

AT_SOURCE, AT_TARGET = "mirror-source", "mirror-target"
SOURCE, TARGET = "source", "target"
MIRRORED, MIRRORED_GROUP = "orders", "billing"
MIRROR_SOURCE = (
    Acl(AT_SOURCE, TOPIC, MIRRORED, ("READ", "DESCRIBE_CONFIGS")),
    Acl(AT_SOURCE, GROUP, MIRRORED_GROUP, ("DESCRIBE",)),
)
MIRROR_TARGET = (
    Acl(AT_TARGET, GROUP, f"{SOURCE}-mm2", ("READ",)),
    *(
        Acl(AT_TARGET, TOPIC, f"mm2-{part}.{SOURCE}.internal", ("CREATE", "READ", "WRITE"))
        for part in ("configs", "offsets", "status")
    ),
    Acl(AT_TARGET, TOPIC, f"mm2-offset-syncs.{SOURCE}.internal", ("CREATE", "READ", "WRITE")),
    Acl(AT_TARGET, TOPIC, f"{SOURCE}.checkpoints.internal", ("CREATE", "READ", "WRITE")),
    Acl(AT_TARGET, TOPIC, "heartbeats", ("CREATE", "WRITE")),
    Acl(AT_TARGET, TOPIC, f"{SOURCE}.{MIRRORED}", ("CREATE", "WRITE", "READ", "ALTER", "ALTER_CONFIGS")),
    Acl(AT_TARGET, GROUP, MIRRORED_GROUP, ("READ",)),
)

MORE_AT_SOURCE = (
    Acl(AT_SOURCE, TOPIC, f"mm2-offset-syncs.{TARGET}.internal", ("CREATE", "READ", "WRITE")),
    Acl(AT_SOURCE, CLUSTER, "kafka-cluster", ("DESCRIBE",)),
)
MORE_AT_TARGET = (Acl(AT_TARGET, CLUSTER, "kafka-cluster", ("ALTER",)),)
"""What MirrorMaker needs beside that, where offsets are noted at the source and ACLs are mirrored: its defaults."""
