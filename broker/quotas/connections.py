"""The rates at which connections may be opened (KIP-612): of the broker, of a listener, of an address.

* The broker's and the listener's rate (`max.connection.creation.rate`) make **all clients wait**: the connection that
  is one too many is served when the rate is right again, and no other is accepted before.
* An address's rate (the quota `connection_creation_rate` of an `ip`) is that **address's affair**: the connection is
  held for as long, and closed without an answer. It does not count for broker and listener.

A wait is a window at most. An address is known as long as its rate is, and at most `MAX_ADDRESSES` are.

Departs from Kafka: the listener through which brokers talk to each other is no exception to the broker's rate, since no
other broker comes.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Final, NamedTuple

from broker.coordinators.cluster.quotas import IP, Entity, is_address
from broker.quotas.rates import Rate, Windows

if TYPE_CHECKING:
    from broker.config.settings import BrokerConfig

MAX_ADDRESSES: Final = 10_000


class Admission(NamedTuple):
    """How long a connection is held, in milliseconds, and whether it is closed then instead of served."""

    delay: int
    refused: bool


AT_ONCE: Final = Admission(0, False)


class ConnectionRates:
    """Who may come, and when."""

    def __init__(self, windows: Windows, config: BrokerConfig) -> None:
        self._windows = windows
        self._of_broker = Rate(windows)
        self._of_listener: dict[str, Rate] = {}
        self._of_address: OrderedDict[str, Rate] = OrderedDict()
        self._limits: dict[str | None, float] = {}  # None: of an address without a limit of its own
        self._config = config
        self.delayed = 0
        self.delay_ms = 0

    def reconfigure(self, config: BrokerConfig) -> None:
        """The dynamic settings have changed."""
        self._config = config

    def put(self, entity: Entity, limit: float | None) -> None:
        """Set or remove an address's limit. Other entities have none."""
        names = dict(entity)
        if IP not in names:
            return
        if limit is None:
            self._limits.pop(names[IP], None)
        elif names[IP] is None or is_address(names[IP]):
            self._limits[names[IP]] = limit

    @property
    def limits(self) -> int:
        """Addresses with a limit, the default counted as one."""
        return len(self._limits)

    @property
    def addresses(self) -> int:
        """Addresses whose rate is known."""
        return len(self._of_address)

    @property
    def active(self) -> bool:
        """Whether anything is limited."""
        return bool(self._limits) or self._config.limits_connection_creation

    def admit(self, listener: str, address: str, now: int) -> Admission:
        """Count a connection, and say what becomes of it."""
        listeners = self._of_listener.setdefault(listener, Rate(self._windows))
        delay = max(
            self._delay(self._of_broker, self._config.max_connection_creation_rate, now),
            self._delay(listeners, self._config.max_connection_creation_rate_of(listener), now),
        )
        limit = self._limits.get(address, self._limits.get(None))
        if limit is not None:
            rate = self._rate_of(address)
            held = self._delay(rate, limit, now)
            if held:
                for each in (rate, listeners, self._of_broker):
                    each.record(-1, now)
                return self._noted(Admission(delay + held, True))
        return self._noted(Admission(delay, False)) if delay else AT_ONCE

    def _delay(self, rate: Rate, limit: float, now: int) -> int:
        rate.record(1, now)
        return min(rate.delay(limit, now), self._windows.millis) if limit > 0 else self._windows.millis

    def _rate_of(self, address: str) -> Rate:
        rate = self._of_address.pop(address, None) or Rate(self._windows)
        while len(self._of_address) >= MAX_ADDRESSES:
            self._of_address.popitem(last=False)
        self._of_address[address] = rate
        return rate

    def _noted(self, admission: Admission) -> Admission:
        self.delayed += 1
        self.delay_ms += admission.delay
        return admission
