"""The life of a few logs that the tier `syscalls` plays, and the process that plays it.

    python -m tools.trials.crash_test.script DESCRIPTOR

Everything that takes time to load is loaded once. Then the process waits on DESCRIPTOR, a socket that keeps messages
apart, for orders, and forks for each:

========================  =============================================================================================
`play DIRECTORY`          answered with `pid N`; the fork waits for `go`, so that a tracer can attach to it, and plays
`recover DIRECTORY`       likewise: the fork opens the store and every log, and closes it
========================  =============================================================================================

A fork says what happens to it, as a broker would say it to its clients, and no other process counts: a message is on
its way before the next system call, also of a process that is killed there. When it has ended, `ended STATUS` follows.

There is one thread. What a broker leaves to threads is done in the event loop, so that "the seventh fdatasync" is the
same one each time.
"""

from __future__ import annotations

import ctypes
import os
import select
import socket
import sys
import tempfile
from collections.abc import Callable
from typing import Any, Final

import trio

from kproto.errors import KafkaError
from storage.engine import LogSpec, StoreError
from storage.local.engine import LocalStore
from storage.local.partition_log import LocalLog
from storage.seams.clock import VirtualClock
from storage.seams.disk import SystemDisk
from storage.seams.entropy import SeededEntropy
from storage.seams.logging import process_lines
from storage.seams.offload import InlineOffload
from storage.testing.keyed_batches import keyed
from storage.testing.log_builder import ScriptedProducer, batch, spec

ROUNDS: Final = (90, 50)
"""Steps before the clean stop in the middle, and after it."""

PLAIN: Final = ("plain-0", "plain-1")
KEYED: Final = "keyed-0"
GONE: Final = "gone-0"
KEYS: Final = 5
PR_SET_PTRACER: Final = 0x59616D61

_SETTINGS: dict[str, dict[str, Any]] = {
    "plain": {"segment_bytes": 2500, "index_interval_bytes": 300, "file_delete_delay_ms": 0},
    "keyed": {"segment_bytes": 800, "index_interval_bytes": 200, "file_delete_delay_ms": 0, "compact": True,
              "delete": False, "min_cleanable_dirty_ratio": 0.1},
    "gone": {"segment_bytes": 2500},
}  # fmt: skip


def value_of(name: str, step: int, index: int) -> bytes:
    """What a record of that step is, to the byte."""
    return b"%s/%d/%d:" % (name.encode(), step, index) + b"." * (20 + step % 7 * 13)


def records_of(step: int) -> int:
    """How many records a step appends."""
    return 1 + step % 3


def spec_of(name: str, generation: int = 1) -> LogSpec:
    """The log of that name."""
    topic, _, partition = name.rpartition("-")
    return spec(topic, int(partition), generation, **_SETTINGS[topic])


def open_store(directory: str) -> LocalStore:
    """A store with one thread."""
    return LocalStore(
        directory, node_id=1, disk=SystemDisk(), clock=VirtualClock(), entropy=SeededEntropy(1), offload=InlineOffload()
    )


