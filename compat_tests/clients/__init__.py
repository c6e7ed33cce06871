"""The clients, one folder each: `__init__.py` says what the client is and cannot do, `adapter.py` drives it.

Adding one means a folder and a line in `CLIENTS`. `__init__.py` of a client's folder must load without the client.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import cast

from compat_tests.clients.contract import Driver

# In the order of the matrix. The first ones need nothing but Python packages, or one command: they are the others where
# a scenario has its client meet some.
AT_HAND = ("kafka_python", "confluent_kafka", "aiokafka", "kcat")
CLIENTS = (*AT_HAND, "java", "kafkajs", "franz_go")
# Not a client in the sense of the contract: a folder of programs with scenarios of their own.
TOOLS = "kafka_tools"


class Missing(Exception):
    """This machine does not have the client; the message says what is missing."""


@dataclass(frozen=True)
class Client:
    """One row of the matrix: its folder, its name for people, what it needs to run, what it cannot do and why."""

    folder: str
    name: str
    needs: str
    cannot: Mapping[str, str]

    def open_driver(self) -> Driver:
        """Load and start it. Raises Missing."""
        try:
            adapter = import_module(f"{__name__}.{self.folder}.adapter")
            return cast(Driver, adapter.open_driver())
        except ImportError as error:
            raise Missing(f"{self.needs} is not here ({error})") from error

    def version(self) -> str:
        """The version of it that is here; nothing when it is not."""
        try:
            # A library's warnings are its own; where reports are only gathered it has not been imported yet.
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                return str(import_module(f"{__name__}.{self.folder}.adapter").version())
        except (ImportError, OSError):
            return ""


def client(folder: str) -> Client:
    """The client in a folder."""
    module = import_module(f"{__name__}.{folder}")
    return Client(folder, module.NAME, module.NEEDS, module.CANNOT)
