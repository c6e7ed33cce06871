"""`ottla.Broker`: a real broker in a process of its own, started and stopped by a `with` block.

    with ottla.Broker() as broker:
        producer = KafkaProducer(bootstrap_servers=broker.bootstrap_servers)

How the two processes hold together:

* The child is this interpreter running the file `ottla/__main__.py` with `-P`, so neither the current folder nor the
  script's own can put a package in front of the broker's.
* It says `ready HOST:PORT` on standard output when every coordinator answers and the listener accepts, and only then
  does `start` return.
* The child's standard input is a pipe whose other end only the parent holds. However the parent ends, SIGKILL
  included, the pipe closes and the broker stops gracefully: no broker outlives its test run. It works on every
  platform, and on Windows, which has no SIGTERM to send, it is also how `stop` asks.
* The pipe carries commands, too: a line with a JSON object, answered by a line of the child's standard output
  (`answer {...}`). That is how `reset`, `snapshot` and `restore` work, with nothing but the standard library on this
  side, and nothing imported for it on the other.
* The child has a process group of its own, so Ctrl-C reaches the user's program first and that program's own clean-up
  still has a broker to talk to.
* Standard error is read as it comes and its last lines kept: a full pipe would stop the broker, and a failed start
  should say why. What was written before the ready line is in `log` when `start` returns.
* A broker that ends by itself is noticed: by whatever asks for its address, and at the end of the `with` block, in
  which tests fail for reasons that only the broker's last words explain.
* It takes no settings from the environment (`KAFKA_...`), and none that no broker knows: a test should not depend on
  whose machine it runs on, nor on a misspelt key.
"""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Mapping
from queue import Empty, SimpleQueue
from types import TracebackType
from typing import IO, TYPE_CHECKING, Self

if TYPE_CHECKING:
    from ottla.control import Control, Faults

_COMMAND = os.path.join(os.path.dirname(os.path.abspath(__file__)), "__main__.py")
_LOG_LINES_KEPT = 200
_LAST_WORDS_SECONDS = 2.0
_LONGEST_BEGINNING = 200
_CAN_POLL = sys.platform != "win32"
"""Whether a pipe can be looked at without waiting."""
_LOOPBACK = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}
if sys.platform == "win32":
    _PROCESS_GROUP, _CREATION_FLAGS = None, subprocess.CREATE_NEW_PROCESS_GROUP
else:
    _PROCESS_GROUP, _CREATION_FLAGS = 0, 0


class BrokerError(Exception):
    """The broker did not start, or is not running; the message ends with the last lines of its log."""


