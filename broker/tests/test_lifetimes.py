"""A process lives several lives: what is gone with one, what stays, and what clients see of the change."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import NamedTuple

import pytest
import trio

from broker import server
from broker.config.loading import load_config
from broker.coordinators.cluster.topics import NewTopic
from broker.lifetimes import Lifetimes
from storage.engine import LogSpec, StoreError
from storage.log_config import LogConfig
from storage.seams.logging import process_lines
from storage.testing.log_builder import batch


class Living(NamedTuple):
    """A broker that runs: its lives, and where it listens."""

    lifetimes: Lifetimes
    address: tuple[str, int]
    control: str
    """The address of its control API, if it has one."""


@asynccontextmanager
async def living(**settings: str) -> AsyncIterator[Living]:
    """A broker in memory, in this process, as long as the block lasts."""
    config = load_config(None, {key.replace("_", "."): value for key, value in settings.items()}, port=0, memory=True)
    lives: list[Lifetimes] = []
    addresses: list[tuple[str, int]] = []
    controls: list[str] = []
    begun = trio.Event()

    async def beside(lifetimes: Lifetimes) -> None:
        lives.append(lifetimes)
        begun.set()

    def ready(host: str, port: int) -> None:
        addresses.append((host, port))

    def control(host: str, port: int, token: str) -> None:
        controls.append(f"http://{host}:{port}/?token={token}")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(lambda: server.serve(config, ready, beside=beside, control=control))
        await begun.wait()
        yield Living(lives[0], addresses[0], "".join(controls))
        nursery.cancel_scope.cancel()


async def make_topic(lifetimes: Lifetimes, name: str = "orders", records: int = 0) -> LogSpec:
    """A topic of one partition, with records in it."""
    services = lifetimes.services
    assert services is not None
    (made,) = await services.cluster.create_topics([NewTopic(name, 1)], validate_only=False)
    assert not isinstance(made, Exception)
    spec = LogSpec(name, services.cluster.image.topics[name].topic_id, 0, LogConfig())
    for number in range(records):
        services.store.log(spec).begin_append([batch(b"%d" % number)])
    return spec


def topics(lifetimes: Lifetimes) -> set[str]:
    """The topics that clients are shown."""
    assert lifetimes.services is not None
    return set(lifetimes.services.cluster.image.topics)


async def test_nothing_is_left_of_a_life_after_a_reset() -> None:
    """Its services are others, and know of nothing; the cluster is the same one to clients."""
    async with living() as broker:
        before = broker.lifetimes.services
        assert before is not None
        await make_topic(broker.lifetimes, records=3)
        await broker.lifetimes.reset()
        after = broker.lifetimes.services
        assert after is not None and after is not before
        assert topics(broker.lifetimes) == set()
        assert after.store.existing() == {("__cluster_metadata", 0)}
        assert after.store.cluster_id == before.store.cluster_id


async def test_a_copy_brings_back_what_was_there_when_it_was_taken() -> None:
    """Records that came later are gone, and so are topics; the ids of topics are those that clients know."""
    async with living() as broker:
        spec = await make_topic(broker.lifetimes, records=3)
        async with broker.lifetimes.copied() as copy:
            assert broker.lifetimes.services is not None
            broker.lifetimes.services.store.log(spec).begin_append([batch(b"later")])
            await make_topic(broker.lifetimes, "another")
            await broker.lifetimes.restore(copy, node_id=1)
            assert topics(broker.lifetimes) == {"orders"}
            assert broker.lifetimes.services.store.log(spec).log_end_offset == 3
            await broker.lifetimes.reset()
            await broker.lifetimes.restore(copy, node_id=1)
            assert broker.lifetimes.services.cluster.image.topics["orders"].topic_id == spec.topic_id
            assert broker.lifetimes.services.store.log(spec).spec.config == spec.config


async def test_connections_close_and_the_address_stays() -> None:
    """A client sees its connection end, and connects to the same port."""
    async with living() as broker:
        old = await trio.open_tcp_stream(*broker.address)
        await trio.testing.wait_all_tasks_blocked()
        await broker.lifetimes.reset()
        with trio.fail_after(5):
            assert await old.receive_some() == b""
        new = await trio.open_tcp_stream(*broker.address)
        await new.aclose()
        await old.aclose()


async def test_a_copy_of_another_node_or_cluster_is_refused() -> None:
    """In a sentence that names the setting, and the present life goes on."""
    async with living(ottla_cluster_id="AAAAAAAAAAAAAAAAAAAAAA") as broker:
        await make_topic(broker.lifetimes)
        async with broker.lifetimes.copied() as copy:
            with pytest.raises(StoreError, match=r"start with node\.id=7"):
                await broker.lifetimes.restore(copy, node_id=7)
            other = copy._replace(cluster_id="BBBBBBBBBBBBBBBBBBBBBA")
            with pytest.raises(StoreError, match=r"ottla\.cluster\.id is AAAAAAAAAAAAAAAAAAAAAA"):
                await broker.lifetimes.restore(other, node_id=1)
        assert topics(broker.lifetimes) == {"orders"}


async def test_levels_of_loggers_end_with_the_life_in_which_they_were_set() -> None:
    """They are the process's, and a new process would have those of its configuration."""
    async with living() as broker:
        process_lines().set_levels({"broker.server": "debug"})
        await broker.lifetimes.reset()
        assert process_lines().level("broker.server") == "info"
        assert set(process_lines().levels()) == {"root"}
