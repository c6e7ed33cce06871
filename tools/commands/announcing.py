"""The ready line: how other programs learn that a broker answers, and where.

    ready 127.0.0.1:9092

It goes to standard output, and to the ready file if one is named, which has a second line, `pid 4711`. The file goes
when the broker does; where the broker was killed and could not take it away, the second line shows that by naming a
process that is gone. A file that an earlier run has left is removed before anything else is done.

**Standard output may be lost.** It may be closed, full, or a pipe that is not read any more (`| head -1`, `| true`).
Then the broker serves all the same, says so in its log, and what else goes there is dropped.

**The lines of Kafka** (`--kafka-ready-lines`) are for programs that were made for Kafka's images, and look in the
output of a container for what a Kafka of some age has logged when it was ready:

| line | who waits for it |
| --- | --- |
| `[KafkaServer id=1] started` | testcontainers for Python, with ZooKeeper (its default), and many scripts |
| `Kafka Server started` | testcontainers for Python with KRaft, and for .NET |
| `Transitioning from RECOVERY to RUNNING` | testcontainers for Java and Go |
"""

from __future__ import annotations

import contextlib
import os
import sys


class Announcement:
    """The ready line, made once and withdrawn at the end.

    `kafka_node` is the id of the node in Kafka's lines; None: none of them. Raises OSError, with a sentence, where no
    ready file can be.
    """

    def __init__(self, ready_file: str | None, kafka_node: int | None = None) -> None:
        self._file = ready_file
        self._kafka_node = kafka_node
        if ready_file is None:
            return
        if os.path.isdir(ready_file):
            raise IsADirectoryError(f"the ready file {ready_file} is a directory: name a file")
        if not os.path.isdir(os.path.dirname(os.path.abspath(ready_file))):
            raise FileNotFoundError(
                f"the folder of the ready file {ready_file} does not exist: make it, or name another"
            )
        self.withdraw()

    def make(self, host: str, port: int) -> None:
        """Announce to all who wait that the broker answers at `host` and `port`. Raises OSError for the ready file."""
        line = f"ready [{host}]:{port}\n" if ":" in host else f"ready {host}:{port}\n"
        if self._file is not None:
            # Written beside its place and moved there, so that a reader finds the whole of it or no file.
            beside = f"{self._file}.{os.getpid()}"
            with open(beside, "w", encoding="utf-8") as file:
                file.write(f"{line}pid {os.getpid()}\n")
            os.replace(beside, self._file)
        print_or_lose(line if self._kafka_node is None else kafka_lines(self._kafka_node) + line)

    def withdraw(self) -> None:
        """Remove the file, if there is one."""
        if self._file is not None:
            with contextlib.suppress(FileNotFoundError):
                os.remove(self._file)


def kafka_lines(node: int) -> str:
    """What Kafka logs when it is ready, as far as programs look for it."""
    return (
        f"[BrokerServer id={node}] Transitioning from RECOVERY to RUNNING\n"
        f"[KafkaServer id={node}] started\n"
        f"[KafkaRaftServer nodeId={node}] Kafka Server started\n"
    )


def print_or_lose(text: str) -> None:
    """Print `text`; if standard output does not take it, log that and let go of standard output."""
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except (OSError, ValueError) as error:
        from storage.seams.logging import get_logger

        get_logger("serve").warning("standard output is lost, and the ready line with it", reason=str(error))
        # What is left in its buffer must not fail once more when the process ends.
        nowhere = os.open(os.devnull, os.O_WRONLY)
        with contextlib.suppress(OSError, ValueError):
            os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
