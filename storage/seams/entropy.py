"""The door to chance: identifiers and nonces. A simulation seeds it; nothing else may roll dice."""

from __future__ import annotations

import builtins
import os
import random
import uuid
from typing import Protocol


class Entropy(Protocol):
    """Where unpredictable bytes come from."""

    def bytes(self, count: int) -> bytes:
        """`count` unpredictable bytes."""
        ...

    def uuid(self) -> builtins.bytes:  # inside this class `bytes` is the method
        """A random (version 4) UUID as its 16 bytes, never one of Kafka's reserved ids."""
        ...


def _random_uuid(raw: bytes) -> bytes:
    return uuid.UUID(bytes=raw, version=4).bytes


def _usable(identifier: bytes) -> bool:
    """Kafka never hands out an id whose text begins with a dash: its tools would take it for a flag
    (Uuid.randomUuid).
    """
    return identifier[0] >> 2 != 62


class SystemEntropy:
    """The operating system's randomness."""

    def bytes(self, count: int) -> bytes:
        return os.urandom(count)

    def uuid(self) -> builtins.bytes:  # inside this class `bytes` is the method
        while not _usable(identifier := _random_uuid(os.urandom(16))):
            pass
        return identifier


class SeededEntropy:
    """The same bytes for the same seed: for tests and simulations."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def bytes(self, count: int) -> bytes:
        return self._random.randbytes(count)

    def uuid(self) -> builtins.bytes:  # inside this class `bytes` is the method
        while not _usable(identifier := _random_uuid(self._random.randbytes(16))):
            pass
        return identifier
