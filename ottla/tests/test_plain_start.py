"""What a plain start loads: start-up time and idle memory are features, and both are mostly imports.

Whatever a feature needs is imported when it is asked for. A broker that is started as the README says, and has not been
asked anything yet, has loaded the distributions listed here and no others, and none of Ottla's own rooms that are for
what was not asked for.
"""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

DISTRIBUTIONS = {
    "attr",
    "attrs",
    "crc32c",
    "idna",
    "outcome",
    "sniffio",
    "sortedcontainers",
    "trio",
}
"""Top-level modules from site-packages: trio, what trio imports, and what every batch needs."""

ASLEEP = (
    "broker.authentication", "broker.backups", "broker.control", "broker.coordinators.cluster.tokens",
    "broker.coordinators.groups", "broker.coordinators.shards", "broker.coordinators.transactions",
    "broker.delegation_tokens", "broker.fetching", "broker.quotas.quotas", "broker.security.sasl",
    "broker.security.tokens", "broker.web", "storage.local", "storage.portable", "tools.client", "tools.output",
    "tools.page",
)  # fmt: skip
"""Rooms of Ottla's own that a plain start leaves alone."""

HEAVY = ("asyncio", "http", "email", "encodings.idna", "sqlite3", "stringprep", "xml", "multiprocessing", "unittest")
"""Parts of the standard library that have no business here."""

SCRIPT = """
import json, signal, sys, sysconfig
before = set(sys.modules)
from ottla.__main__ import main
def ready(host, port):
    sites = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
    found = {}
    for name in set(sys.modules) - before:
        file = getattr(sys.modules[name], "__file__", None) or ""
        found[name] = any(file.startswith(site) for site in sites)
    print(json.dumps(found))
    signal.raise_signal(signal.SIGTERM)
import tools.commands.serve as serve
serve.Announcement.make = lambda self, host, port: ready(host, port)
sys.argv = ["ottla", "serve", "--memory", "--port", "0"]
sys.exit(main())
"""


@pytest.fixture(scope="module")
def loaded() -> dict[str, bool]:
    """The modules that are there when the broker is ready; True for those from site-packages."""
    script = "import ottla.__main__\n" + SCRIPT
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=60)
    assert run.returncode == 0, run.stderr
    found: dict[str, bool] = json.loads(run.stdout.splitlines()[0])
    return found


def test_the_distributions_are_those_on_the_list(loaded: dict[str, bool]) -> None:
    """One more is start-up time and memory for all users."""
    found = {name.partition(".")[0] for name, is_installed in loaded.items() if is_installed}
    assert {name for name in found if not name.startswith("_")} <= DISTRIBUTIONS, "import it where it is asked for"


def test_nothing_that_was_not_asked_for_is_awake(loaded: dict[str, bool]) -> None:
    """W3: Neither of ours nor of the standard library."""
    rooms = (*ASLEEP, *HEAVY)
    assert [name for name in loaded if name in rooms or name.startswith(tuple(f"{room}." for room in rooms))] == []
