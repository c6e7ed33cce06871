"""Every command that docs/command-line.md and the README show is run, and prints what the page says."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import NamedTuple

import pytest

from ottla import Broker
from tools.__main__ import VERBS

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "command-line.md").read_text(encoding="utf-8")
README = (ROOT / "README.md").read_text(encoding="utf-8")
CONFIG = {
    "group.initial.rebalance.delay.ms": 0,
    "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
    "super.users": "User:ANONYMOUS",
}


class Shown(NamedTuple):
    """A command on a page, and the lines below it."""

    command: str
    printed: str


def shown(page: str) -> list[Shown]:
    """The commands in the console blocks of a page, in order."""
    found = []
    for block in re.findall(r"```console\n(.*?)```", page, flags=re.DOTALL):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, _, printed = part.partition("\n")
            found.append(Shown(command.partition("  #")[0].strip(), printed))
    return found


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The environment of a shell that finds `ottla`, and a broker where it looks for one."""
    folder = tmp_path_factory.mktemp("bin")
    (folder / "ottla").write_text(f'#!/bin/sh\nexec {sys.executable} -P {ROOT}/ottla/__main__.py "$@"\n')
    (folder / "ottla").chmod(0o755)
    with Broker(config=CONFIG) as broker:
        path = f"{folder}{os.pathsep}{os.environ['PATH']}"
        yield {**os.environ, "PATH": path, "OTTLA_BOOTSTRAP_SERVER": broker.bootstrap_servers, "LC_ALL": "C"}


@pytest.mark.skipif(sys.platform == "win32", reason="needs a POSIX shell")
def test_the_page_is_true(shell: dict[str, str]) -> None:
    """Its commands one after the other, as a reader would type them; `...` stands for what differs each time."""
    commands = shown(PAGE)
    assert len(commands) >= 30
    for command, printed in commands:
        done = subprocess.run(["sh", "-c", command], env=shell, capture_output=True, text=True, timeout=60, check=False)
        expected = ".*".join(re.escape(part) for part in printed.split("..."))
        assert re.fullmatch(expected, done.stdout or done.stderr), f"{command}\n{done.stdout}{done.stderr}"


def test_the_page_has_every_verb_and_every_action() -> None:
    """Those that ask a cluster in the table beside other tools, with all their actions."""
    table = PAGE.partition("## Beside other tools")[2]
    for name, verb in VERBS.items():
        if name in ("serve", "completion"):
            continue
        rows = [line.partition(" | ")[0] for line in table.splitlines() if f"`{name}" in line or f", `{name}`" in line]
        assert rows, name
        actions = getattr(import_module(verb.target.partition(":")[0]), "ACTIONS", {})
        missing = [action for action in actions if not any(f"{action}`" in row for row in rows)]
        assert not missing, f"{name}: {missing}"


@pytest.mark.skipif(sys.platform == "win32", reason="needs a POSIX shell")
def test_the_readme_s_commands_are_done(shell: dict[str, str], tmp_path: Path) -> None:
    """Those that ask a cluster, one after the other; those that serve, each until it is ready, on a free port. Those
    that take a port for HTTP are understood and no more: the page and the metrics have tests of their own."""
    commands = [command for command, _ in shown(README) if "ottla " in command]
    assert len(commands) >= 8
    (tmp_path / "server.properties").write_text("num.network.threads=3\n")
    for command in commands:
        if "ottla-cluster/" in command:
            continue  # asks the brokers of `make cluster`, whose verbs have tests of their own
        if {"page", "--page", "--metrics"} & set(command.split()):
            name, *words = command.split()[1:]
            import_module(VERBS[name].target.partition(":")[0]).parser().parse_args(words)
            continue
        if not command.startswith("ottla serve"):
            done = subprocess.run(
                ["sh", "-c", command], env=shell, capture_output=True, text=True, timeout=60, check=False
            )
            assert done.returncode == 0, f"{command}\n{done.stderr}"
            continue
        line = f"exec {command}" + ("" if "--port" in command else " --port 0")
        with subprocess.Popen(
            ["sh", "-c", line], env=shell, cwd=tmp_path, stdout=subprocess.PIPE, text=True
        ) as serving:
            try:
                assert serving.stdout is not None and serving.stdout.readline().startswith("ready "), command
            finally:
                serving.terminate()
