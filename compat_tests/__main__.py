"""`python -m compat_tests`: the scenarios with every client, and the page of their results.

    python -m compat_tests prepare [CLIENT ...]      fetch and build what clients outside Python need, into .compat/
    python -m compat_tests run [pytest's words ...]  all clients on one broker; prints the matrix
    python -m compat_tests page FILE                 all clients on Ottla and, if a command for it is known, on Apache
                                                     Kafka; writes the matrix of both as Markdown
    python -m compat_tests page FILE --from JSON ... the same page from what --outcomes wrote in earlier runs
    python -m compat_tests at CLIENT --outcomes FILE one client on the broker whose address is in the variable
                                                     OTTLA_COMPAT_ADDRESS; also from an installation
    python -m compat_tests tools-page FILE           every option of Kafka's command-line tools, and what shows it
    python -m compat_tests programs-page FILE --from JSON ...
                                                     the page of programs from what --outcomes wrote, a run a broker
    python -m compat_tests copy CLIENT ...           consume, transform, produce exactly once, until it is killed
    python -m compat_tests member CLIENT ...         read as a member of a group, until it is killed

The scenarios themselves are pytest's: `pytest compat_tests` runs them, with the options that README.md lists.
"""

from __future__ import annotations

import argparse
import importlib
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from compat_tests import copying, dying, matrix
from compat_tests.clients import CLIENTS, TOOLS, Missing, client
from compat_tests.clients.kafka_tools.page import page as tools_page

HERE = Path(__file__).parent
CLIENTS_AND_TOOLS = (*CLIENTS, TOOLS)
BESIDE = "programs"
"""What people run beside a broker, which is prepared only when it is named."""
PROGRAMS = {
    "copy": (copying, copying.copy_forever, "consume, transform, produce exactly once"),
    "member": (dying, dying.be_a_member, "read as a member of a group"),
}
"""Programs that are killed: the module with their options, what they do, and that in words."""


def prepare(names: Sequence[str]) -> int:
    """Let each client that can be prepared fetch and build what it needs; the exit status says whether all could."""
    status = 0
    for called, work in preparations(names or CLIENTS_AND_TOOLS):
        try:
            if work():
                print(f"{called}: ready")
        except (ImportError, OSError, subprocess.SubprocessError) as error:
            print(f"{called}: {error}", file=sys.stderr)
            status = 1
    return status


def preparations(names: Sequence[str]) -> Iterator[tuple[str, Callable[[], bool]]]:
    """Each name for people, and what prepares it and says whether there was something to do."""
    for name in names:
        if name == BESIDE:
            kits = importlib.import_module("compat_tests.programs.kits")
            for kit in kits.KITS:
                # What is prepared stays, since some of it is hundreds of megabytes.
                yield kit.name, partial(_prepare_kit, kit)
        else:
            yield client(name).name, partial(_prepare_client, name)


def _prepare_kit(kit: Any) -> bool:
    missing = bool(kit.missing())
    if missing:
        kit.prepare()
    return missing


def _prepare_client(name: str) -> bool:
    work = getattr(importlib.import_module(f"compat_tests.clients.{name}.adapter"), "prepare", None)
    if work is not None:
        work()
    return work is not None


def run(words: Sequence[str]) -> int:
    """pytest's exit status."""
    command = [sys.executable, "-m", "pytest", str(HERE / "scenarios"), "--all-clients", "-q", *words]
    return subprocess.run(command, cwd=HERE.parent, check=False).returncode


CONFIGURATION = "[pytest]\nfilterwarnings = ignore\n"
"""pytest's, away from the source tree."""


