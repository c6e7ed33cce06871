"""Counts words with Quix Streams: app.py BOOTSTRAP GUARANTEE STATE-FOLDER SOURCE TARGET, until SIGTERM.

The counts are kept in a state of RocksDB with a changelog topic, behind a topic that groups by word.
"""

from __future__ import annotations

import sys
from typing import Any

from quixstreams import Application
from quixstreams.models import TopicConfig


def count(row: dict[str, str], state: Any) -> dict[str, Any]:
    """A word, and how often it has come."""
    found = state.get("count", 0) + 1
    state.set("count", found)
    return {"word": row["word"], "count": found}


def main(bootstrap: str, guarantee: str, folder: str, source: str, target: str) -> None:
    """Serve."""
    app = Application(
        broker_address=bootstrap,
        consumer_group=f"quix-{source}",
        auto_offset_reset="earliest",
        processing_guarantee=guarantee,
        state_dir=folder,
        commit_interval=0.3,
        loglevel="WARNING",
    )
    config = TopicConfig(num_partitions=2, replication_factor=1)
    words = app.topic(source, value_deserializer="json", config=config)
    counts = app.topic(target, key_serializer="str", value_serializer="json", config=config)
    frame = app.dataframe(words)
    frame = frame.group_by("word").apply(count, stateful=True).to_topic(counts, key=lambda row: row["word"])
    print("started")
    app.run()


if __name__ == "__main__":
    main(*sys.argv[1:])
