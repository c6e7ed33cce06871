"""Who may import whom: `kproto <- storage <- broker <- tools`, each layer only those to its left.

`compat_tests` imports none of them: it sees the broker through a socket, like any client. `ottla` runs in users'
processes, where `broker`, `storage` and `tools` are other people's names, so it imports none either; its one exception
is the function that has just made the process the command's own.
"""

from __future__ import annotations

import sys
import tomllib
from collections.abc import Iterable, Iterator

import pytest

from tools.tidy.source_tree import PACKAGES, ROOT, Source, python_sources

MAY_IMPORT = {
    "kproto": {"kproto"},
    "storage": {"storage", "kproto"},
    "broker": {"broker", "storage", "kproto"},
    "tools": {"tools", "broker", "storage", "kproto", "ottla"},
    "compat_tests": {"compat_tests"},
    "ottla": {"ottla"},
}
# Folders of the source tree that the wheel leaves out (pyproject.toml).
NOT_SHIPPED = {"tests", "testing", "trials", "tidy"}
FORWARDING = ("ottla/__main__.py", "tools.__main__.main")

ENGINES = ("storage.local", "storage.memory", "storage.object")
NAME_ENGINES = (
    "broker/engines.py",
    "broker/shared_engine.py",
    "broker/testing/",  # an engine to test with
    "tools/log_files/",  # reads the files of the local engine, whose format is public
    "tools/log_check/",  # likewise
    "tools/cluster/",  # looks at, and moves, what a cluster stands on
    "tools/trials/",  # instruments that try one engine
)

LATER_STDLIB = {"compression"}
"""Modules that the standard library of the oldest Python has not got yet."""

# What each layer may use of the installed dependencies. kproto does no I/O, so it has no use for an event loop.
DISTRIBUTIONS = {
    "kproto": {"crc32c", "cramjam", "backports.zstd"},
    "storage": {"trio", "structlog", "obstore", "psycopg", "psycopg-binary"},
    "broker": {
        "trio",
        "structlog",
        "google-re2",
        "xxhash",
        "cryptography",
        "joserfc",
        "hypercorn",
        "starlette",
        "prometheus-client",
    },
    "ottla": set[str](),
}
EXTRAS = ("security", "metrics", "control", "cluster")
"""What users install by `ottla[security]` and so on: named in pyproject.toml apart, and imported only when it is asked
for."""
IMPORTED_AS = {"google-re2": "re2", "prometheus-client": "prometheus_client"}
"""Distributions whose module has another name."""


def layering(source: Source) -> Iterator[str]:
    """Findings: imports of a layer that stands above, or beside, the importing one."""
    allowed = MAY_IMPORT.get(source.package)
    if allowed is None:
        return
    for line, name in source.imports():
        top = name.partition(".")[0]
        if top in PACKAGES and top not in allowed and (source.path, name) != FORWARDING:
            yield source.at(
                line,
                f"{source.package} imports {name}. Imports go one way, kproto <- storage <- broker <- tools, so that "
                f"each layer can be read, tested and replaced without those above; let the upper layer pass in what "
                f"is needed, or move what both need down.",
            )


def handlers_stay_behind_their_table(source: Source) -> Iterator[str]:
    """Findings: imports of a single handler by its siblings or by anything below; `handler` is the contract of all."""
    if source.is_test or source.path in ("broker/handlers/__init__.py", "broker/network/dispatch.py"):
        return
    for line, name in source.imports():
        package, _, rest = name.partition("broker.handlers.")
        handler = rest.partition(".")[0]
        if not package and handler.islower() and handler != "handler":
            yield source.at(
                line,
                f"imports {name}. Only the table in broker/handlers/__init__.py and the dispatch above it know "
                f"handlers one by one; what two handlers share belongs into the layer below them.",
            )


def shipped_needs_no_instrument(source: Source) -> Iterator[str]:
    """Findings: imports, by a file that is installed, of what only the source tree has."""
    if source.is_test or NOT_SHIPPED & set(source.path.split("/")):
        return
    for line, name in source.imports():
        if name.partition(".")[0] in PACKAGES and NOT_SHIPPED & set(name.split(".")):
            yield source.at(line, f"imports {name}, which no wheel has; move what both need down.")


