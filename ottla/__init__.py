"""Ottla: a message broker that Apache Kafka clients talk to as if it were Apache Kafka.

This package is the project's public face and the only one that runs inside other people's processes: the command's
entry (`ottla`, `python -m ottla`), `ottla.Broker`, the pytest plugin and test cases for unittest. The broker itself
always runs in a process of its own, because the names of its layers (`broker`, `storage`, `tools`) are names that other
projects have too. So nothing here imports them, and nothing outside the standard library; `import ottla` costs well
under a millisecond.
"""

from __future__ import annotations

TYPE_CHECKING = False  # as in typing, whose import alone costs more than everything else here
if TYPE_CHECKING:
    from ottla.cases import BrokerMixin as BrokerMixin
    from ottla.cases import BrokerTestCase as BrokerTestCase
    from ottla.control import Control as Control
    from ottla.control import ControlError as ControlError
    from ottla.process import Broker as Broker
    from ottla.process import BrokerError as BrokerError

__all__ = ["Broker", "BrokerError", "BrokerMixin", "BrokerTestCase", "Control", "ControlError", "__version__"]
__version__ = "0.1.0"


def __getattr__(name: str) -> object:
    if name in ("Broker", "BrokerError"):
        from ottla import process

        return getattr(process, name)
    if name in ("BrokerMixin", "BrokerTestCase"):
        from ottla import cases

        return getattr(cases, name)
    if name in ("Control", "ControlError"):
        from ottla import control

        return getattr(control, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
