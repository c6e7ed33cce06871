"""Inside a package, imports go down one list of rooms; docs/architecture.md prints the list, and it is read from there.

A *room* is a module or a folder. A line of the list is a floor: its rooms may import those of the floors below, not
each other, and nothing above. What stands in no line belongs to the room of the longest name that it begins with, as
`broker/coordinators/runtime.py` belongs to `coordinators`. Imports for type checkers and in functions count: a module
that names another is read together with it, whenever it is loaded.

The second rule keeps what makes the list possible in `storage/local`: an object is whole when it is constructed, and
only its own methods set its attributes. A part that sets another's attributes has to know it whole.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence

import pytest

from tools.tidy.source_tree import ROOT, Source, python_sources

PACKAGES = ("storage", "storage/local", "broker", "tools")
PAGE = "docs/architecture.md"

Floors = Sequence[Sequence[str]]


def floors(page: str, package: str) -> list[list[str]]:
    """The list of a package's rooms that `page` prints, top first: the block behind "Inside `package`"."""
    _, _, behind = page.partition(f"Inside `{package}`")
    block = behind.partition("```\n")[2].partition("```")[0]
    return [line.partition("  ")[0].split(", ") for line in block.splitlines() if line.strip()]


def room_of(name: str, package: str, listed: Floors) -> str | None:
    """The room of the module `name`, slashes between its parts; None if the list has none for it."""
    inside = name.removeprefix(package + "/")
    parts = inside.split("/")
    rooms = {room for line in listed for room in line}
    names = ("/".join(parts[:count]) for count in range(len(parts), 0, -1))
    return next((candidate for candidate in names if candidate in rooms), None)


def climbs(source: Source, package: str, listed: Floors, modules: set[str]) -> Iterator[str]:
    """Findings: imports of a room that stands beside or above the importing one, and modules without a room."""
    module = source.module.replace(".", "/")
    if source.is_test or not module.startswith(package + "/"):
        return
    height = {room: -number for number, line in enumerate(listed) for room in line}
    room = room_of(module, package, listed)
    if room is None:
        yield source.at(1, f"{module} has no place in the list of rooms inside {package} ({PAGE})")
        return
    for line, name in source.imports():
        target = name if name in modules else name.rpartition(".")[0]
        other = (
            room_of(target.replace(".", "/"), package, listed) if target.startswith(package.replace("/", ".")) else None
        )
        if target not in modules or other in (None, room):
            continue
        assert other is not None
        if height[other] >= height[room]:
            yield source.at(
                line,
                f"{room} imports {other}, which stands {'beside' if height[other] == height[room] else 'above'} it. "
                f"Imports go down the list in {PAGE}: let the upper room pass in what is needed, move what both need "
                f"down, or name what is needed by a protocol in the lower one.",
            )


def attributes_set_from_outside(source: Source) -> Iterator[str]:
    """Findings: statements that set an attribute of another object."""
    for node in ast.walk(source.tree):
        if (
            isinstance(node, ast.Attribute)
            and isinstance(node.ctx, ast.Store | ast.Del)
            and not (isinstance(node.value, ast.Name) and node.value.id == "self")
        ):
            yield source.at(
                node.lineno,
                f"sets {ast.unparse(node)} from outside. An object is whole when it is constructed, and only its own "
                f"methods change it: give it what it needs, or a method that says what has happened.",
            )


@pytest.mark.parametrize("package", PACKAGES)
def test_imports_go_down_the_list_of_rooms(package: str) -> None:
    """No room imports one beside or above it, and every module has a room."""
    listed = floors((ROOT / PAGE).read_text(encoding="utf-8"), package)
    modules = {source.module for source in python_sources()}
    findings = [finding for source in python_sources() for finding in climbs(source, package, listed, modules)]
    assert not findings, "\n" + "\n".join(findings)


@pytest.mark.parametrize("package", PACKAGES)
def test_every_room_in_the_list_is_there(package: str) -> None:
    """The list names what exists, each once."""
    listed = [room for line in floors((ROOT / PAGE).read_text(encoding="utf-8"), package) for room in line]
    assert len(listed) == len(set(listed))
    missing = [room for room in listed if not any((ROOT / package / f"{room}{end}").exists() for end in ("", ".py"))]
    assert listed and not missing


def test_parts_of_the_local_engine_are_whole_when_constructed() -> None:
    """In `storage/local` no statement sets an attribute of another object."""
    sources = [source for source in python_sources() if source.path.startswith("storage/local/")]
    findings = [finding for source in sources for finding in attributes_set_from_outside(source)]
    assert sources and not findings, "\n" + "\n".join(findings)


LISTED = (("server",), ("admin", "coordinators/groups"), ("coordinators",), ("config",))


@pytest.mark.parametrize(
    ("path", "text", "found"),
    [
        ("broker/server.py", "from broker.config import settings", False),
        ("broker/config/keys/logs.py", "import broker.server", True),
        ("broker/config/settings.py", "if TYPE_CHECKING:\n    from broker.coordinators.runtime import Runtime", True),
        ("broker/config/settings.py", "def late():\n    from broker import server", True),
        ("broker/admin/describe.py", "from broker.coordinators.groups.machine import GroupMachine", True),
        ("broker/coordinators/runtime.py", "import broker.coordinators.machine", False),
        ("broker/coordinators/runtime.py", "from broker.coordinators.groups.machine import GroupMachine", True),
        ("broker/coordinators/groups/machine.py", "from broker.coordinators.machine import Machine", False),
        ("broker/page.py", "", True),
        ("broker/tests/test_config.py", "import broker.server", False),
    ],
)
def test_the_list_finds_a_planted_climb(path: str, text: str, found: bool) -> None:
    """Up, aside and without a room are found; down, and within one room, are left alone."""
    source = Source(path, text)
    modules = {"broker.server", "broker.config.settings", "broker.coordinators.runtime", "broker.coordinators.machine",
               "broker.coordinators.groups.machine"}  # fmt: skip
    assert bool(list(climbs(source, "broker", LISTED, modules))) is found


def test_the_list_is_read_from_a_page() -> None:
    """The names of a line end at two spaces; what stands in front of the block is passed over."""
    page = "Inside `broker`, as ever:\n\nWords.\n\n```\nserver        start\na, b/c  both\n```\n```\nother\n```\n"
    assert floors(page, "broker") == [["server"], ["a", "b/c"]]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("log.used = True", True),
        ("self.log.used = True", True),
        ("self.log.used += 1", True),
        ("for segment.held in flags: pass", True),
        ("del log.segments", True),
        ("self.used = True", False),
        ("self.used[3] = log.used", False),
    ],
)
def test_an_attribute_set_from_outside_is_found(text: str, found: bool) -> None:
    """However the statement is written."""
    assert bool(list(attributes_set_from_outside(Source("storage/local/x.py", text)))) is found
