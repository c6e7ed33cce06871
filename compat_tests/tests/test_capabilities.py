"""The names that clients and scenarios use for what a client can do are the same names."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from compat_tests.capabilities import CAPABILITIES
from compat_tests.clients import CLIENTS, client

SCENARIOS = sorted((Path(__file__).parents[1] / "scenarios").glob("test_*.py"))


def needed() -> set[str]:
    """Every name that some scenario gives to `needs`."""
    found: set[str] = set()
    for path in SCENARIOS:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "needs":
                found |= {str(each.value) for each in node.args if isinstance(each, ast.Constant)}
    return found


@pytest.mark.parametrize("folder", CLIENTS)
def test_a_client_lacks_known_capabilities_only_and_says_why(folder: str) -> None:
    """Each gap of a client has a name that scenarios know, and a reason."""
    for capability, reason in client(folder).cannot.items():
        assert capability in CAPABILITIES
        assert len(reason.split()) > 2


def test_scenarios_need_known_capabilities_only() -> None:
    """A misspelt need would skip nothing."""
    assert needed() <= CAPABILITIES.keys()


def test_every_capability_is_needed() -> None:
    """What no scenario needs any more is not listed."""
    codecs = {"gzip", "snappy", "lz4", "zstd"}
    assert CAPABILITIES.keys() - needed() <= codecs
