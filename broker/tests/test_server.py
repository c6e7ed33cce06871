"""Starting and stopping, with a real data directory: what ends a start, and what a stop leaves."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
import trio

from broker import server
from broker.config.loading import load_config
from broker.config.settings import BrokerConfig, ConfigError
from broker.coordinators.cluster.coordinator import Alteration, ClusterCoordinator
from broker.coordinators.cluster.image import ResourceType, Topic
from broker.coordinators.cluster.topics import NewTopic
from broker.descriptors import share_out
from broker.engines import make_store
from storage.progress import LoggedProgress
from storage.seams.clock import SystemClock
from storage.seams.entropy import SystemEntropy
from storage.seams.offload import InlineOffload


def stopped_at_once(directory: Path) -> BrokerConfig:
    """Start a broker on `directory` and stop it as soon as it is ready; returns its configuration."""

    config = load_config(None, {}, port=0, data=str(directory))
    server.run(config, ready=lambda host, port: signal.raise_signal(signal.SIGTERM))
    return config


def test_a_stop_leaves_the_mark_of_a_clean_shutdown(tmp_path: Path) -> None:
    """The next start need not look at any log."""
    stopped_at_once(tmp_path)
    assert (tmp_path / ".kafka_cleanshutdown").exists()
    assert (tmp_path / "meta.properties").exists()


def test_a_second_start_serves_the_same_cluster(tmp_path: Path) -> None:
    """The cluster id is made once and kept."""
    stopped_at_once(tmp_path)
    first = (tmp_path / "meta.properties").read_text()
    stopped_at_once(tmp_path)
    assert (tmp_path / "meta.properties").read_text() == first


def test_a_damaged_cluster_log_stops_the_start_with_one_sentence(tmp_path: Path) -> None:
    """State is not built on damage, and nothing is deleted because it cannot be read."""
    config = stopped_at_once(tmp_path)
    log = tmp_path / "__cluster_metadata-0" / f"{0:020}.log"
    damaged = bytearray(log.read_bytes())
    damaged[-1] ^= 0xFF
    log.write_bytes(damaged)
    with pytest.raises(ConfigError, match="__cluster_metadata"):
        server.run(config, ready=lambda host, port: None)
    assert log.read_bytes() == damaged


def test_a_port_in_use_stops_the_start_before_the_store_is_touched(tmp_path: Path) -> None:
    """One sentence that names the address; the data directory is not even made."""
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        config = load_config(None, {}, port=port, data=str(tmp_path / "data"))
        with pytest.raises(ConfigError, match=f"127.0.0.1:{port} is in use"):
            server.run(config, ready=lambda host, port: None)
    assert not (tmp_path / "data").exists()


# --- the cluster's log in a directory of its own (metadata.log.dir)


def served(settings: dict[str, str]) -> None:
    """Start a broker with these settings and stop it as soon as it is ready."""
    config = load_config(None, settings, port=0)
    server.run(config, ready=lambda host, port: signal.raise_signal(signal.SIGTERM))


def test_the_clusters_log_is_where_it_is_named(tmp_path: Path) -> None:
    """And nowhere else; the next start finds it there."""
    settings = {"log.dirs": str(tmp_path / "data"), "metadata.log.dir": str(tmp_path / "metadata")}
    for _ in range(2):
        served(settings)
        assert (tmp_path / "metadata" / "__cluster_metadata-0").is_dir()
        assert not (tmp_path / "data" / "__cluster_metadata-0").exists()


def test_the_data_directory_may_be_named_for_it(tmp_path: Path) -> None:
    """In whatever spelling; it is one place then."""
    served({"log.dirs": str(tmp_path), "metadata.log.dir": f"{tmp_path}/x/.."})
    assert (tmp_path / "__cluster_metadata-0").is_dir()


def test_logs_without_the_clusters_stop_the_start(tmp_path: Path) -> None:
    """K15. The broker would be an empty one, and a new cluster's log be written beside the data."""
    served({"log.dirs": str(tmp_path / "data"), "metadata.log.dir": str(tmp_path / "metadata")})
    (tmp_path / "data" / "orders-0").mkdir()
    with pytest.raises(ConfigError, match=r"holds logs \(orders-0\) but not the cluster's own.*set metadata.log.dir"):
        served({"log.dirs": str(tmp_path / "data")})
    assert not (tmp_path / "data" / "__cluster_metadata-0").exists()


# --- what the cluster's log says


def test_a_log_with_a_topic_in_tiered_storage_stops_the_start(tmp_path: Path) -> None:
    """Kafka may have written it; the API of this broker would not."""
    config = stopped_at_once(tmp_path)

    async def write() -> None:
        clock, entropy = SystemClock(), SystemEntropy()
        store = make_store(config, clock, entropy, InlineOffload(), LoggedProgress, share_out(256))
        await store.open()
        async with trio.open_nursery() as nursery:
            cluster = ClusterCoordinator(store, config, clock, entropy)
            await cluster.start(nursery)
            [made] = await cluster.create_topics([NewTopic("t", 1)])
            assert isinstance(made, Topic)
            tiered = Alteration(ResourceType.TOPIC, "t", lambda current: {"remote.storage.enable": "true"})
            assert await cluster.alter_configs([tiered]) == [None]
            nursery.cancel_scope.cancel()
        await store.close()

    trio.run(write)
    with pytest.raises(ConfigError, match=r"^topic t has remote\.storage\.enable=true"):
        server.run(config, ready=lambda host, port: None)
