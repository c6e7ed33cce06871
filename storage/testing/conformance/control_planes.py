"""What the words in `storage/object/control_plane.py` mean: tests that the double and PostgreSQL both pass."""

from __future__ import annotations

from kproto.errors import ErrorCode
from storage.engine import WrongEnd
from storage.object.control_plane import (
    AbortedSpan,
    Adoption,
    Buried,
    Fenced,
    LogPositions,
    LogSwap,
    NewRun,
    Repeated,
    Retention,
    RunKind,
    RunsQuestion,
    Swap,
    Taken,
)
from storage.producers import ProducerState
from storage.store_settings import ProducerRules
from storage.testing.commit_builder import append, commit, inline, name, records, shown
from storage.testing.conformance.blobs import raising
from storage.testing.conformance.committed_producers import CommittedProducersConformance
from storage.testing.lab import refused
from storage.testing.log_builder import EPOCH_MS, ScriptedProducer
from storage.testing.planes import END, Planes


class ControlPlaneConformance(CommittedProducersConformance):
    """All promises."""

    # -- logs ----------------------------------------------------------------------------------------------------------

    async def test_logs_are_made_once_and_found_by_topic_id_and_partition(self) -> None:
        """Their numbers stay; a log that is made again after its deletion is another one."""
        async with self.planes() as planes:
            plane = await planes.plane()
            first, second = await plane.create_logs([name(0), name(1)])
            assert await plane.create_logs([name(1), name(2)]) != [first, second]
            assert (await plane.find_logs([name(1), name(7), name(0)])) == [second, None, first]
            assert {row.name.partition for row in await plane.list_logs()} == {0, 1, 2}
            await plane.delete_logs([first])
            assert await plane.find_logs([name(0)]) == [None]
            assert await plane.positions([first, second]) == [None, LogPositions(0, 0, 0, 0)]
            [again] = await plane.create_logs([name(0)])
            assert again != first

    async def test_brokers_share_a_cluster(self) -> None:
        """One cluster id, and what one has committed the other sees."""
        async with self.planes() as planes:
            one, other = await planes.plane(1), await planes.plane(2, b"2" * 16)
            assert one.cluster_id == other.cluster_id
            assert len(one.cluster_id) == 22
            [log_id] = await one.create_logs([name()])
            await self.one(one, "k", log_id, records(3))
            assert (await self.ends(other, log_id)).end_offset == 3

    # -- commits -------------------------------------------------------------------------------------------------------

    async def test_a_commit_orders_all_runs_of_an_object(self) -> None:
        """Offsets are dense in each log; rows say where the bytes are."""
        async with self.logs(2) as (plane, [a, b]):
            assert await self.done(plane, commit("x", (a, [records(3)]), (b, [records(1), records(2)]))) == [[0, 0]]
            assert await self.done(plane, commit("y", (b, [records(1)]))) == [[3]]
            first, second = await self.rows(plane, b)
            length = records(3).length
            assert first.length == records(1).length + records(2).length
            assert (first.base_offset, first.last_offset, first.key, first.position) == (0, 2, "x", length)
            assert (second.base_offset, second.last_offset, second.key, second.position) == (3, 3, "y", 0)
            assert second.kind is RunKind.RELATIVE
            assert (await self.ends(plane, b)) == LogPositions(0, 4, 4, first.length + second.length)

    async def test_several_commits_are_answered_in_order(self) -> None:
        """Also if they touch the same logs."""
        async with self.logs(2) as (plane, [a, b]):
            commits = [commit(f"k{n}", (a, [records(2)]), (b, [records(1)])) for n in range(3)]
            assert await self.done(plane, *commits) == [[0, 0], [2, 1], [4, 2]]

    async def test_a_commit_happens_once(self) -> None:
        """Asked for again, alone or with others, it is answered as it was: by another broker too."""
        async with self.planes() as planes:
            one, other = await planes.plane(1), await planes.plane(2, b"2" * 16)
            a, b = await one.create_logs([name(0), name(1)])
            first = commit("x", (a, [records(3)]), (b, [records(1)]))
            assert await self.done(one, first) == [[0, 0]]
            assert await self.done(other, first, commit("y", (a, [records(1)])), first) == [[0, 0], [3], [0, 0]]
            assert (await self.ends(one, a)).end_offset == 4
            await planes.check()

    async def test_refusals_are_remembered_too(self) -> None:
        """What an append came to does not depend on how often it is asked."""
        async with self.logs() as (plane, [log_id]):
            producer = ScriptedProducer(7)
            await self.one(plane, "a", log_id, append(producer.batch(b"1", b"2")))
            mixed = [
                append(producer.repeat()),
                records(2),
                records(1, expected_end=9),
                append(producer.batch(sequence=5)),
            ]
            expected = [
                Repeated(0, 1),
                Taken(2),
                ("wrong end", 9, 4),
                ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER,
            ]
            assert await self.one(plane, "b", log_id, *mixed) == expected
            assert await self.one(plane, "b", log_id, *mixed) == expected
            assert (await self.ends(plane, log_id)).end_offset == 4

    async def test_refused_bytes_stay_in_the_object_and_are_no_records(self) -> None:
        """The rows skip them."""
        async with self.logs() as (plane, [log_id]):
            one, two, three = records(1), records(2, expected_end=99), records(3)
            await self.one(plane, "k", log_id, one, two, three)
            first, second = await self.rows(plane, log_id)
            assert (first.position, first.length, first.base_offset) == (0, one.length, 0)
            assert (second.position, second.base_offset, second.last_offset) == (one.length + two.length, 1, 3)

    async def test_a_deleted_log_refuses_its_runs_only(self) -> None:
        """The others are taken."""
        async with self.logs(2) as (plane, [a, b]):
            await plane.delete_logs([a])
            [[gone, there]] = await self.done(plane, commit("k", (a, [records(1)]), (b, [records(1)])))
            assert (gone, there) == ([ErrorCode.UNKNOWN_TOPIC_OR_PARTITION], 0)

    async def test_a_buried_key_never_commits(self) -> None:
        """Whichever comes first, of burying and committing, decides."""
        async with self.logs() as (plane, [log_id]):
            await self.one(plane, "there", log_id, records(1))
            assert await plane.bury(["orphan", "there"]) == ["orphan"]
            assert await plane.bury(["orphan"]) == ["orphan"]
            [buried] = await plane.commit([commit("orphan", (log_id, [records(1)]))])
            assert isinstance(buried, Buried)
            [taken, buried] = await plane.commit(
                [commit("k", (log_id, [records(1)])), commit("orphan", (log_id, [records(1)]))]
            )
            assert not isinstance(taken, Buried)
            assert isinstance(buried, Buried)
            assert (await self.ends(plane, log_id)).end_offset == 2

    async def test_a_replaced_broker_commits_nothing(self) -> None:
        """Neither plainly nor otherwise."""
        async with self.planes() as planes:
            old = await planes.plane(1, b"1" * 16)
            other = await planes.plane(2, b"2" * 16)
            [log_id] = await old.create_logs([name()])
            await self.replace(planes, 1, b"3" * 16)
            for piece in (records(1), records(1, expected_end=5)):
                with raising(Fenced):
                    await old.commit([commit("k", (log_id, [piece]))])
            with raising(Fenced):
                await old.swap(Swap("s", 1, []))
            assert await self.one(other, "k", log_id, records(1)) == [Taken(0)]

    async def replace(self, planes: Planes, node_id: int, incarnation: bytes) -> None:
        """Let another process take the node id."""
        await planes.plane(node_id, incarnation)

    # -- conditional appends, several logs -----------------------------------------------------------------------------

    async def test_an_expected_end_makes_an_append_conditional(self) -> None:
        """Appends of one commit may follow each other; -1 is no end of any log."""
        async with self.logs() as (plane, [log_id]):
            assert await self.one(plane, "a", log_id, records(2, expected_end=0), records(1, expected_end=2)) == [
                Taken(0), Taken(2),
            ]  # fmt: skip
            assert await self.one(plane, "b", log_id, records(1, expected_end=2), records(1, expected_end=3)) == [
                ("wrong end", 2, 3), ("wrong end", 3, 3),
            ]  # fmt: skip
            assert await self.one(plane, "c", log_id, records(1, expected_end=-1)) == [("wrong end", -1, 3)]

    async def test_if_one_of_a_chain_is_refused_so_are_those_behind_it(self) -> None:
        """In commits that are given together too, and wherever another broker's append has ended."""
        async with self.logs(2) as (plane, [a, b]):
            await self.one(plane, "other", a, records(2))
            first, second = records(2, expected_end=0), records(1, expected_end=2)
            answers = await plane.commit([commit("k", (a, [first])), commit("l", (a, [second]), (b, [records(1)]))])
            [[refused_first], [refused_second, taken]] = answers  # type: ignore[misc]  # not buried
            assert [shown(outcome) for outcome in refused_first.appends or ()] == [("wrong end", 0, 2)]
            assert isinstance((refused_second.appends or [None])[0], WrongEnd)
            assert taken.base_offset == 0
            assert (await self.ends(plane, a)).end_offset == 2

    async def test_inline_runs_have_their_bytes_with_them(self) -> None:
        """There is no object, and several runs may be of one log."""
        async with self.logs(2) as (plane, [a, b]):
            piece = records(2, expected_end=0)
            both = inline("k", (a, piece), (b, records(1)), (a, records(1, expected_end=2)))
            assert await self.done(plane, both) == [[0, 0, 2]]
            assert await self.done(plane, both) == [[0, 0, 2]]
            first, second = await self.rows(plane, a)
            assert (first.inline, first.object_id, first.key) == (b"\0" * piece.length, 0, "")
            assert second.inline == b"\2" * records(1).length
            assert (await plane.object_counts()).live == 0

    async def test_runs_that_come_after_another_one_share_its_fate(self) -> None:
        """As the markers of a transaction do with the decision."""
        async with self.logs(3) as (plane, [a, b, c]):
            tied = inline("k", (a, records(1, expected_end=0)), (b, records(1)), (c, records(1)), after=0)
            assert await self.done(plane, tied) == [[0, 0, 0]]
            tied = inline("l", (a, records(1, expected_end=0)), (b, records(1)), (c, records(1)), after=0)
            wrong = [("wrong end", 0, 1)]
            assert await self.done(plane, tied) == [[wrong, wrong, wrong]]
            assert (await self.ends(plane, c)).end_offset == 1

    # -- reading -------------------------------------------------------------------------------------------------------

    async def test_runs_are_found_from_an_offset_on(self) -> None:
        """From the one that holds it, as many as the bytes allow, below the end that is asked for; at least one."""
        async with self.logs(2) as (plane, [a, b]):
            for number in range(6):
                await self.one(plane, f"k{number}", a, records(2))
            length = records(2).length

            async def bases(start: int, max_bytes: int, upto: int = END) -> list[int]:
                [found] = await plane.runs([RunsQuestion(a, start, max_bytes, upto)])
                assert found is not None
                return [run.base_offset for run in found.runs]

            assert await bases(0, 1 << 30) == [0, 2, 4, 6, 8, 10]
            assert await bases(3, 1) == [2]
            assert await bases(3, 2 * length) == [2, 4]
            assert await bases(0, 1 << 30, 5) == [0, 2, 4]
            assert await bases(12, 1 << 30) == []
            empty, missing = await plane.runs([RunsQuestion(b, 0, 9, END), RunsQuestion(a + b + 1000, 0, 9, END)])
            assert (empty is not None and list(empty.runs), missing) == ([], None)

    async def test_runs_are_found_by_time(self) -> None:
        """The first that has a record at least that late, whatever came before and was deleted."""
        async with self.logs() as (plane, [log_id]):
            for number, time in enumerate([10, 30, 20, 40, 40, 5]):
                await self.one(plane, f"k{number}", log_id, records(2, timestamp=time))

            async def base(time: int) -> int | None:
                run = await plane.run_for_time(log_id, time)
                return None if run is None else run.base_offset

            assert [await base(time) for time in (0, 10, 11, 30, 31, 40, 41)] == [0, 0, 2, 2, 6, 6, None]
            latest = await plane.run_of_latest(log_id)
            assert latest is not None and latest.base_offset == 6
            await plane.delete_before(log_id, 4)
            assert [await base(time) for time in (0, 20, 25, 40)] == [4, 4, 6, 6]
            await plane.delete_before(log_id, 10)
            assert [await base(time) for time in (5, 6)] == [10, None]
            latest = await plane.run_of_latest(log_id)
            assert latest is not None and latest.base_offset == 10

    # -- log starts, retention, objects --------------------------------------------------------------------------------

    async def test_a_log_starts_where_it_is_told_to(self) -> None:
        """Not beyond its end, and never earlier; runs before it are trimmed, and objects then go."""
        async with self.logs() as (plane, [log_id]):
            for number in range(3):
                await self.one(plane, f"k{number}", log_id, records(2))
            assert (await plane.delete_before(log_id, 3)).log_start_offset == 3
            assert (await plane.delete_before(log_id, 1)).log_start_offset == 3
            for offset in (-1, 7):
                with refused(ErrorCode.OFFSET_OUT_OF_RANGE):
                    await plane.delete_before(log_id, offset)
            assert await plane.trim(100) == 1
            assert await plane.trim(100) == 0
            counts = await plane.object_counts()
            assert (counts.live, counts.deleting) == (2, 1)
            assert await plane.deletable(10) == [], "readers may still have a plan with it"
            assert (await self.ends(plane, log_id)).size == 2 * records(2).length
            with refused(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION):
                await plane.delete_before(log_id + 1000, 0)

    async def test_a_stable_offset_is_not_before_the_start(self) -> None:
        """A transaction may begin in what has been deleted."""
        async with self.logs() as (plane, [log_id]):
            producer = ScriptedProducer(1)
            await self.one(plane, "a", log_id, append(producer.batch(b"a", b"b", b"c", transactional=True)))
            assert await plane.delete_before(log_id, 2) == LogPositions(2, 3, 2, (await self.ends(plane, log_id)).size)

    async def test_an_object_whose_runs_were_all_refused_may_go_at_once(self) -> None:
        """No reader has ever seen it. When it is gone, its key is a tombstone."""
        async with self.logs() as (plane, [log_id]):
            await self.one(plane, "k", log_id, records(1, expected_end=9))
            assert await plane.deletable(10) == ["k"]
            assert await plane.deletable(10) == [], "it has just been given out"
            await plane.deleted(["k"])
            counts = await plane.object_counts()
            assert (counts.live, counts.deleting, counts.tombstones) == (0, 0, 1)
            [again] = await plane.commit([commit("k", (log_id, [records(1)]))])
            assert isinstance(again, Buried)

    async def test_retention_by_size(self) -> None:
        """Run by run from the oldest, as long as what is left has as much as is to be kept."""
        async with self.logs() as (plane, [log_id]):
            for number in range(5):
                await self.one(plane, f"k{number}", log_id, records(2))
            length = records(2).length
            assert await plane.expire([Retention(log_id, -1, 5 * length)]) == []
            [(moved, positions)] = await plane.expire([Retention(log_id, -1, 2 * length + 1)])
            assert (moved, positions.log_start_offset) == (log_id, 4)
            assert await plane.expire([Retention(log_id, -1, 2 * length + 1)]) == [], "runs before the start are gone"
            assert await plane.trim(10) == 2
            assert await plane.expire([Retention(log_id, -1, 2 * length + 1)]) == []

    async def test_retention_by_time(self) -> None:
        """The first run that is young enough ends it."""
        async with self.logs() as (plane, [log_id]):
            now = plane.wall_millis()
            for number, age in enumerate([9000, 100_000, 2000, 9000]):
                await self.one(plane, f"k{number}", log_id, records(1, timestamp=now - age * 1000))
            assert await plane.expire([Retention(log_id, 10_000_000, -1)]) == []
            [(_, positions)] = await plane.expire([Retention(log_id, 5_000_000, -1)])
            assert positions.log_start_offset == 2

    async def test_what_a_deleted_log_had_is_trimmed(self) -> None:
        """A bounded part at a time."""
        async with self.logs(2) as (plane, [a, b]):
            for number in range(5):
                await self.one(plane, f"k{number}", a, append(ScriptedProducer(number).batch()))
            await self.one(plane, "b", b, records(1))
            await plane.delete_logs([a])
            assert await plane.trim(3) == 3
            assert await plane.trim(3) == 2
            assert await plane.trim(3) == 0
            counts = await plane.object_counts()
            assert (counts.live, counts.deleting) == (1, 5)
            assert await plane.producers(a) == []

    async def test_producers_expire(self) -> None:
        """Those without an open transaction, unused for as long as the rules say."""
        async with self.logs() as (plane, [log_id]):
            await self.one(plane, "a", log_id, append(ScriptedProducer(1).batch()))
            await self.one(plane, "b", log_id, append(ScriptedProducer(2).batch(transactional=True)))
            assert await plane.expire_producers(100) == 0
            plane.configure(ProducerRules(expiration=0))
            assert {state.producer_id for state in await plane.producers(log_id)} == {2}
            assert await plane.expire_producers(100) in (0, 1)
            plane.configure(ProducerRules())
            assert {state.producer_id for state in await plane.producers(log_id)} == {2}
            assert await self.one(plane, "c", log_id, append(ScriptedProducer(1, sequence=7).batch())) == [Taken(2)]

    # -- merging and compaction ----------------------------------------------------------------------------------------

    async def test_a_swap_replaces_exactly_the_planned_runs(self) -> None:
        """With gaps if need be; positions but the size stay, and objects without runs begin to go."""
        async with self.logs(2) as (plane, [a, b]):
            for number in range(4):
                await self.one(plane, f"k{number}", a, records(2, timestamp=number))
            await self.one(plane, "b", b, records(1))
            [candidate] = await plane.merge_candidates(2, 10)
            assert candidate == (a, 4)
            planned = (await self.rows(plane, a))[1:3]
            swap = Swap("seg", 50, [LogSwap(a, planned, [NewRun(2, 2, 0, 20, 1), NewRun(5, 5, 20, 30, 2)])])
            assert await plane.swap(swap) == [True]
            assert await plane.swap(swap) == [True], "asked again, it is answered as it was"
            rows = await self.rows(plane, a)
            assert [(row.base_offset, row.last_offset, row.key) for row in rows] == [
                (0, 1, "k0"), (2, 2, "seg"), (5, 5, "seg"), (6, 7, "k3"),
            ]  # fmt: skip
            assert rows[1].kind is RunKind.ABSOLUTE
            assert (await self.ends(plane, a)) == LogPositions(0, 8, 8, 2 * records(2).length + 50)
            counts = await plane.object_counts()
            assert (counts.live, counts.deleting) == (4, 2)
            assert await self.rows(plane, a, 3) == rows[2:], "an offset in a gap is answered with what is behind it"
            assert [c.runs for c in await plane.merge_candidates(2, 10)] == [2]
            run = await plane.run_for_time(a, 2)
            assert run is not None and run.base_offset == 5

    async def test_a_swap_is_dropped_where_its_plan_no_longer_holds(self) -> None:
        """Log by log; an object that nothing of it came into goes at once."""
        async with self.logs(2) as (plane, [a, b]):
            for number in range(3):
                await self.done(plane, commit(f"k{number}", (a, [records(2)]), (b, [records(2)])))
            plan_a, plan_b = await self.rows(plane, a), await self.rows(plane, b)
            await plane.delete_before(a, 2)
            await plane.trim(10)
            both = Swap(
                "seg", 9, [LogSwap(a, plan_a, [NewRun(0, 5, 0, 4, 1)]), LogSwap(b, plan_b, [NewRun(0, 5, 4, 5, 1)])]
            )
            assert await plane.swap(both) == [False, True]
            none = Swap("other", 9, [LogSwap(a, plan_a, []), LogSwap(b, plan_b[:2], [])])
            assert await plane.swap(none) == [False, False]
            assert "other" in await plane.deletable(10)
            [holes] = await plane.bury(["nothing"])
            assert isinstance(await plane.swap(Swap(holes, 1, [LogSwap(b, plan_b, [])])), Buried)

    async def test_a_compaction_may_stay_inline(self) -> None:
        """And forgets the abort markers of which no record is left."""
        async with self.logs() as (plane, [log_id]):
            producer = ScriptedProducer(1)
            await self.done(plane, inline("a", (log_id, append(producer.batch(transactional=True)))))
            await self.done(plane, inline("b", (log_id, append(producer.marker(commit=False)))))
            await self.done(plane, inline("c", (log_id, records(2))))
            planned = await self.rows(plane, log_id)
            swap = Swap("c1", 0, [LogSwap(log_id, planned, [NewRun(3, 3, 0, 2, EPOCH_MS, b"zz")], [1])])
            assert await plane.swap(swap) == [True]
            [row] = await self.rows(plane, log_id)
            assert (row.inline, row.object_id, row.kind) == (b"zz", 0, RunKind.ABSOLUTE)
            assert await plane.aborted(log_id, 0, 9) == []
            assert await self.one(plane, "d", log_id, records(1)) == [Taken(4)]

    # -- taking over ---------------------------------------------------------------------------------------------------

    async def test_a_log_that_is_taken_over(self) -> None:
        """With its offsets, gaps, start, producers and aborted transactions; part by part, once for each key."""
        async with self.logs(2) as (plane, [a, b]):
            producer = ScriptedProducer(7)
            states = [
                ProducerState(7, 0, 4, 24, 4, EPOCH_MS, -1, -1),
                ProducerState(7, 0, 5, 25, 0, EPOCH_MS, -1, 25),
                ProducerState(8, 3, -1, -1, 0, EPOCH_MS, 2, -1),
            ]
            first = Adoption(a, 0, [NewRun(10, 14, 0, 50, 5), NewRun(20, 24, 50, 50, 4)], 25, 12, states)
            second = Adoption(a, 25, [NewRun(25, 25, 0, 9, 6, b"inlined..")], 26, 12, states, [AbortedSpan(9, 11, 21)])
            assert await plane.adopt("x", 100, [first]) == [None]
            assert await plane.adopt("x", 100, [first]) == [None], "asked again, it is answered as it was"
            late = Adoption(b, 7, [], 9, 9)
            adopted = await plane.adopt("y", 0, [second, late])
            assert not isinstance(adopted, Buried)
            done, wrong = adopted
            assert (done, isinstance(wrong, WrongEnd) and wrong.actual) == (None, 0)
            assert await self.ends(plane, a) == LogPositions(12, 26, 25, 109)
            assert [(row.base_offset, row.key, row.kind) for row in await self.rows(plane, a)] == [
                (10, "x", RunKind.ABSOLUTE), (20, "x", RunKind.ABSOLUTE), (25, "", RunKind.ABSOLUTE),
            ]  # fmt: skip
            assert await plane.aborted(a, 0, 26) == [AbortedSpan(9, 11, 21)]
            for _ in range(6):
                following = producer.batch(transactional=True)
            assert await self.one(plane, "k", a, append(following)) == [Repeated(25, 25)]
            assert await self.one(plane, "l", a, append(producer.batch(transactional=True))) == [Taken(26)]
            assert await self.one(plane, "m", a, append(ScriptedProducer(8, epoch=2).batch())) == [
                ErrorCode.INVALID_PRODUCER_EPOCH
            ]
            assert await plane.adopt("z", 0, [Adoption(b, 0, [], 9, 9)]) == [None]
            assert await self.ends(plane, b) == LogPositions(9, 9, 9, 0)

    # -- beside the logs -----------------------------------------------------------------------------------------------

    async def test_blobs_lie_beside_their_log(self) -> None:
        """Whole, under their names; they go with the log."""
        async with self.logs() as (plane, [log_id]):
            assert await plane.write_blob(log_id, "b", b"two")
            assert await plane.write_blob(log_id, "a", b"")
            assert await plane.write_blob(log_id, "b", b"three")
            assert await plane.blobs(log_id) == [("a", 0), ("b", 5)]
            assert (await plane.read_blob(log_id, "b"), await plane.read_blob(log_id, "c")) == (b"three", None)
            await plane.remove_blobs(log_id, ["a", "nothing"])
            assert await plane.blobs(log_id) == [("b", 5)]
            await plane.delete_logs([log_id])
            assert not await plane.write_blob(log_id, "b", b"x")

    async def test_a_setting_is_settled_once(self) -> None:
        """The first value stands."""
        async with self.logs() as (plane, _):
            assert await plane.setting("bucket") is None
            assert await plane.settle("bucket", b"one") == b"one"
            assert await plane.settle("bucket", b"two") == b"one"
            assert await plane.setting("bucket") == b"one"
