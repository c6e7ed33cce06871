"""The project's own source files as the tidy tests see them: paths, text, syntax trees, and who imports what.

A rule is a function from one `Source` to findings, so every rule can be tried on a planted violation as well as on the
tree. A finding is one line, `path:line: what is wrong and what to do instead`.
"""

from __future__ import annotations

import ast
import functools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGES = ("kproto", "storage", "broker", "tools", "compat_tests", "ottla")


@dataclass(frozen=True)
class Source:
    """One file: `path` relative to the repository with forward slashes, and its text."""

    path: str
    text: str

    @functools.cached_property
    def tree(self) -> ast.Module:
        """The syntax tree. Raises SyntaxError."""
        return ast.parse(self.text, self.path)

    @property
    def package(self) -> str:
        """The top-level folder the file is in."""
        return self.path.partition("/")[0]

    @property
    def is_test(self) -> bool:
        """Whether the file is a test or belongs to tests only."""
        return "/tests/" in self.path or self.path.startswith(("compat_tests/", "tools/tidy/"))

    @property
    def module(self) -> str:
        """The dotted name that the file is imported by."""
        return self.path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")

    def imports(self) -> Iterator[tuple[int, str]]:
        """(line, dotted name) of each thing imported anywhere in the file, `from a import b` as `a.b`.

        A relative import is resolved; a literal given to `import_module` or `__import__` counts as an import.
        """
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                yield from ((node.lineno, alias.name) for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                base = node.module or ""
                if node.level:
                    levels_up = node.level - (1 if self.path.endswith("/__init__.py") else 0)
                    parts = self.module.split(".")
                    base = ".".join(parts[: len(parts) - levels_up] + ([base] if base else []))
                yield from ((node.lineno, f"{base}.{alias.name}") for alias in node.names)
            elif isinstance(node, ast.Call):
                name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
                literal = node.args[0] if node.args else None
                if name in ("import_module", "__import__") and isinstance(literal, ast.Constant):
                    yield node.lineno, str(literal.value)

    def at(self, line: int, problem: str) -> str:
        """A finding."""
        return f"{self.path}:{line}: {problem}"


@functools.cache
def python_sources() -> tuple[Source, ...]:
    """Every Python file of the project's packages and its root, tests included."""
    paths = [path for package in PACKAGES for path in (ROOT / package).rglob("*.py")]
    return tuple(_read(path) for path in sorted([*paths, *ROOT.glob("*.py")]))


@functools.cache
def text_sources() -> tuple[Source, ...]:
    """Every Python file, page and build file that people wrote."""
    pages = [path for folder in ("docs", *PACKAGES) for path in (ROOT / folder).rglob("*.md")]
    others = [*ROOT.glob("*.md"), *ROOT.glob("*.toml"), ROOT / "Makefile", ROOT / ".ci" / "run"]
    return python_sources() + tuple(_read(path) for path in sorted([*pages, *others]))


def _read(path: Path) -> Source:
    return Source(path.relative_to(ROOT).as_posix(), path.read_text(encoding="utf-8"))
