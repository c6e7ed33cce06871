"""What an engine is given: the settings in force, in ranges that make sense, also when they change (KIP-226)."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import trio
import trio.testing

from broker import server
from broker.coordinators.cluster.coordinator import Alteration
from broker.coordinators.cluster.image import ResourceType
from broker.engines import LEAST_CLEANER_MEMORY, store_settings
from broker.testing.contexts import config
from storage.memory.engine import MemoryStore
from storage.seams.clock import SystemClock
from storage.seams.entropy import SeededEntropy
from storage.seams.offload import InlineOffload
from storage.store_settings import ProducerRules, StoreSettings


def test_settings_are_kafkas_by_default() -> None:
    """Nothing said in a configuration is nothing said to the engine."""
    settings = store_settings(config())
    assert settings.producers == ProducerRules(StoreSettings().producers.expiration, verify=True)
    assert settings.retention_check_ms == StoreSettings().retention_check_ms


def test_a_cleaner_gets_what_it_can_work_with() -> None:
    """Kafka takes any number here, and works badly with some of them."""
    settings = store_settings(
        config({
            "log.cleaner.dedupe.buffer.size": "1", "log.cleaner.io.buffer.load.factor": "7",
            "log.cleaner.io.max.bytes.per.second": "0",
        })
    )  # fmt: skip
    assert settings.cleaner.memory == LEAST_CLEANER_MEMORY
    assert settings.cleaner.load_factor == 0.95
    assert settings.cleaner.bytes_per_second == 1.0


def overrides(millis: str, current: Mapping[str, str]) -> Mapping[str, str]:
    """What is overridden from now on, whatever was."""
    return {"producer.id.expiration.ms": millis}


async def test_changed_settings_reach_the_engine_at_once() -> None:
    """From the cluster's log when the broker starts, and by AlterConfigs while it runs."""
    clock, entropy = SystemClock(), SeededEntropy(1)
    store = MemoryStore(clock, entropy)
    for millis, altered in (("5000", "6000"), ("7000", "8000")):
        started_with = config({"producer.id.expiration.ms": millis})
        async with trio.open_nursery() as nursery:
            services = await server.start_services(started_with, store, clock, entropy, InlineOffload(), None, nursery)
            change = Alteration(ResourceType.BROKER, "1", partial(overrides, altered))
            before = store.settings.producers.expiration
            assert await services.cluster.alter_configs([change]) == [None]
            await trio.testing.wait_all_tasks_blocked()
            assert (before, store.settings.producers.expiration) == (5000 if millis == "5000" else 6000, int(altered))
            nursery.cancel_scope.cancel()
