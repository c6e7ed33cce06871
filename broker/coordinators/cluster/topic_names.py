"""Which names a topic may have (Kafka: Topic.validate and the collision rule of its controller).

A name becomes part of a directory's name and, in old metrics, of a name where `.` and `_` mean the same: hence the
alphabet, the length (249 leaves room for `-<partition>` and a suffix in a 255-byte file name) and the rule that two
topics must not differ in `.` and `_` alone.
"""

from __future__ import annotations

import re
from typing import Final

from kproto.errors import ErrorCode, KafkaError

MAX_NAME_LENGTH: Final = 249

_LEGAL = re.compile(r"[a-zA-Z0-9._-]+", re.ASCII)


def topic_name_problem(name: str) -> str | None:
    """Why `name` cannot be a topic's, as one sentence; None when it can."""
    if not name:
        return "a topic name must not be empty"
    if name in (".", ".."):
        return f"a topic cannot be called {name!r}"
    if len(name) > MAX_NAME_LENGTH:
        return f"the topic name has {len(name)} characters, more than {MAX_NAME_LENGTH}"
    if _LEGAL.fullmatch(name) is None:
        return f"the topic name {name!r} has characters other than ASCII letters, digits, '.', '_' and '-'"
    return None


def check_topic_name(name: str) -> None:
    """Raise KafkaError(INVALID_TOPIC_EXCEPTION) for a name that no topic may have."""
    problem = topic_name_problem(name)
    if problem is not None:
        raise KafkaError(ErrorCode.INVALID_TOPIC_EXCEPTION, problem)


def collision_key(name: str) -> str:
    """Equal for two names that may not both exist."""
    return name.replace(".", "_")


def may_collide(name: str) -> bool:
    """True for names that some other name could collide with."""
    return "." in name or "_" in name
