"""A broker on command, from the process that has started it."""

from __future__ import annotations

import pytest

import ottla


def test_a_broker_takes_commands_only_when_asked_to() -> None:
    """Then its API answers to the token that this process knows, after a restart too."""
    with ottla.Broker() as broker, pytest.raises(ottla.BrokerError, match="control=True"):
        broker.control.ask("GET", "/")
    with ottla.Broker(control=True) as broker:
        assert "operations" in broker.control.ask("GET", "/")
        wrong = broker.control.address.rpartition("=")[0] + "=wrong"
        with pytest.raises(ottla.ControlError, match="token") as refused:
            ottla.Control(wrong).ask("GET", "/")
        assert refused.value.status == 401
        broker.restart()
        assert "operations" in broker.control.ask("GET", "/")


def test_an_address_that_is_none_is_said_so() -> None:
    """Before anything is sent."""
    with pytest.raises(ValueError, match="as the broker prints it"):
        ottla.Control("http://127.0.0.1:9481")