def at(name: str, outcomes: Path, only: Sequence[str]) -> int:
    """Play the scenarios of one client, and print how far they are; pytest's exit status.

    `only`: words, one of which has to be in the name of a scenario or of its module.
    """
    import pytest

    with tempfile.TemporaryDirectory() as folder:
        configuration = Path(folder) / "pytest.ini"
        configuration.write_text(CONFIGURATION, encoding="utf-8")
        words = ["-c", str(configuration), "--rootdir", str(HERE), "--import-mode=importlib", "-p", "no:cacheprovider"]
        words += ["--client", name, "--outcomes", str(outcomes), "--progress", "-q", str(HERE / "scenarios")]
        if only:
            words += ["-k", " or ".join(re.sub(r"\W+", "_", word).lower() for word in only)]
        return int(pytest.main(words))


def page_from(path: Path, saved: Sequence[Path]) -> int:
    """Write the page from earlier runs, those on the same broker as one."""
    path.write_text(matrix.page(matrix.merged(map(matrix.Run.load, saved))), encoding="utf-8")
    return 0


def page(path: Path, words: Sequence[str]) -> int:
    """Run on each broker there is, write the page; the exit status says whether all scenarios passed."""
    brokers = ["ottla", "kafka"] if os.environ.get("OTTLA_KAFKA_COMMAND") else ["ottla"]
    status = 0
    runs = []
    with tempfile.TemporaryDirectory() as folder:
        for broker in brokers:
            outcomes = Path(folder) / f"{broker}.json"
            status |= run(["--launch", broker, "--outcomes", str(outcomes), *words])
            runs.append(matrix.Run.load(outcomes))
    path.write_text(matrix.page(runs), encoding="utf-8")
    return status


def main(words: Sequence[str] | None = None) -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m compat_tests", description=__doc__.partition("\n")[0])
    commands = parser.add_subparsers(dest="command", required=True)
    preparing = commands.add_parser("prepare", help="fetch and build what clients outside Python need")
    preparing.add_argument("clients", nargs="*", choices=[*CLIENTS_AND_TOOLS, BESIDE, []])
    commands.add_parser("run", help="all clients on one broker; further words go to pytest", add_help=False)
    writing = commands.add_parser("page", help="write the matrix of all clients and brokers as Markdown")
    writing.add_argument("file", type=Path)
    writing.add_argument("--from", type=Path, nargs="+", dest="saved", metavar="JSON", help="what --outcomes wrote")
    one = commands.add_parser("at", help="one client on a broker that runs already")
    one.add_argument("client", choices=CLIENTS_AND_TOOLS)
    one.add_argument("--outcomes", type=Path, required=True, metavar="FILE", help="write every outcome as JSON")
    one.add_argument("--only", action="append", default=[], metavar="WORD", help="scenarios with that in their names")
    commands.add_parser("tools-page", help="write the page about Kafka's command-line tools").add_argument(
        "file", type=Path
    )
    beside = commands.add_parser("programs-page", help="write the page about programs beside a broker")
    beside.add_argument("file", type=Path)
    beside.add_argument("--from", type=Path, nargs="+", dest="saved", metavar="JSON", required=True)
    for name, (module, work, does) in PROGRAMS.items():
        program = commands.add_parser(name, help=f"{does}, until it is killed")
        program.add_argument("client", choices=CLIENTS)
        program.set_defaults(work=work)
        module.add_options(program)
    chosen, rest = parser.parse_known_args(words)
    if chosen.command == "prepare":
        return prepare(chosen.clients)
    if chosen.command in PROGRAMS:
        try:
            chosen.work(client(chosen.client), chosen)
        except Missing as missing:
            print(missing, file=sys.stderr)
            return 2
    if chosen.command == "at":
        return at(chosen.client, chosen.outcomes, chosen.only)
    if chosen.command == "run":
        return run(rest)
    if chosen.command == "tools-page":
        chosen.file.write_text(tools_page(), encoding="utf-8")
        return 0
    if chosen.command == "programs-page":
        programs_page = importlib.import_module("compat_tests.programs.page").page
        chosen.file.write_text(programs_page(matrix.merged(map(matrix.Run.load, chosen.saved))), encoding="utf-8")
        return 0
    return page_from(chosen.file, chosen.saved) if chosen.saved else page(chosen.file, rest)


if __name__ == "__main__":
    sys.exit(main())