class Broker:
    """A broker process, running inside the `with` block (or between `start` and `stop`).

    `port` 0 takes a free one. `data` names a directory that keeps everything, made if missing; without it the broker
    keeps its logs in memory and forgets them when it stops. `config` holds broker settings under Kafka's names, for
    example `{"num.partitions": 3}`; a key that no broker knows fails the start unless `strict` is false. `emulate` is
    an older release of Kafka, such as "3.7", as which the broker answers (docs/emulation.md). With `control` it takes
    commands (`control`). A broker without data begins with what `snapshot` has kept, the file or folder of a backup.
    The two timeouts are in seconds.
    """

    def __init__(
        self,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        data: str | os.PathLike[str] | None = None,
        config: Mapping[str, object] | None = None,
        strict: bool = True,
        control: bool = False,
        emulate: str | None = None,
        snapshot: str | os.PathLike[str] | None = None,
        start_timeout: float = 30.0,
        stop_timeout: float = 30.0,
    ) -> None:
        self._host = host
        self._port = port
        self._data = None if data is None else os.path.abspath(os.fspath(data))
        self._config = {key: _as_property(value) for key, value in (config or {}).items()}
        self._strict = strict
        self._is_controlled = control
        self._control: Control | None = None
        self._emulate = emulate
        self._snapshot = None if snapshot is None else os.path.abspath(os.fspath(snapshot))
        self._start_timeout = start_timeout
        self._stop_timeout = stop_timeout
        self._process: _Process | None = None
        self._folder = ""  # of snapshots
        self._snapshots = 0

    def __repr__(self) -> str:
        where = "in memory" if self._data is None else f"data in {self._data}"
        process = self._process
        if process is None:
            return f"<ottla.Broker, not running, {where}>"
        state = f"pid {process.child.pid}" if process.status is None else f"ended with status {process.status}"
        return f"<ottla.Broker {address_of(*process.address)}, {where}, {state}>"

    @property
    def bootstrap_servers(self) -> str:
        """`host:port`, what every Kafka client calls its bootstrap servers; on every address, this machine's own."""
        return address_of(*self._running().address)

    @property
    def host(self) -> str:
        """The address the broker listens on."""
        return self._running().address[0]

    @property
    def port(self) -> int:
        """The port the broker listens on; stays the same across `restart`."""
        return self._running().address[1]

    @property
    def pid(self) -> int:
        """The process id of the broker."""
        return self._running().child.pid

    @property
    def log(self) -> str:
        """The last lines that the broker wrote to standard error, until it was stopped; empty then, and before."""
        return "" if self._process is None else self._process.log

    def reset(self) -> None:
        """Bring the broker back to empty, as a new one would be: topics, groups, users, settings, everything, but for
        its address and its cluster id. Connections close, and clients connect again. Raises BrokerError."""
        self._running().ask({"do": "reset"}, self._start_timeout)

    def snapshot(self, path: str | os.PathLike[str] | None = None) -> str:
        """Copy all that the broker knows, data and groups included, at this moment, into a file: a backup, as
        `ottla backup` makes it. Clients go on meanwhile. Returns the file's path, by which `restore` finds it; without
        `path`, it is a temporary one that goes with this object. Raises BrokerError."""
        process = self._running()
        if path is None:
            self._folder = self._folder or _folder_of(self)
            self._snapshots += 1
            path = os.path.join(self._folder, f"snapshot-{self._snapshots}.tar")
        path = os.path.abspath(os.fspath(path))
        process.ask({"do": "backup", "to": path}, None)
        return path

    def restore(self, snapshot: str | os.PathLike[str]) -> None:
        """Bring back the state that `snapshot`, or `ottla backup`, has copied, whatever has happened since.
        Connections close, and clients connect again. Raises BrokerError; then nothing has changed."""
        self._running().ask({"do": "restore", "of": os.path.abspath(os.fspath(snapshot))}, None)

    def create_topic(
        self, name: str, *, partitions: int | None = None, config: Mapping[str, object] | None = None
    ) -> None:
        """Make a topic, of `num.partitions` partitions if no number is given, with `config` under Kafka's names
        (`{"cleanup.policy": "compact"}`). It can be used when this returns. Raises BrokerError, with Kafka's error."""
        topic = {"name": name, "partitions": partitions}
        settings = {key: _as_property(value) for key, value in (config or {}).items()}
        self._running().ask({"do": "create_topic", **topic, "config": settings}, self._start_timeout)

    def new_topic(
        self, name: str = "topic", *, partitions: int | None = None, config: Mapping[str, object] | None = None
    ) -> str:
        """Make a topic as `create_topic` does, whose name begins so and is no other's; returns the name."""
        name = unique_name(name)
        self.create_topic(name, partitions=partitions, config=config)
        return name

    @property
    def control(self) -> Control:
        """The control API of this broker (`ottla.control`), which `control=True` asks for."""
        address = self._running().control
        if not address:
            raise BrokerError("the broker takes no commands: start it with control=True")
        if self._control is None or self._control.address != address:
            from ottla.control import Control

            self._control = Control(address)
        return self._control

    def advance(self, seconds: float) -> None:
        """Let time pass for the broker's state, and for no client: retention, sessions of groups, time-outs of
        transactions, expiry of offsets all happen, and have happened on return. Needs `control=True`; raises
        BrokerError if something due cannot happen, since a disk is full, say."""
        if not self.control.advance(seconds)["settled"]:
            raise BrokerError("not all that is due has happened; the broker's log says why")

    @property
    def faults(self) -> Faults:
        """What the broker is to do wrong; it needs `control=True`."""
        return self.control.faults

    def log_since(self, line: int) -> str:
        """What of `log` was written after so many lines (`log_lines` at an earlier moment)."""
        return "" if self._process is None else self._process.log_since(line)

    @property
    def log_lines(self) -> int:
        """How many lines the broker has written to standard error since it was started."""
        return 0 if self._process is None else self._process.lines

    def start(self) -> None:
        """Start the broker and return when it is ready. Raises BrokerError with the end of its log if it is not."""
        if self._process is not None and self._process.status is None:
            raise BrokerError("the broker is running already")
        self.stop()
        process = _Process(self._arguments())
        try:
            process.wait_until_ready(self._start_timeout)
        except BaseException:
            process.kill()
            raise
        self._process = process
        self._port = process.address[1]

    def stop(self) -> None:
        """Stop the broker gracefully, or by force when it takes longer than `stop_timeout`. Idempotent."""
        if self._process is not None:
            self._process.stop(self._stop_timeout)
            self._process = None

    def kill(self) -> None:
        """End the broker at once, as SIGKILL or a power cut would; `restart` brings it back. Idempotent."""
        if self._process is not None:
            self._process.kill()
            self._process = None

    def restart(self) -> None:
        """Stop the broker, if it runs, and start it again on the same port and the same data."""
        self.stop()
        self.start()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        last_words = None if self._process is None else self._process.death()
        self.stop()
        if last_words is None:
            return
        if error is None:
            raise BrokerError(last_words)
        error.add_note(last_words)

    # `async with` works in every event loop because it blocks it, for the fraction of a second that a start takes:
    # nothing can be cancelled half-way, so no process is left over.
    async def __aenter__(self) -> Self:
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.__exit__(kind, error, traceback)

    def _running(self) -> _Process:
        if self._process is None:
            raise BrokerError("the broker is not running")
        if (last_words := self._process.death()) is not None:
            raise BrokerError(last_words)
        return self._process

    def _arguments(self) -> list[str]:
        arguments = ["--host", self._host, "--port", str(self._port), "--exit-with-parent", "--no-environment"]
        arguments += ["--strict"] if self._strict else []
        arguments += ["--control", "0"] if self._is_controlled else []
        arguments += ["--emulate", self._emulate] if self._emulate is not None else []
        arguments += ["--memory"] if self._data is None else ["--data", self._data]
        if self._snapshot is not None and not (self._data is not None and os.path.exists(self._data)):
            arguments += ["--from", self._snapshot]
        for key, value in self._config.items():
            arguments += ["--set", f"{key}={value}"]
        return arguments


