"""Work of a group that is done beside the event loop: its assignor, and the matching of its expressions.

A decision asks for it (`Steps.work`), a task does it, and what comes of it is decided on like any request. It runs in a
thread, since it may take seconds for a group with many members; only the small matching of a few expressions is done at
once. A large assignment is written in parts, with other decisions in between.

**Those who come together are assigned together.** Fifty consumers that are started at once and subscribe by the same
expression find the first of them being served. Had it all partitions, the others would wait for its next heartbeats,
five seconds each. So the first resolution of a group waits a moment, and on as long as members come (`JOINING_MOST`
times at most), and all of them are answered when it and the assignment that follows are done. (Kafka answers each with
nothing at first. Its resolution takes longer than that, so their second heartbeats find all of them.)

If the group's shard is lost, or goes to another broker, what was computed is of no use, and is forgotten: the next
heartbeat asks again.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

import trio

from broker.coordinators.groups.assignors import Assignment, CannotAssign
from broker.coordinators.groups.consumer.assigning import Assigning
from broker.coordinators.groups.consumer.resolving import Resolving
from broker.coordinators.groups.consumer.steps import growth
from broker.coordinators.groups.expressions import resolve
from broker.coordinators.machine import Decision, Promise
from kproto.errors import KafkaError
from storage.seams.logging import get_logger
from storage.seams.offload import Lane
from storage.seams.slices import Slices

if TYPE_CHECKING:
    from collections.abc import Callable

    from broker.coordinators.groups.machine import GroupsMachine
    from broker.coordinators.groups.records import GroupRecord
    from broker.coordinators.shards import Shards
    from storage.seams.clock import Instant
    from storage.seams.offload import Offload

TARGETS_AT_ONCE: Final = 100
"""Members whose targets one decision writes: some five milliseconds."""

JOINING_SECONDS: Final = 0.02
"""How long the first resolution of a group waits for the next member."""
JOINING_MOST: Final = 10
"""How often."""

MATCHES_AT_ONCE: Final = 1_000
"""Names times expressions that are matched in the event loop: about a millisecond."""


class Work:
    """One piece of it. `done` is set when nothing more will come of it."""

    def __init__(
        self,
        asked: Assigning | Resolving,
        shards: Shards[GroupsMachine],
        offload: Offload,
        may_describe: Callable[[str], bool] | None = None,
    ) -> None:
        """`may_describe` is asked of the topics that expressions match: what the member, whose heartbeat has led to
        this, may not describe is left out, as in Kafka."""
        self._asked = asked
        self._shards = shards
        self._offload = offload
        self._may_describe = may_describe
        self.done = trio.Event()
        self.waiting = 0
        """Members that have joined meanwhile, and wait for it."""

    @property
    def is_first(self) -> bool:
        """Whether members that join the group meanwhile wait for it, too."""
        return self._asked.is_first

    async def run(self) -> None:
        """Do it."""
        try:
            if isinstance(self._asked, Assigning):
                await self._assign(self._asked)
            else:
                await self._resolve(self._asked)
        except KafkaError:
            return  # the shard is lost, or not this broker's any more
        finally:
            self.done.set()

    async def _assign(self, asked: Assigning) -> None:
        group_id = asked.group_id
        try:
            result = await self._offload.run(asked.run, abandonable=True, lane=Lane.BATCHES)
        except CannotAssign as error:
            get_logger(__name__).warning("partitions cannot be assigned", group=group_id, reason=str(error))
            await self._shards.decide(group_id, partial(_give_up, asked))
            return
        grows = await self._offload.run(growth, asked, result, abandonable=True, lane=Lane.BATCHES)
        if not await self._shards.decide(group_id, partial(_has_room, asked, grows)):
            get_logger(__name__).warning("there is no room for an assignment", group=group_id, bytes=grows)
            return
        changed = asked.changed(result)
        slices = Slices()
        for start in range(0, max(1, len(changed)), TARGETS_AT_ONCE):
            part = changed[start : start + TARGETS_AT_ONCE]
            last = start + TARGETS_AT_ONCE >= len(changed)
            await slices.give_way()
            if not await self._shards.decide(group_id, partial(_write, asked, part, last)):
                return

    async def _resolve(self, asked: Resolving) -> None:
        if len(asked.names) * len(asked.expressions) <= MATCHES_AT_ONCE:
            found = resolve(asked.expressions, asked.names)
        else:
            found = await self._offload.run(
                resolve, asked.expressions, asked.names, abandonable=True, lane=Lane.BATCHES
            )
        if self._may_describe is not None:
            slices, may_describe = Slices(), self._may_describe
            permitted = {
                name
                async for name in slices.over({name: None for names in found.values() for name in names})
                if may_describe(name)
            }
            found = {expression: names & permitted for expression, names in found.items()}
        if asked.is_first:
            await self._company()
        await self._shards.decide(asked.group_id, partial(_resolved, asked, found))

    async def _company(self) -> None:
        """Wait as long as members come."""
        for _ in range(JOINING_MOST):
            known = self.waiting
            await trio.sleep(JOINING_SECONDS)
            if self.waiting == known:
                return


def _give_up(asked: Assigning, machine: GroupsMachine, now: Instant, promise: Promise[None]) -> Decision[GroupRecord]:
    return machine.decide_give_up(asked, now, promise)


def _has_room(
    asked: Assigning, grows: int, machine: GroupsMachine, now: Instant, promise: Promise[bool]
) -> Decision[GroupRecord]:
    return machine.decide_room(asked, grows, now, promise)


def _write(
    asked: Assigning,
    part: list[tuple[str, Assignment]],
    last: bool,
    machine: GroupsMachine,
    now: Instant,
    promise: Promise[bool],
) -> Decision[GroupRecord]:
    return machine.decide_target(asked, part, now, promise, last=last)


def _resolved(
    asked: Resolving,
    found: dict[str, frozenset[str]],
    machine: GroupsMachine,
    now: Instant,
    promise: Promise[None],
) -> Decision[GroupRecord]:
    return machine.decide_resolved(asked, found, now, promise)
