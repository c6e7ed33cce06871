"""Starting and stopping, with a real data directory: what ends a start, and what a stop leaves."""

from __future__ import annotations

from pathlib import Path

import pytest

from broker import server
from broker.config.loading import load_config
from broker.config.settings import BrokerConfig, ConfigError


def stopped_at_once(directory: Path) -> BrokerConfig:
    """Start a broker on `directory` and stop it as soon as it is ready; returns its configuration."""
    import signal

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
