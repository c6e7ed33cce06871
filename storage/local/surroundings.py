"""What every log of a data directory shares: the doors to the outside, the bound on open files, its health.

**Health.** A directory is trusted until a sync fails, or a write fails for another reason than a full disk. From then
on it has *stopped*: every append to any of its logs is refused with KAFKA_STORAGE_ERROR until the broker is started
again, reads go on, and no mark of a clean stop is written. There is one `Health` per directory and every part looks at
that one, so no log can be forgotten when the directory stops.

Kafka: org.apache.kafka.storage.internals.log.LogDirFailureChannel.
"""

from __future__ import annotations

from kproto.errors import ErrorCode, KafkaError
from storage.local.descriptors import Descriptors
from storage.seams.clock import Clock
from storage.seams.disk import Disk
from storage.seams.entropy import Entropy
from storage.seams.logging import get_logger
from storage.store_settings import DEFAULT_RULES, ProducerRules


class Health:
    """Whether a directory can be trusted. Changed in the event loop, readable in any thread."""

    __slots__ = ("_directory", "failure")

    def __init__(self, directory: str) -> None:
        self._directory = directory
        self.failure: str | None = None
        """Why the directory has stopped; None while it is well."""

    @property
    def has_stopped(self) -> bool:
        """True after a disk error that nothing can make good."""
        return self.failure is not None

    def stop(self, reason: str) -> None:
        """The disk cannot be trusted any more: every append is refused from now on. The first reason is kept."""
        if self.failure is None:
            self.failure = reason
            get_logger("storage").error("log directory stopped", directory=self._directory, reason=reason)

    def stopped(self) -> KafkaError:
        """The refusal of whatever would write to a directory that has stopped."""
        return KafkaError(ErrorCode.KAFKA_STORAGE_ERROR, "the log directory has stopped because of a disk error")

    def refused(self, error: OSError) -> KafkaError:
        """The refusal of work that the disk has answered with `error`, which is written to the broker's log."""
        get_logger("storage").error("disk error", directory=self._directory, reason=str(error))
        return KafkaError(ErrorCode.KAFKA_STORAGE_ERROR, f"the log directory cannot be written: {error.strerror}")


class Surroundings:
    """What every log of a directory shares."""

    __slots__ = ("clock", "descriptors", "disk", "entropy", "health", "producer_rules")

    def __init__(
        self,
        disk: Disk,
        clock: Clock,
        entropy: Entropy,
        descriptors: Descriptors,
        health: Health,
        producer_rules: ProducerRules = DEFAULT_RULES,
    ) -> None:
        self.disk = disk
        self.clock = clock
        self.entropy = entropy
        self.descriptors = descriptors
        self.health = health
        self.producer_rules = producer_rules

    def configure(self, producer_rules: ProducerRules) -> None:
        """Other rules for producers, in the logs that are opened from now on."""
        self.producer_rules = producer_rules
