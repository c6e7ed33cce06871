"""What the words in `storage/engine.py` mean that are about all logs at once: settings, upkeep, statistics."""

from __future__ import annotations

import trio
import trio.testing

from kproto.errors import ErrorCode, KafkaError
from storage.log_config import LogConfig
from storage.store_settings import ProducerRules, StoreSettings
from storage.testing.lab import Bench, Lab, refused
from storage.testing.log_builder import ScriptedProducer, batch, spec


async def has_forgotten(lab: Lab, topic: str) -> bool:
    """Whether a producer that has just sent something is as good as new. Its sequence is out of order otherwise."""
    log, producer = lab.log(topic), ScriptedProducer(7)
    await lab.append(log, producer.batch(b"a"))
    producer.batch(b"lost")
    try:
        await lab.append(log, producer.batch(b"b"))
    except KafkaError as error:
        assert error.code is ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER
        return False
    return True


class StoreConformance(Bench):
    """What counts for all logs at once."""

    async def test_settings_count_from_now_on(self) -> None:
        """`producer.id.expiration.ms`: for logs that are open, for others, and back again."""
        async with self.lab() as lab:
            assert not await has_forgotten(lab, "one")
            lab.store.configure(StoreSettings(producers=ProducerRules(expiration=0)))
            lost_some = ScriptedProducer(7)
            for value in (b"lost", b"lost too", b"lost as well"):
                lost_some.batch(value)
            await lab.append(lab.log("one"), lost_some.batch(b"c"))
            assert await has_forgotten(lab, "two")
            lab.store.configure(StoreSettings())
            assert not await has_forgotten(lab, "three")

    async def test_an_internal_log_is_a_log(self) -> None:
        """What an engine does for it when room gets scarce, it does without a word; the name says nothing."""
        async with self.lab() as lab:
            for topic, internal in (("__of_a_person", False), ("of a coordinator", True)):
                log = lab.store.log(spec(topic)._replace(internal=internal))
                await lab.append(log, batch(b"a"))
                assert (log.spec.internal, await lab.values(log)) == (internal, [b"a"])

    async def test_upkeep_runs_until_it_is_cancelled(self, autojump_clock: trio.testing.MockClock) -> None:
        """For an hour, with and without the broker's list of logs; logs are as they were."""
        async with self.lab() as lab:
            log = lab.log()
            await lab.append(log, batch(b"a"))
            for every_log in (None, lambda: [spec(), spec("of a topic that was not asked for")]):
                with trio.move_on_after(3600) as hour:
                    await lab.store.maintain(every_log)
                assert hour.cancelled_caught
            assert await lab.values(lab.log()) == [b"a"]

    async def test_statistics_of_a_store(self) -> None:
        """How many logs there are, and how many of them take memory; asking changes nothing."""
        async with self.lab() as lab:
            before = lab.store.statistics()
            assert (before.logs, before.open_logs, before.has_stopped) == (0, 0, False)
            await lab.store.create_logs([spec("created", partition) for partition in range(3)])
            await lab.append(lab.log(), batch(b"a"))
            now = lab.store.statistics()
            assert now == lab.store.statistics()
            assert (now.logs, now.has_stopped) == (4, False)
            assert 1 <= now.open_logs <= 4
            if now.flushes is not None:
                assert (now.flushes.waiting, now.flushes.failures) == (0, 0)
            await lab.store.delete_logs([spec()])
            assert lab.store.statistics().logs == 3

    async def test_a_producers_refusal_is_no_stop(self) -> None:
        """What a client does wrong shows in no statistic of the engine's health."""
        async with self.lab() as lab:
            log, stale = lab.log(), ScriptedProducer(7, epoch=1)
            await lab.append(log, ScriptedProducer(7, epoch=2).batch(b"a"))
            with refused(ErrorCode.INVALID_PRODUCER_EPOCH):
                await lab.append(log, stale.batch(b"b"))
            log.configure(LogConfig(segment_bytes=14))
            assert not lab.store.statistics().has_stopped
