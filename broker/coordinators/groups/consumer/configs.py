"""Sessions and intervals of consumer groups, as they are set at this moment.

A group's own config counts (resource GROUP), else the broker's, which can be changed while it runs as well. A group's
value that the broker's bounds no longer allow, since these have changed, is taken as near to it as they do.

Source: Kafka's GroupConfig and GroupCoordinatorConfig.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, NamedTuple, TypeAlias

from broker.config.keys import GROUP_KEYS, BadValue
from broker.config.keys.groups import LIMITS
from broker.config.settings import BrokerConfig
from broker.coordinators.cluster.image import ClusterImage

REMEMBERED: Final = 1_000
"""Groups with configs of their own whose values are kept at hand."""


class ConsumerTimes(NamedTuple):
    """Milliseconds; the defaults are Kafka's."""

    session: int = 45_000
    """A member that is silent for so long is removed."""
    heartbeat: int = 5_000
    """How often members are asked to beat."""
    assignment_interval: int = 1_000
    """From one assignment to the next, at least."""


TimesOf: TypeAlias = Callable[[str], ConsumerTimes]
"""The times of the group with this id."""

_KEYS: Final = {
    "session": "consumer.session.timeout.ms",
    "heartbeat": "consumer.heartbeat.interval.ms",
    "assignment_interval": "consumer.assignment.interval.ms",
}


class ConsumerConfigs:
    """The times of each group. One for all groups of a broker."""

    def __init__(self, config: Callable[[], BrokerConfig], image: Callable[[], ClusterImage]) -> None:
        """Both are asked again for each group that is asked for."""
        self._config_now = config
        self._image_now = image
        self._config: BrokerConfig | None = None
        self._default = ConsumerTimes()
        self._own: dict[str, tuple[Mapping[str, str], ConsumerTimes]] = {}

    def of(self, group_id: str) -> ConsumerTimes:
        """The times of this group."""
        config = self._config_now()
        if config is not self._config:
            self._config = config
            self._own.clear()
            self._default = ConsumerTimes(
                config.group_consumer_session_timeout_ms,
                config.group_consumer_heartbeat_interval_ms,
                config.group_consumer_assignment_interval_ms,
            )
        overrides = self._image_now().group_configs(group_id)
        if not overrides:
            return self._default
        known = self._own.get(group_id)
        if known is None or known[0] is not overrides:
            if len(self._own) >= REMEMBERED:
                self._own.clear()
            known = self._own[group_id] = overrides, self._times(overrides, config)
        return known[1]

    def _times(self, overrides: Mapping[str, str], config: BrokerConfig) -> ConsumerTimes:
        times = self._default
        for field, name in _KEYS.items():
            text = overrides.get(name)
            if text is None:
                continue
            try:
                value = GROUP_KEYS[name].parse(text)
            except BadValue:
                continue  # it was checked when it was set, by another release
            least, greatest = LIMITS[name]
            assert isinstance(value, int) and least is not None and greatest is not None
            bounded = min(max(value, getattr(config, _attribute(least))), getattr(config, _attribute(greatest)))
            times = times._replace(**{field: bounded})
        return times


def _attribute(name: str) -> str:
    """Of a key, in `BrokerConfig`."""
    return name.replace(".", "_")
