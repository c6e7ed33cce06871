"""A broker that another process has started, as its users see it: an address, and topics.

What it lacks of `ottla.Broker` is what its users would do to each other: nothing here resets or stops it.
"""

from __future__ import annotations

from typing import NoReturn

from ottla.process import BrokerError, address_of, unique_name


class SharedBroker:
    """The broker at an address, which several processes use."""

    log = ""

    def __init__(self, host: str, port: int) -> None:
        self.host = host
        self.port = port

    def __repr__(self) -> str:
        return f"<ottla broker {self.bootstrap_servers}, shared>"

    @property
    def bootstrap_servers(self) -> str:
        """`host:port`, what every Kafka client calls its bootstrap servers."""
        return address_of(self.host, self.port)

    def new_topic(self, name: str = "topic", *, partitions: int | None = None, config: object = None) -> str:
        """A name that begins so and is no other's. The topic is made by its first use, with one partition, so nothing
        else can be asked for. Raises BrokerError."""
        if config or partitions not in (None, 1):
            raise BrokerError("a broker that workers share makes topics of one partition, as they are used")
        return unique_name(name)

    def __getattr__(self, name: str) -> NoReturn:
        raise AttributeError(f"a broker that workers share has no {name}: run without --ottla-shared")
