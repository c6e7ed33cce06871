"""Every operation of the control API, one module for each kind."""

from __future__ import annotations

from typing import Final

from broker.control import fault_operations
from broker.control.app import Operation

OPERATIONS: Final[tuple[Operation, ...]] = (*fault_operations.OPERATIONS,)