def engines_stay_behind_their_contract(source: Source) -> Iterator[str]:
    """Findings: imports of a storage engine where only the contract, `storage/engine.py`, is to be known."""
    if source.is_test or source.package == "storage" or source.path.startswith(NAME_ENGINES):
        return
    for line, name in source.imports():
        if name.startswith(ENGINES):
            yield source.at(
                line,
                f"imports {name}. Which engine there is only broker/engines.py knows, and everything else the contract "
                f"in storage/engine.py, so that another engine can take its place; what is needed of one and every "
                f"engine has belongs into the contract.",
            )


def distributions(source: Source) -> Iterator[str]:
    """Findings: imports of an installed package that the layer has no use for."""
    allowed = {IMPORTED_AS.get(name, name) for name in DISTRIBUTIONS.get(source.package, ())}
    if source.package not in DISTRIBUTIONS or source.is_test or source.path == "ottla/pytest_plugin.py":
        return
    for line, name in source.imports():
        top = name.partition(".")[0]
        known = top in PACKAGES or top in sys.stdlib_module_names | LATER_STDLIB or top == "__future__"
        if not known and not {top, name} & allowed and name.rpartition(".")[0] not in allowed:
            usual = ", ".join(sorted(allowed)) or "the standard library"
            yield source.at(
                line,
                f"{source.package} imports {top}. This layer uses {usual} only; every other dependency is one more "
                f"thing that users install.",
            )


def cycles(sources: Iterable[Source]) -> list[list[str]]:
    """The groups of modules that cannot be read one after the other, each sorted.

    Imports for type checkers and in functions count: such a circle loads, but none of its modules can be understood, or
    replaced, without all the others. A package may name its own modules.
    """
    modules = {source.module: source for source in sources}
    graph: dict[str, set[str]] = {}
    for module, source in modules.items():
        graph[module] = set()
        for _, name in source.imports():
            target = name if name in modules else name.rpartition(".")[0]
            if target in modules and target != module and not module.startswith(f"{target}."):
                graph[module].add(target)
    found = []
    while graph:
        # What imports nothing that is left can be read, and what no module left imports is not part of a cycle.
        imported = set().union(*graph.values())
        removable = {module for module, targets in graph.items() if not targets or module not in imported}
        if not removable:
            found.append(sorted(graph))
            break
        graph = {module: targets - removable for module, targets in graph.items() if module not in removable}
    return found


@pytest.mark.parametrize(
    "rule",
    [
        layering,
        handlers_stay_behind_their_table,
        engines_stay_behind_their_contract,
        shipped_needs_no_instrument,
        distributions,
    ],
)
def test_the_tree_keeps_the_layering(rule: object) -> None:
    """Imports go one way only, everywhere in the tree."""
    assert callable(rule)
    findings = [finding for source in python_sources() for finding in rule(source)]
    assert not findings, "\n" + "\n".join(findings)


def test_no_modules_import_each_other() -> None:
    """Any module can be read with only those that it imports: no circle has to be entered somewhere."""
    found = cycles(source for source in python_sources() if not source.is_test)
    assert not found, f"these import each other; move what they share below both: {found}"


def test_the_cycle_check_finds_a_planted_cycle() -> None:
    """Three modules in a circle are found, one hanging on it is not; an import that is never run closes it as well."""
    circle = [
        Source("storage/a.py", "import storage.b"),
        Source("storage/b.py", "from storage.c import x"),
        Source("storage/c.py", "from storage import a"),
        Source("storage/d.py", "import storage.a"),
    ]
    assert cycles(circle) == [["storage.a", "storage.b", "storage.c"]]
    for hidden in ("if TYPE_CHECKING:\n    from storage import a", "def f():\n    import storage.a"):
        assert cycles([*circle[:2], Source("storage/c.py", hidden)]) == [["storage.a", "storage.b", "storage.c"]]
    assert cycles(circle[:2]) == []