def address_of(host: str, port: int) -> str:
    """What clients are told: an IPv6 address in brackets, and this machine where a broker listens on every address."""
    host = _LOOPBACK.get(host, host)
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def unique_name(name: str) -> str:
    """A name of a topic that begins so, as far as topics may be called so, and is no other's."""
    allowed = "".join(letter if letter.isascii() and (letter.isalnum() or letter in "._-") else "-" for letter in name)
    return f"{allowed[:_LONGEST_BEGINNING]}-{os.urandom(4).hex()}"


def _folder_of(broker: Broker) -> str:
    """A folder that goes with the object, or with this process."""
    import shutil
    import tempfile
    import weakref

    folder = tempfile.mkdtemp(prefix="ottla-")
    weakref.finalize(broker, shutil.rmtree, folder, ignore_errors=True)
    return folder


class _Process:
    """One run of the broker: the child, the two threads that read what it says, and the address it announced."""

    def __init__(self, arguments: list[str]) -> None:
        self.address = ("", 0)
        self.control = ""  # the address of the control API
        self._ready = threading.Event()
        self._asking = threading.Lock()
        self._answers: SimpleQueue[str | None] = SimpleQueue()  # None when there will be no more
        self._log: deque[str] = deque(maxlen=_LOG_LINES_KEPT)
        self.child = subprocess.Popen(
            [sys.executable, "-P", _COMMAND, "serve", *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            process_group=_PROCESS_GROUP,
            creationflags=_CREATION_FLAGS,
        )
        self._reading = threading.Lock()
        self._unended = b""
        self.lines = 0  # of the log, so far
        assert self.child.stderr is not None
        if _CAN_POLL:
            os.set_blocking(self.child.stderr.fileno(), False)
        self._readers = [
            threading.Thread(target=self._read_announcement, args=(self.child.stdout,), daemon=True),
            threading.Thread(target=self._read_log, args=(self.child.stderr,), daemon=True),
        ]
        for reader in self._readers:
            reader.start()

    @property
    def log(self) -> str:
        """The last lines so far, those included that wait to be read."""
        self._read_what_is_there_now()
        return "".join(self._log.copy())

    def _read_what_is_there_now(self) -> None:
        stream = self.child.stderr
        if _CAN_POLL and stream is not None and not stream.closed:
            self._read_what_is_there(stream)

    def log_since(self, line: int) -> str:
        """Those of the last lines that came after so many."""
        self._read_what_is_there_now()
        kept = list(self._log.copy())
        return "".join(kept[max(0, len(kept) - (self.lines - line)) :]) if line < self.lines else ""

    @property
    def status(self) -> int | None:
        """The exit status of the child; None while it runs."""
        return self.child.poll()

    def ask(self, command: dict[str, object], timeout: float | None) -> dict[str, object]:
        """Let the child do something, and return its answer. Raises BrokerError with its sentence if it refuses, and if
        it ends, or does not answer in time."""
        assert self.child.stdin is not None
        with self._asking:
            try:
                self.child.stdin.write(json.dumps(command).encode() + b"\n")
                self.child.stdin.flush()
                answer = self._answers.get(timeout=timeout)
            except (OSError, ValueError):  # the pipe is broken, or closed
                answer = None
            except Empty:
                raise BrokerError(f"the broker did not {command['do']} within {timeout:g} s") from None
        if answer is None:
            self.child.wait()
            raise BrokerError(self.death() or "the broker has ended")
        found: dict[str, object] = json.loads(answer)
        if "error" in found:
            raise BrokerError(str(found["error"]))
        return found

    def death(self) -> str | None:
        """What to say of a child that has ended by itself: its status and last words. None while it runs."""
        if self.status is None:
            return None
        self._readers[1].join(_LAST_WORDS_SECONDS)
        how = f"was ended by signal {-self.status}" if self.status < 0 else f"ended with status {self.status}"
        return f"the broker {how}, though it was not stopped{self._last_words()}"

    def wait_until_ready(self, timeout: float) -> None:
        if not self._ready.wait(timeout):
            raise BrokerError(f"the broker was not ready within {timeout:g} s{self._last_words()}")
        if not self.address[1]:
            status = self.child.wait()
            self._readers[1].join()
            raise BrokerError(f"the broker stopped with status {status} before it was ready{self._last_words()}")

    def stop(self, timeout: float) -> None:
        if sys.platform == "win32":
            self._close_lifeline()
        else:
            # The signal, though closing the pipe would say the same: a process that this one has forked since the
            # start may hold the pipe open too.
            self.child.terminate()
        try:
            self.child.wait(timeout)
        except subprocess.TimeoutExpired:
            self.child.kill()
        self._clean_up()

    def kill(self) -> None:
        self.child.kill()
        self._clean_up()

    def _clean_up(self) -> None:
        self.child.wait()
        self._close_lifeline()
        for reader in self._readers:
            reader.join()

    def _close_lifeline(self) -> None:
        assert self.child.stdin is not None
        self.child.stdin.close()

    def _read_announcement(self, stream: IO[bytes]) -> None:
        with stream:
            for line in stream:
                word, _, address = line.decode("utf-8", "replace").strip().partition(" ")
                if word == "answer":
                    self._answers.put(address)
                    continue
                if word == "control":
                    self.control = address
                    continue
                host, _, port = address.rpartition(":")
                if word == "ready" and port.isdecimal():
                    self.address = (host.strip("[]"), int(port))
                    self._ready.set()
        self._ready.set()
        self._answers.put(None)

    def _read_log(self, stream: IO[bytes]) -> None:
        with stream:
            if not _CAN_POLL:
                for line in stream:
                    self._keep([line.rstrip(b"\n")])
                return
            more = True
            while more:
                select.select([stream], [], [])
                more = self._read_what_is_there(stream)

    def _read_what_is_there(self, stream: IO[bytes]) -> bool:
        """Take what the child has written so far. Called by the reader, and by a caller who wants to see all of it now;
        False at the end of the stream."""
        with self._reading:
            try:
                while data := os.read(stream.fileno(), 65536):
                    *lines, self._unended = (self._unended + data).split(b"\n")
                    self._keep(lines)
            except BlockingIOError:
                return True
            except ValueError:  # closed by the reader meanwhile
                return False
            self._keep([self._unended] if self._unended else [])
            self._unended = b""
            return False

    def _keep(self, lines: list[bytes]) -> None:
        self._log.extend(line.decode("utf-8", "replace") + "\n" for line in lines)
        self.lines += len(lines)

    def _last_words(self) -> str:
        log = self.log.strip()
        return f":\n{log}" if log else " and wrote no log"


def _as_property(value: object) -> str:
    """A setting as a properties file would spell it: Python's booleans become `true` and `false`."""
    return str(value).lower() if isinstance(value, bool) else str(value)
