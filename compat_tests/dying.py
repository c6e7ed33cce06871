"""`python -m compat_tests member`: a member of a group in a process of its own, for scenarios that kill it.

A client that is killed leaves without a word: no LeaveGroup, no last commit, and its sockets are closed by the system.
A library in this process, or a worker that others share, cannot do that. The program joins, reads, and prints a line of
JSON with its partitions whenever they change. It ends with its standard input, if it is not killed before.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Final

from compat_tests.clients.contract import ConsumerSettings, TopicPartition

if TYPE_CHECKING:
    from compat_tests.clients import Client

WITHIN: Final = 0.2


def add_options(parser: argparse.ArgumentParser) -> None:
    """Which group is joined, and how."""
    parser.add_argument("--bootstrap", required=True, metavar="HOST:PORT")
    parser.add_argument("--group", required=True)
    parser.add_argument("--topic", required=True)
    parser.add_argument("--protocol", choices=["classic", "consumer"], default="classic")
    parser.add_argument("--session-timeout", type=float, default=10.0, metavar="SECONDS")


def be_a_member(subject: Client, options: argparse.Namespace) -> None:
    """Read until the process ends. Raises Missing."""
    threading.Thread(target=_end_with_input, daemon=True).start()
    settings = ConsumerSettings(
        options.group, protocol=options.protocol, session_timeout=options.session_timeout, auto_commit=True
    )
    consumer = subject.open_driver().consumer(options.bootstrap, settings)
    consumer.subscribe([options.topic])
    told: set[TopicPartition] | None = None
    while True:
        consumer.poll(WITHIN)
        if (now := consumer.assignment()) != told:
            told = now
            print(json.dumps(sorted(now)), flush=True)


def _end_with_input() -> None:
    sys.stdin.read()
    os._exit(0)


class DyingMember:
    """Such a process, and those that it has started. A context manager that ends it in any case."""

    def __init__(
        self, client: str, bootstrap: str, group: str, topic: str, *, protocol: str, session_timeout: float
    ) -> None:
        self._assignment: set[TopicPartition] = set()
        self._process = subprocess.Popen(
            [
                sys.executable, "-m", "compat_tests", "member", client, "--bootstrap", bootstrap, "--group", group,
                "--topic", topic, "--protocol", protocol, "--session-timeout", str(session_timeout),
            ],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=Path(__file__).parents[1], start_new_session=True,
        )  # fmt: skip
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def assignment(self) -> set[TopicPartition]:
        """What it has told last."""
        return self._assignment

    def kill(self) -> None:
        """SIGKILL for it and all that it has started."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._reader.join()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._assignment = {TopicPartition(*each) for each in json.loads(line)}

    def __enter__(self) -> DyingMember:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            pipe.close()
