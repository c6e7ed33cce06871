"""Listeners: their forms, and the ones that are refused."""

from __future__ import annotations

import pytest

from broker.config.listener_specs import Listener
from broker.config.loading import parse_config
from broker.config.settings import BrokerConfig, ConfigError


def config(**keys: str) -> BrokerConfig:
    return parse_config("", "", {key.replace("_", "."): value for key, value in keys.items()})


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("PLAINTEXT://:9092", "", 9092),
        ("PLAINTEXT://0.0.0.0:9092", "", 9092),
        ("PLAINTEXT://[::]:9092", "", 9092),
        ("PLAINTEXT://127.0.0.1:0", "127.0.0.1", 0),
        ("plaintext://[::1]:9092", "::1", 9092),
        ("PLAINTEXT://[fe80::1%eth0]:9092", "fe80::1%eth0", 9092),
        ("PLAINTEXT://host.name-1.example:65535", "host.name-1.example", 65535),
    ],
)
def test_forms_of_a_listener(text: str, host: str, port: int) -> None:
    """No host is every address; IPv6 stands in brackets; names of listeners do not care for case."""
    (listener,) = config(listeners=text).listeners
    assert listener == Listener("PLAINTEXT", host, port)


def test_a_listener_writes_itself_as_it_is_read() -> None:
    """Brackets return around IPv6."""
    assert str(Listener("A", "::1", 1)) == "A://[::1]:1"
    assert str(Listener("A", "", 1)) == "A://:1"


def test_a_listener_may_have_any_name() -> None:
    """Its protocol is looked up."""
    listeners = config(
        listeners="INSIDE://:1,OUTSIDE://:2", listener_security_protocol_map="INSIDE:PLAINTEXT, outside:plaintext"
    ).listeners
    assert [(listener.name, listener.protocol) for listener in listeners] == [
        ("INSIDE", "PLAINTEXT"), ("OUTSIDE", "PLAINTEXT"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("PLAINTEXT://:65536", "has a port above 65535"),
        ("PLAINTEXT://:-1", "is not of the form NAME://host:port"),
        ("PLAINTEXT://host", "is not of the form NAME://host:port"),
        ("PLAINTEXT://::1:9092", "is not of the form NAME://host:port"),
        (":9092", "is not of the form NAME://host:port"),
        ("PLAINTEXT://:1,PLAINTEXT://:2", "the name PLAINTEXT is there twice"),
        ("PLAINTEXT://:1,CONTROLLER://:1", "port 1 of the same host is there twice"),
        ("MINE://:1", "does not name the protocol of MINE://:1"),
        ("CONTROLLER://:1", "leaves no listener for clients"),
    ],
)
def test_listeners_that_make_no_sense_stop_the_start(text: str, reason: str) -> None:
    """One sentence that names the entry."""
    with pytest.raises(ConfigError, match=f"^listeners on the command line: .*{reason}"):
        config(listeners=text)


@pytest.mark.parametrize(
    ("protocol", "missing"), [("SSL", "ssl.keystore.location"), ("SASL_SSL", "sasl.|ssl."), ("SASL_PLAINTEXT", "sasl.")]
)
def test_a_listener_without_what_its_protocol_asks_for_stops_the_start(protocol: str, missing: str) -> None:
    """T1: it is never answered in plain text instead."""
    for keys in (
        {"listeners": f"PLAINTEXT://:1,{protocol}://:2"},
        {"listeners": "PLAINTEXT://:1", "listener_security_protocol_map": f"PLAINTEXT:{protocol}"},
    ):
        with pytest.raises(ConfigError, match=f"^({missing})"):
            config(**keys)


def test_a_controllers_listener_may_speak_anything() -> None:
    """It is not opened."""
    keys = {"listeners": "PLAINTEXT://:1,CTL://:2", "controller_listener_names": "CTL"}
    protocols = "CTL:SASL_SSL,PLAINTEXT:PLAINTEXT"
    assert len(config(**keys, listener_security_protocol_map=protocols).listeners) == 1


@pytest.mark.parametrize("text", ["PLAINTEXT", "PLAINTEXT:TLS", ":PLAINTEXT", "A:SSL,A:PLAINTEXT"])
def test_a_protocol_map_that_makes_no_sense_stops_the_start(text: str) -> None:
    """Pairs, of known protocols, each name once."""
    with pytest.raises(ConfigError, match=r"^listener\.security\.protocol\.map on the command line: "):
        config(listener_security_protocol_map=text)


def test_an_empty_advertised_host_is_the_address_that_a_client_came_by() -> None:
    """That is what no advertisement means too; an advertised port goes with it, as behind a forwarded port."""
    assert config(listeners="PLAINTEXT://:9092", advertised_listeners="PLAINTEXT://:9092").advertised_listeners == {}
    other = config(listeners="PLAINTEXT://127.0.0.1:9092", advertised_listeners="PLAINTEXT://:9999")
    assert other.advertised_listeners == {"PLAINTEXT": ("", 9999)}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("OTHER://host:1", "advertises a listener that listeners does not have"),
        ("PLAINTEXT://0.0.0.0:9092", "is no address that a client can connect to"),
        ("PLAINTEXT://a:1,PLAINTEXT://b:2", "is there twice"),
    ],
)
def test_advertisements_that_lead_nowhere_stop_the_start(text: str, reason: str) -> None:
    """Clients would hang without any hint why."""
    with pytest.raises(ConfigError, match=f"^advertised.listeners on the command line: .*{reason}"):
        config(advertised_listeners=text)