@pytest.mark.parametrize(
    ("path", "text", "found"),
    [
        ("kproto/batches/header.py", "import storage.engine", True),
        ("kproto/batches/header.py", "from kproto import errors", False),
        ("storage/local/log.py", "def f():\n    from broker.context import RequestContext", True),
        ("storage/local/log.py", "from ..engine import LogStore", False),
        ("storage/local/log.py", "from ...broker import config", True),
        ("storage/tests/test_log.py", "import broker", True),
        ("broker/server.py", "import importlib\nimportlib.import_module('tools.bench')", True),
        ("broker/server.py", "import storage.engine, kproto.errors", False),
        ("tools/bench.py", "from ottla import Broker", False),
        ("compat_tests/scenarios/test_groups.py", "import ottla", True),
        ("ottla/process.py", "import broker.server", True),
        ("ottla/__main__.py", "def main():\n    from tools.__main__ import main", False),
        ("ottla/__main__.py", "from tools.commands.serve import main", True),
    ],
)
def test_the_layering_check_finds_a_planted_violation(path: str, text: str, found: bool) -> None:
    """An import against the direction is found however it is spelt, and a right one is left alone."""
    assert bool(list(layering(Source(path, text)))) is found


@pytest.mark.parametrize(
    ("path", "text", "found"),
    [
        ("broker/handlers/fetch.py", "from broker.handlers import produce", True),
        ("broker/partitions.py", "import broker.handlers.fetch", True),
        ("broker/handlers/fetch.py", "from broker.handlers.handler import Handler", False),
        ("broker/server.py", "from broker.handlers import HANDLERS", False),
        ("broker/handlers/__init__.py", "from broker.handlers import produce", False),
    ],
)
def test_the_handler_check_finds_a_planted_violation(path: str, text: str, found: bool) -> None:
    """A handler that borrows from another one is found; the table may name them all."""
    assert bool(list(handlers_stay_behind_their_table(Source(path, text)))) is found


def test_the_instrument_check_finds_a_planted_violation() -> None:
    """A shipped file that borrows from an instrument is found; a test and an instrument may borrow."""
    borrowing = "from tools.trials.brokers import ottla"
    assert list(shipped_needs_no_instrument(Source("tools/commands/serve.py", borrowing)))
    assert not list(shipped_needs_no_instrument(Source("tools/trials/fuzz/hunt.py", borrowing)))
    assert not list(shipped_needs_no_instrument(Source("tools/tests/test_wheel.py", borrowing)))


@pytest.mark.parametrize(
    ("path", "text", "found"),
    [
        ("broker/server.py", "def f():\n    from storage.local.engine import LocalStore", True),
        ("broker/partitions.py", "if TYPE_CHECKING:\n    from storage.memory.engine import MemoryLog", True),
        ("tools/commands/serve.py", "import storage.local.checkpoints", True),
        ("broker/engines.py", "from storage.local.engine import LocalStore", False),
        ("tools/log_check/partition.py", "from storage.local.segment import file_name", False),
        ("broker/server.py", "from storage.engine import LogStore", False),
        ("broker/tests/test_server.py", "from storage.local.engine import LocalStore", False),
    ],
)
def test_the_engine_check_finds_a_planted_violation(path: str, text: str, found: bool) -> None:
    """An engine named beside `broker/engines.py` is found, for type checkers only or in a function as well."""
    assert bool(list(engines_stay_behind_their_contract(Source(path, text)))) is found


def test_the_distribution_check_finds_a_planted_violation() -> None:
    """A new dependency in a layer is found, and so is the event loop in the layer that does no I/O."""
    assert list(distributions(Source("kproto/connection.py", "import trio")))
    assert list(distributions(Source("ottla/process.py", "import psutil")))
    assert not list(distributions(Source("broker/server.py", "import trio, json")))


def test_every_distribution_is_declared() -> None:
    """What the layers may import is what pyproject.toml makes pip install, no more and no less."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    requirements = [
        *project["dependencies"],
        *(each for extra in EXTRAS for each in project["optional-dependencies"][extra]),
    ]
    declared = {requirement.partition(">=")[0].partition(";")[0] for requirement in requirements}
    assert set().union(*DISTRIBUTIONS.values()) == declared
