"""From appends to commits: gather, upload, and let the control plane order what has been uploaded.

.. code-block:: text

    begin ──> window ──closed──> upload (several at once) ──┐ in the order of closing
       └────> inline ───────────────────────────────────────┴──> commit (one at a time) ──> cache, log, answers

**Order.** Appends of one log are committed in the order in which they were begun. Windows are uploaded side by side but
committed in the order in which they were closed, and everything that is ready when a commit ends joins the next one:
the slower the database, the larger its transactions. What is small and urgent (the records of coordinators, markers)
goes without an object, *inline*, and overtakes windows, unless one of them has an append of the same log.

**When a window is closed**: at `window_bytes`; when it is `idle_ms` old and nothing is being uploaded; when it is
`window_ms` old. Of closed windows `uploads` are uploaded at a time.

**Bytes first.** A window is committed only after its put has returned. A put that has failed, or may have, is repeated
with the same key and the same bytes, until `give_up_ms`; after that the window has failed, and never is committed. Its
object may be there all the same: an orphan, which the upkeep collects.

**Lanes.** When a window has failed, later windows may hold batches of the same producers for the same logs. Were these
committed, the log would know the producer with a gap at its beginning, or call the rest out of order. So they fail with
it, before their commit: each is asked for with an end that no log has.

**Chains.** A conditional append that follows another before that has its answer expects the end of it. When one is
refused or lost, those of its log that were begun behind it fail likewise. The number alone would not do: another broker
may have appended just as much.

**A commit is repeated until there is an answer.** It happens once by its key, so asking again is safe, and nothing
less than an answer is one: no append is acknowledged or refused because the database was not there. Its clients give
up by their own time-outs.

**When this broker has been replaced** (`Fenced`) nothing of it happens any more: everything fails, and the writer has
stopped.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from datetime import UTC, datetime
from typing import Final, NamedTuple, TypeVar

import trio

from kproto.errors import ErrorCode, KafkaError
from storage.engine import WrongEnd
from storage.object.bucket import Ambiguous, Bucket, BucketError, Unavailable
from storage.object.cache import RunCache
from storage.object.control_plane import (
    Buried,
    Commit,
    CommitRun,
    ControlPlane,
    ControlPlaneError,
    Fenced,
    OutcomeUnknown,
    RunOutcome,
)
from storage.object.control_plane import Unavailable as DatabaseUnavailable
from storage.object.limits import Limits
from storage.object.pending_append import PendingAppend
from storage.object.request_counts import RequestCounts
from storage.object.window import State, Window, WrittenLog, answer, cached_runs
from storage.seams.clock import Clock
from storage.seams.entropy import Entropy
from storage.seams.logging import get_logger
from storage.seams.slices import Slices
from storage.statistics import FlushStatistics

T = TypeVar("T")

OBJECTS_OF_A_COMMIT: Final = 8

UNFINISHED: Final = KafkaError(ErrorCode.KAFKA_STORAGE_ERROR, "the store was closed before the records were committed")


class _Inline(NamedTuple):
    """An append that needs no object."""

    log: WrittenLog
    append: PendingAppend
    data: bytearray
    after: PendingAppend | None


class Writer:
    """The way of all appends of one broker.

    `make_logs` gives logs that have none yet a number in the control plane. `run` does the work.
    """

    def __init__(
        self,
        control: ControlPlane,
        bucket: Bucket,
        cache: RunCache,
        clock: Clock,
        entropy: Entropy,
        limits: Limits,
        make_logs: Callable[[Sequence[WrittenLog]], Awaitable[None]],
    ) -> None:
        self.stopped: KafkaError | None = None
        """Why nothing is taken any more."""
        self.buffered = 0
        """Bytes of appends without an answer."""
        self._control = control
        self._bucket = bucket
        self._cache = cache
        self._clock = clock
        self._entropy = entropy
        self._limits = limits
        self._make_logs = make_logs
        self._window: Window | None = None
        self._order: deque[Window] = deque()  # closed and not committed, oldest first
        self._uploading = 0  # of these, or waiting for that
        self._to_upload, self._uploads = trio.open_memory_channel[Window](math.inf)
        self._inline: dict[PendingAppend, _Inline] = {}
        self._committing = False
        self._ready = trio.Event()  # something can be committed
        self._changed = trio.Event()  # a window may be due
        self._room = trio.Event()  # something has got its answer
        self.counts = RequestCounts("commit", failures=ControlPlaneError)
        """The commits, as an operator sees them."""
        self._commits = self._runs = self._failures = 0
        self._logger = get_logger("storage")

    # -- what callers do -----------------------------------------------------------------------------------------------

    @property
    def has_room(self) -> bool:
        """Whether a client's append is welcome."""
        return self.buffered < self._limits.buffered_bytes or self.stopped is not None

    async def wait_for_room(self) -> None:
        """Return when `has_room`, or when nothing is taken any more."""
        while not self.has_room:
            await self._next_answer()

    def begin(
        self,
        log: WrittenLog,
        append: PendingAppend,
        data: Sequence[memoryview],
        *,
        inline: bool,
        after: PendingAppend | None = None,
    ) -> None:
        """Put an append in its place. With `after`, an append that `is_queued`, both are one commit.

        Raises KafkaError(KAFKA_STORAGE_ERROR) when nothing is taken any more, or far too much has been.
        """
        if self.stopped is not None:
            raise self.stopped.with_traceback(None)
        if self.buffered > 2 * self._limits.buffered_bytes:
            raise KafkaError(
                ErrorCode.KAFKA_STORAGE_ERROR, f"{self.buffered} bytes wait to be stored, and no more are taken"
            )
        self.buffered += append.size
        if inline:
            assert after is None or after in self._inline, "both are in the next commit"
            self._inline[append] = _Inline(log, append, bytearray().join(data), after)
            self._ready.set()
            return
        window = self._window
        if window is None:
            window = self._window = Window(self._clock.monotonic_millis())
            self._changed.set()
        window.add(log, append, data)
        log.gathering += 1
        if window.size >= self._limits.window_bytes:
            self._close_window()

    def is_queued(self, append: object) -> bool:
        """Whether this append will be in the next commit, inline."""
        return append in self._inline

    async def drain(self) -> None:
        """Return when everything that was begun has its answer, or nothing will get one any more."""
        while self.stopped is None and (self._inline or self._window or self._order or self._committing):
            if self._window is not None and not self._uploading:
                self._close_window()
            await self._next_answer()

    def statistics(self) -> FlushStatistics:
        """Commits as rounds, runs as syncs; what waits are windows and inline appends."""
        waiting = len(self._inline) + len(self._order) + (self._window is not None)
        return FlushStatistics(self._commits, self._runs, waiting, self._failures)

    async def _next_answer(self) -> None:
        if self._room.is_set():
            self._room = trio.Event()
        await self._room.wait()

    # -- windows -------------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Gather, upload and commit until cancelled, or until another process has taken this broker's place."""
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._close_windows)
                for _ in range(self._limits.uploads):
                    nursery.start_soon(self._upload_windows)
                await self._commit_forever()
                nursery.cancel_scope.cancel()
        finally:
            self._drop()

    def stop(self, reason: str) -> None:
        """Take nothing any more; what has no answer gets this one."""
        if self.stopped is None:
            self.stopped = KafkaError(ErrorCode.KAFKA_STORAGE_ERROR, reason)
        self._drop()

    def _drop(self) -> None:
        error = self.stopped or UNFINISHED
        for item in self._inline.values():
            item.append.refused(error)
            self._release(item.log, item.append)
        self._inline.clear()
        for window in [*self._order, *([self._window] if self._window is not None else [])]:
            self._fail(window, error)
            self._let_go(window)
        self._order.clear()
        self._window = None
        self._room.set()

    def _close_window(self) -> None:
        window, self._window = self._window, None
        assert window is not None
        window.state = State.CLOSED
        hour = datetime.fromtimestamp(self._control.wall_millis() / 1000, UTC).strftime("%Y%m%d%H")
        window.key = f"w/{hour}/{self._control.node_id}-{self._entropy.uuid().hex()}"
        self._order.append(window)
        self._uploading += 1
        self._to_upload.send_nowait(window)
        self._changed.set()

    async def _close_windows(self) -> None:
        """Close the open window when its time has come."""
        limits = self._limits
        while True:
            if self._changed.is_set():
                self._changed = trio.Event()
            wait = math.inf
            if self._window is not None:
                due = self._window.opened + (limits.window_ms if self._uploading else limits.idle_ms)
                wait = (due - self._clock.monotonic_millis()) / 1000
                if wait <= 0:
                    self._close_window()
                    continue
            with trio.move_on_after(wait):
                await self._changed.wait()

    async def _upload_windows(self) -> None:
        async for window in self._uploads:
            try:
                await self._upload(window)
            finally:
                self._uploading -= 1
                self._changed.set()
                self._ready.set()

    async def _upload(self, window: Window) -> None:
        pieces = window.pieces()
        limits, delay = self._limits, self._limits.first_retry_ms
        spent = self._clock.monotonic_millis() + limits.give_up_ms
        while window.state is State.CLOSED:
            try:
                await self._bucket.put(window.key, pieces)
            except BucketError as error:
                again = isinstance(error, Unavailable | Ambiguous)
                if not again or self._clock.monotonic_millis() + delay > spent:
                    self._logger.error("an object could not be stored", key=window.key, reason=str(error))
                    self._give_up(window, f"the records could not be stored: {error}")
                    return
                await trio.sleep(delay / 1000)
                delay = min(2 * delay, limits.longest_retry_ms)
            else:
                window.state = State.UPLOADED

    def _give_up(self, window: Window, reason: str) -> None:
        """A window has failed, and with it what later ones have of its lanes."""
        self._failures += 1
        error = KafkaError(ErrorCode.KAFKA_STORAGE_ERROR, reason)
        self._fail(window, error)
        lanes = window.lanes()
        chained = {share.log for share in window.shares.values() if any(each.is_conditional for each in share.appends)}
        for log in chained:
            self._break_chain(log, error)
        if not lanes:
            return
        later = [*self._order, *([self._window] if self._window is not None else [])]
        if window in later:
            del later[: later.index(window) + 1]
        for each in later:
            for share in each.shares.values():
                for append in share.appends:
                    if any((share.log, header.producer_id) in lanes for header, _ in append.request.batches):
                        append.abandon(error)

    def _break_chain(self, log: WrittenLog, error: KafkaError | WrongEnd) -> None:
        """A conditional append of this log is refused or lost: those that wait behind it expect what is not there."""
        waiting = [item.append for item in self._inline.values() if item.log is log]
        for window in [*self._order, *([self._window] if self._window is not None else [])]:
            if log in window.shares and window.state is not State.FAILED:
                waiting += window.shares[log].appends
        for append in waiting:
            if append.is_conditional and not append.answered:
                append.abandon(error)

    def _answer(self, log: WrittenLog, appends: Sequence[PendingAppend], outcome: RunOutcome) -> None:
        waited = [append for append in appends if append.is_conditional and not append.answered]
        answer(appends, outcome)
        for append in waited:  # and not those that had failed before: their chain is broken already
            if append.error is not None:
                self._break_chain(log, append.error)

    def _fail(self, window: Window, error: KafkaError) -> None:
        window.state = State.FAILED
        for append in window.appends():
            append.refused(error)

    def _let_go(self, window: Window) -> None:
        """All appends of a window have their answers."""
        for share in window.shares.values():
            share.log.gathering -= len(share.appends)
            for append in share.appends:
                self._release(share.log, append)

    def _release(self, log: WrittenLog, append: PendingAppend) -> None:
        self.buffered -= append.size
        log.settled(append)

    # -- commits -------------------------------------------------------------------------------------------------------

    async def _commit_forever(self) -> None:
        while self.stopped is None:
            await self._ready.wait()
            self._ready = trio.Event()
            while self.stopped is None:
                inline, windows = self._take_inline(), self._take_windows()
                if not inline and not windows:
                    if self._inline:
                        continue  # what was taken had failed before
                    break
                await self._commit(inline, windows)
                self._room.set()

    def _take_windows(self) -> list[Window]:
        """Those that are uploaded, up to the first that is not."""
        windows: list[Window] = []
        while self._order and len(windows) < OBJECTS_OF_A_COMMIT:
            if self._order[0].state is State.FAILED:
                self._let_go(self._order.popleft())
                self._room.set()
            elif self._order[0].state is State.UPLOADED:
                if sum(share.leave_out_failed() for share in self._order[0].shares.values()):
                    windows.append(self._order.popleft())
                else:
                    self._order[0].state = State.FAILED
            else:
                break
        return windows

    def _take_inline(self) -> list[_Inline]:
        """The oldest inline appends; what is tied to one of them comes along."""
        taken: list[_Inline] = []
        for item in self._inline.values():
            if len(taken) >= self._limits.inline_runs and item.after is None:
                break
            taken.append(item)
        for item in taken:
            del self._inline[item.append]
        for item in taken:
            if item.after is not None and item.after.error is not None:
                item.append.refused(item.after.error)
            if item.append.answered:
                self._release(item.log, item.append)
        return [item for item in taken if not item.append.answered]

    async def _commit(self, inline: list[_Inline], windows: list[Window]) -> None:
        self._committing = True
        try:
            logs = [item.log for item in inline]
            logs += [share.log for window in windows for share in window.live()]
            await self._until_answered(lambda: self._make_logs([log for log in logs if log.log_id is None]))
            commits = [_of_window(window) for window in windows]
            if inline:
                commits.insert(0, _of_inline(f"i/{self._control.node_id}-{self._entropy.uuid().hex()}", inline))
            outcomes = await self._until_answered(lambda: self._counted(commits, sum(map(_bytes, windows))))
            self._commits += 1
            self._runs += len(logs)
            if inline:
                await self._settle_inline(inline, await self._complete(commits[0], outcomes.pop(0)))
                del commits[0]
            for window, commit, outcome in zip(windows, commits, outcomes, strict=True):
                await self._settle(window, await self._complete(commit, outcome))
        except Fenced as error:
            self._logger.error("another process has taken this broker's place", reason=str(error))
            self.stop(str(error))
        finally:
            self._committing = False
            self._end(inline, windows)

    def _end(self, inline: Iterable[_Inline], windows: Iterable[Window]) -> None:
        """A commit is over; what it has left without an answer has failed with the writer."""
        error = self.stopped or UNFINISHED
        for item in inline:
            item.append.refused(error)
            self._release(item.log, item.append)
        for window in windows:
            for append in window.appends():
                append.refused(error)
            self._let_go(window)

    async def _counted(self, commits: Sequence[Commit], size: int) -> list[list[RunOutcome] | Buried]:
        with self.counts.counted("commit", size):
            return await self._control.commit(commits)

    async def _until_answered(self, ask: Callable[[], Awaitable[T]]) -> T:
        """Ask the control plane until it has answered. Raises Fenced."""
        delay = self._limits.first_retry_ms
        while True:
            try:
                return await ask()
            except (DatabaseUnavailable, OutcomeUnknown) as error:
                self._failures += 1
                if delay == self._limits.first_retry_ms:
                    self._logger.warning("a commit has no answer yet", reason=str(error))
                await trio.sleep(delay / 1000)
                delay = min(2 * delay, self._limits.longest_retry_ms)

    async def _complete(self, commit: Commit, outcome: list[RunOutcome] | Buried) -> list[RunOutcome] | Buried:
        """The outcome with the positions that an answer which is repeated does not have."""
        if isinstance(outcome, Buried) or all(run.positions is not None for run in outcome):
            return outcome
        asked = [run.log_id for run in commit.runs]
        positions = await self._until_answered(lambda: self._control.positions(asked))
        return [
            run if run.positions is not None else run._replace(positions=now)
            for run, now in zip(outcome, positions, strict=True)
        ]

    async def _settle_inline(self, inline: Sequence[_Inline], outcome: list[RunOutcome] | Buried) -> None:
        assert not isinstance(outcome, Buried), "no listing of the bucket has the key of a commit without an object"
        runs = [
            (item.log, run)
            for item, result in zip(inline, outcome, strict=True)
            for run in cached_runs([item.append], item.data, result, item.log.leader_epoch, "", 0)
        ]
        self._cache.add(runs)
        async for item, result in Slices().over(zip(inline, outcome, strict=True)):
            item.log.committed(result)
            self._answer(item.log, [item.append], result)

    async def _settle(self, window: Window, outcome: list[RunOutcome] | Buried) -> None:
        if isinstance(outcome, Buried):
            self._give_up(window, str(outcome))
            return
        shares = list(zip(window.live(), outcome, strict=True))
        slices = Slices()
        self._cache.add(
            [
                (share.log, run)
                async for share, result in slices.over(shares)
                for run in share.cached(result, window.key)
            ]
        )
        async for share, result in slices.over(shares):
            share.log.committed(result)
            self._answer(share.log, share.live, result)


def _bytes(window: Window) -> int:
    return window.size


def _of_window(window: Window) -> Commit:
    runs = [share.run() for share in window.live()]
    return Commit(window.key, window.object_size, runs)


def _of_inline(key: str, inline: Sequence[_Inline]) -> Commit:
    numbers = {item.append: number for number, item in enumerate(inline)}
    runs = []
    for item in inline:
        assert item.log.log_id is not None, "the log has been made"
        after = None if item.after is None else numbers[item.after]
        runs.append(CommitRun(item.log.log_id, 0, [item.append.request], bytes(item.data), after))
    return Commit(key, 0, runs)
