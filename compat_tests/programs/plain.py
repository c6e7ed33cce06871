"""What the tests of programs do with a plain broker beside the program: topics, records, and what has come of them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from compat_tests.programs.kits import Kit, Started
from compat_tests.session import eventually

PATIENCE = 240.0
SECONDS = 20
SILENT = {"log_level": 0}


class Plain:
    """A broker that lets everyone do everything, and a program's kit beside it."""

    def __init__(self, bootstrap: str, kit: Kit, folder: Path) -> None:
        self.bootstrap = bootstrap
        self.folder = folder
        self._kit = kit
        self._admin = AdminClient({"bootstrap.servers": bootstrap, **SILENT})
        self._number = 0

    @contextlib.contextmanager
    def running(self, program: str, *words: str) -> Iterator[Started]:
        """The program, killed at the end if it has not ended by itself."""
        self._number += 1
        started = self._kit.start(self.folder / f"{self._number}.log", program, *words)
        try:
            yield started
        finally:
            started.kill()

    def create(self, topic: str, partitions: int = 1) -> None:
        """A topic, unless it is there, that answers."""
        if topic not in self.topics():
            for done in self._admin.create_topics([NewTopic(topic, partitions, 1)]).values():
                done.result(SECONDS)

        def answers() -> bool:
            try:
                return len(self.starts(topic)) > 0
            except KafkaException:
                return False

        eventually(answers, f"leaders of {topic}", PATIENCE)

    def topics(self) -> list[str]:
        """Their names."""
        return list(self._admin.list_topics(timeout=SECONDS).topics)

    def send(self, topic: str, values: Sequence[str], keys: Sequence[str] | None = None) -> None:
        """Records, with keys or without."""
        producer = Producer({"bootstrap.servers": self.bootstrap, **SILENT})
        for number, value in enumerate(values):
            producer.produce(topic, value.encode(), keys[number].encode() if keys else None)
            producer.poll(0)
        assert producer.flush(SECONDS) == 0

    def starts(self, topic: str) -> list[int]:
        """The first offset of each partition."""
        with self._reading() as consumer:
            return [consumer.get_watermark_offsets(each, SECONDS)[0] for each in self._partitions(topic)]

    def committed_records(self, topic: str) -> list[tuple[str | None, str]]:
        """Key and value of all records that readers of committed ones see now, a partition after the other."""
        found = []
        with self._reading() as consumer:
            for partition in self._partitions(topic):
                low, _ = consumer.get_watermark_offsets(partition, SECONDS)
                consumer.assign([TopicPartition(topic, partition.partition, low)])
                # Ended by librdkafka's own sign that the partition is, since markers take offsets as well.
                while (message := consumer.poll(SECONDS)) is not None and message.error() is None:
                    key, value = message.key(), message.value()
                    found.append((key.decode() if key else None, (value or b"").decode()))
        return found

    @contextlib.contextmanager
    def _reading(self) -> Iterator[Consumer]:
        settings = {
            "bootstrap.servers": self.bootstrap,
            "group.id": "looking",
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "isolation.level": "read_committed",
            **SILENT,
        }
        consumer = Consumer(settings)
        try:
            yield consumer
        finally:
            consumer.close()

    def _partitions(self, topic: str) -> list[TopicPartition]:
        known = self._admin.list_topics(topic, timeout=SECONDS).topics[topic].partitions
        return [TopicPartition(topic, number) for number in sorted(known)]
