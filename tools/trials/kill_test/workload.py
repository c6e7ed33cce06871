"""What the load writes to and reads from: the names that all parties share."""

from __future__ import annotations

from kproto.ids import TopicPartition

PLAIN, ROLLING = "kill-plain", "kill-rolling"
PLACES = tuple(TopicPartition(topic, partition) for topic in (PLAIN, ROLLING) for partition in (0, 1))
"""Two topics of two partitions. The segments of the second are small, so kills meet rolls."""

READERS, SIMPLE = "kill-readers", "kill-simple"
SIMPLE_PLACE = TopicPartition(PLAIN, 0)
