"""Standard input of `ottla serve --exit-with-parent`: its end stops the broker, and its lines are commands.

It is how `ottla.Broker` commands the broker that it has started, without a port, a token, or a library on either side:
the process at the other end of the pipe has started this one, and could do with it what it wanted anyway.

A command is a line with a JSON object, its answer a line of standard output, `answer ` and a JSON object. One is worked
on at a time, in the order in which they come.

| `do` | also | does |
| --- | --- | --- |
| `reset` | | brings the broker back to empty |
| `create_topic` | `name`, `partitions`, `config` | makes a topic; the last two may be null |
| `backup` | `to`: a path; `durable` | writes a backup to that file; answers its `bytes` |
| `restore` | `of`: a path | begins again with the backup in that file or folder |

What is not done is answered `{"error": "a sentence"}`. Lines that are no command are ignored: a terminal has those.
"""

from __future__ import annotations

import json
import os
import signal
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import trio

    from broker.lifetimes import Lifetimes


LONGEST_LINE: Final = 65536
MOST_WAITING: Final = 1000
"""Lines that wait to be worked on; more are not read as commands."""


def stop_at_end_of_input() -> None:
    """From now on treat the end of standard input as SIGTERM, and its lines as nothing."""
    Lifeline()


class Lifeline:
    """Reads standard input from when it is made, in a thread, which calls `ended` behind its end; `run` works on the
    commands."""

    def __init__(
        self, source: int = 0, ended: Callable[[], None] = lambda: signal.raise_signal(signal.SIGTERM)
    ) -> None:
        self._source = source
        self._ended = ended
        self._waiting: list[bytes] = []
        self._lock = threading.Lock()
        self._woken: tuple[trio.lowlevel.TrioToken, trio.Event] | None = None
        # A thread that does not end with the interpreter would keep the process; one that holds the lock of sys.stdin
        # would abort its shutdown, so the input is read without that.
        threading.Thread(target=self._read, name="read from the parent", daemon=True).start()

    def _read(self) -> None:
        unended = b""
        while data := os.read(self._source, 4096):
            *lines, unended = (unended + data).split(b"\n")
            if len(unended) > LONGEST_LINE:
                unended = b""
            if lines:
                with self._lock:
                    self._waiting += lines[: MOST_WAITING - len(self._waiting)]
                    self._wake()
        self._ended()

    def _wake(self) -> None:
        """With the lock held."""
        if self._woken is not None:
            token, event = self._woken
            try:
                token.run_sync_soon(event.set)
            except RuntimeError:  # the broker has stopped
                self._woken = None

    async def run(self, lifetimes: Lifetimes) -> None:
        """Work on commands, forever."""
        import trio

        from tools.commands.announcing import print_or_lose

        token = trio.lowlevel.current_trio_token()
        while True:
            event = trio.Event()
            with self._lock:
                lines, self._waiting = self._waiting, []
                self._woken = token, event
            for line in lines:
                answer = await obey(lifetimes, line)
                if answer is not None:
                    print_or_lose(f"answer {json.dumps(answer)}\n")
            if not lines:
                await event.wait()


async def obey(lifetimes: Lifetimes, line: bytes) -> dict[str, Any] | None:
    """Do what the line says; what to answer, None for a line that says nothing."""
    from storage.engine import StoreError

    try:
        command = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(command, dict) or not isinstance(command.get("do"), str):
        return None
    what, path = command["do"], command.get("to", command.get("of"))
    try:
        if what == "reset":
            await lifetimes.reset()
            return {}
        if what == "create_topic" and isinstance(command.get("name"), str):
            return await _create_topic(lifetimes, command)
        if what in ("backup", "restore") and isinstance(path, str):
            from broker import backups

            if what == "restore":
                await backups.read(lifetimes, path)
                return {}
            return {"bytes": await backups.write(lifetimes, path, durable=bool(command.get("durable")))}
    except StoreError as error:
        return {"error": str(error)}
    return {"error": f"{what!r} is no command, or says too little"}


async def _create_topic(lifetimes: Lifetimes, command: dict[str, Any]) -> dict[str, Any]:
    from broker.coordinators.cluster.topics import DEFAULT, NewTopic
    from kproto.errors import KafkaError

    name, partitions, config = command["name"], command.get("partitions"), command.get("config") or {}
    if not isinstance(partitions, int | None) or not isinstance(config, dict):
        return {"error": "a topic has a number of partitions, and settings by name"}
    new = NewTopic(
        name,
        DEFAULT if partitions is None else partitions,
        configs={str(key): str(value) for key, value in config.items()},
    )
    (made,) = await lifetimes.serving.cluster.create_topics([new])
    return {"error": str(made)} if isinstance(made, KafkaError) else {}
