"""The processes of a cluster: brokers over a database and a bucket that have started already."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any

from kproto.errors import ErrorCode
from kproto.messages.describe_cluster import DescribeClusterRequest
from tools.trials.brokers import Contender, Process
from tools.trials.wire.client import WireClient
from tools.trials.wire.requests import Refusal


def contender(number: int, database: str, objects: str, settings: Sequence[str] = ()) -> Contender:
    """How the broker of this number is started; in settings `{node}` stands for it."""
    command = (
        sys.executable, "-m", "ottla", "serve", "--no-environment", "--exit-with-parent", "--port", "{port}",
        "--cluster", database, "--objects", objects, "--node-id", str(number),
    )  # fmt: skip
    return Contender(
        f"broker {number}", command, tuple(each.replace("{node}", str(number)) for each in settings), "--set"
    )


class Brokers:
    """So many brokers, numbered from 1. A context manager that starts them, waits until all serve, and stops them."""

    def __init__(self, count: int, database: str, objects: str, directory: Path, settings: Sequence[str] = ()) -> None:
        self.processes = [
            Process(contender(number, database, objects, settings), directory, directory / f"broker-{number}.log")
            for number in range(1, count + 1)
        ]
        self._stack = ExitStack()

    @property
    def bootstrap(self) -> str:
        """Their addresses, for a client."""
        return ",".join(f"127.0.0.1:{process.port}" for process in self.processes)

    def __enter__(self) -> Brokers:
        for process in self.processes:
            self._stack.enter_context(process)
            process.start()
        for process in self.processes:
            process.wait_until(self.all_are_shown)
        return self

    def all_are_shown(self, client: WireClient) -> None:
        """Raises Refusal while this broker does not know of all."""
        reply: Any = client.call(DescribeClusterRequest(), 1)
        if len(reply.brokers) < len(self.processes):
            raise Refusal("DescribeCluster", ErrorCode.COORDINATOR_NOT_AVAILABLE)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.__exit__(kind, error, trace)