class Script:
    """One life. What `tell` is given is outside of the process before it returns."""

    def __init__(self, directory: str, tell: Callable[[str], None]) -> None:
        self._directory = directory
        self._tell = tell
        self._producers = {name: ScriptedProducer(number + 1) for number, name in enumerate((*PLAIN, KEYED, GONE))}
        self._generation = 1

    async def play(self) -> None:
        """Both rounds."""
        step = 0
        for number, steps in enumerate(ROUNDS):
            store = open_store(self._directory)
            try:
                await store.open()
            except StoreError as error:
                self._tell(f"refused to start: {error}")
                step += steps
                continue
            self._tell(f"open {number}")
            if number == 0:
                await self._expecting(store.create_logs, [spec_of(name) for name in PLAIN])
            for _ in range(steps):
                await self._step(store, step)
                step += 1
            await store.close()
            self._tell("closed")

    async def recover(self) -> None:
        """Open everything, let go of it again."""
        store = open_store(self._directory)
        await store.open()
        for name in (*PLAIN, KEYED):
            await self._expecting(self._look, store, name)
        await store.close()
        self._tell("closed")

    async def _look(self, store: LocalStore, name: str) -> None:
        self._tell(f"end {name} {store.log(spec_of(name)).log_end_offset}")

    async def _step(self, store: LocalStore, step: int) -> None:
        name = (PLAIN[0], KEYED, PLAIN[1])[step % 3]
        await self._append(store, name, step)
        if step % 19 == 18:
            await self._expecting(self._delete_records, store)
        if step % 23 == 22:
            await self._expecting(store.volume.write_recovery_points)
        if step % 29 == 28:
            await self._expecting(store.cleaner.clean_due)
            await store.removal.remove_due(float("inf"))
        if step % 40 == 20:
            await self._append(store, GONE, step)
        if step == 60:
            await self._expecting(self._delete_log, store)

    async def _expecting(self, act: Callable[..., Any], *arguments: Any) -> None:
        """Do something that may be refused, for reasons that a broker knows how to answer."""
        try:
            await act(*arguments)
        except (KafkaError, OSError) as error:
            self._tell(f"refused {getattr(act, '__name__', 'it')}: {error}")

    async def _append(self, store: LocalStore, name: str, step: int) -> None:
        """One batch: with a producer id and acks=all, with acks=all, or with acks=1."""
        log = store.log(spec_of(name, self._generation if name == GONE else 1))
        words = [value_of(name, step, index) for index in range(records_of(step))]
        kind = step // 3 % 3
        producer = self._producers[name]
        if name == KEYED:
            made = keyed(*[(b"k%d" % (step // 3 % KEYS), value) for value in words])
        else:
            made = producer.batch(*words) if kind == 0 else batch(*words)
        try:
            begun = log.begin_append([made])
        except KafkaError:
            self._tell(f"refused {name} {step}")
            if name != KEYED and kind == 0:
                await self._again(log, name, step, producer)
            return
        if kind == 2:
            self._tell(f"ack {name} {step} {begun.base_offset}")
            return
        try:
            await begun.wait_durable()
        except KafkaError:
            self._tell(f"unknown {name} {step}")
        else:
            self._tell(f"ack {name} {step} {begun.base_offset}")

    async def _again(self, log: LocalLog, name: str, step: int, producer: ScriptedProducer) -> None:
        """As a client does: the same batch once more. If that fails too, it starts over."""
        try:
            begun = log.begin_append([producer.repeat()])
            self._tell(f"unknown {name} {step}")
            await begun.wait_durable()
        except KafkaError:
            producer.bump()
        else:
            self._tell(f"ack {name} {step} {begun.base_offset}")

    async def _delete_records(self, store: LocalStore) -> None:
        log = store.log(spec_of(PLAIN[0]))
        wanted = max(log.log_start_offset, log.log_end_offset - 5)
        self._tell(f"starting {PLAIN[0]} {wanted}")
        self._tell(f"started {PLAIN[0]} {await log.delete_before(wanted)}")

    async def _delete_log(self, store: LocalStore) -> None:
        self._tell(f"deleting {GONE}")
        self._generation += 1  # whatever comes of it: a broker has written down that the topic is gone
        await store.delete_logs([spec_of(GONE, self._generation - 1)])
        self._tell(f"deleted {GONE}")


def serve(orders: socket.socket) -> None:
    """Play what is ordered, until the other side is gone."""
    quiet = open(os.devnull, "w")  # noqa: SIM115  stays open as long as the process
    process_lines().configure(stream=quiet)
    with tempfile.TemporaryDirectory() as directory:  # whatever is loaded on first use is loaded now
        trio.run(Script(directory, lambda _: None).play)
        trio.run(Script(directory, lambda _: None).recover)
    while order := orders.recv(4096).decode():
        what, _, directory = order.partition(" ")
        waiting, going = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(going)
            _child(what, directory, orders, waiting)
        os.close(waiting)
        orders.send(b"pid %d" % child)
        assert orders.recv(16) == b"go"
        os.write(going, b"g")
        os.close(going)
        _, status = os.waitpid(child, 0)
        orders.send(b"ended %d" % os.waitstatus_to_exitcode(status))


def _child(what: str, directory: str, orders: socket.socket, waiting: int) -> None:
    def tell(words: str) -> None:
        orders.send(words.encode()[:500])

    status = 1
    try:
        # Any process of this user may trace this one: where only parents may, strace is not one.
        ctypes.CDLL(None).prctl(PR_SET_PTRACER, ctypes.c_ulong(-1), 0, 0, 0)
        select.select([waiting], [], [])  # and no read: the first one is the script's
        script = Script(directory, tell)
        trio.run(script.play if what == "play" else script.recover)
        status = 0
    except StoreError as error:
        tell(f"refused to start: {error}")
        status = 0
    except BaseException as error:
        tell(f"died: {error!r}")
    finally:
        os._exit(status)


if __name__ == "__main__":
    serve(socket.socket(fileno=int(sys.argv[1])))
