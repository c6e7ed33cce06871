"""An administrator who is never done: topics are created and deleted, and a setting is raised, while the broker dies.

Every name is used once, and every value is one more than the last, whatever became of the attempt before: an attempt
without an answer is not made again. On each new connection, which is mostly to a broker that has just been killed, the
list of topics and the setting are looked at first.
"""

from __future__ import annotations

import threading
import time

from kproto.errors import ProtocolError
from tools.trials.kill_test.ledger import (
    Complaint,
    LedgerWriter,
    SettingAcknowledged,
    SettingSeen,
    TopicCreated,
    TopicDeleted,
    TopicDeletionAsked,
    TopicsSeen,
)
from tools.trials.kill_test.workload import PLAIN
from tools.trials.wire import requests as wire
from tools.trials.wire.client import WireClient

SETTING = "min.compaction.lag.ms"
"""Of a topic that is never compacted, so that its value makes no difference."""

PAUSE_SECONDS = 0.25
RECONNECT_SECONDS = 0.02
KEPT = 4
"""Topics that stay before deletions begin; of the others each is deleted in its turn."""


class Administrator(threading.Thread):
    """Works until `until` is set."""

    def __init__(self, port: int, ledger: LedgerWriter, until: threading.Event) -> None:
        super().__init__(name="administrator", daemon=True)
        self._port = port
        self._ledger = ledger
        self._until = until
        self._made = 0
        self._value = 0
        self._there: list[str] = []

    def run(self) -> None:
        """Look, work, connect again."""
        while not self._until.is_set():
            try:
                with WireClient(self._port) as client:
                    self.look(client)
                    while not self._until.is_set():
                        self._work(client)
                        self._until.wait(PAUSE_SECONDS)
            except (OSError, ProtocolError):
                time.sleep(RECONNECT_SECONDS)
            except wire.Refusal as refusal:
                if not refusal.code.retriable:
                    self._ledger.write(Complaint(self.name, str(refusal)))
                time.sleep(RECONNECT_SECONDS)

    def look(self, client: WireClient) -> None:
        """Write down which topics there are, and the setting."""
        asked = time.monotonic()
        topics = wire.topic_ids(client)
        answered = time.monotonic()
        self._ledger.write(TopicsSeen(topics, asked, answered))
        asked = time.monotonic()
        value = int(wire.topic_config(client, PLAIN, SETTING))
        self._ledger.write(SettingSeen(PLAIN, SETTING, value, asked, time.monotonic()))

    def _work(self, client: WireClient) -> None:
        """One topic more, one less, and one more for the setting."""
        self._made += 1
        topic = f"kill-made-{self._made}"
        topic_id = wire.create_topic(client, topic, 1, {})
        self._ledger.write(TopicCreated(topic, topic_id, time.monotonic()))
        self._there.append(topic)
        self._value += 1
        asked = time.monotonic()
        wire.set_topic_config(client, PLAIN, SETTING, str(self._value))
        self._ledger.write(SettingAcknowledged(PLAIN, SETTING, self._value, asked, time.monotonic()))
        if len(self._there) > KEPT:
            topic = self._there.pop(0)
            self._ledger.write(TopicDeletionAsked(topic, time.monotonic()))
            wire.delete_topic(client, topic)
            self._ledger.write(TopicDeleted(topic, time.monotonic()))
