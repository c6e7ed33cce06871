"""franz-go as a scenario's client: the program in the folder worker, built once."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from compat_tests.clients.contract import Driver
from compat_tests.clients.worker import BUILT, PREPARING, WorkerDriver, built, built_from

SOURCE = Path(__file__).parent / "worker"
PROGRAM = BUILT / "franz_go" / "worker"


def prepare() -> None:
    """Build the worker. Raises OSError, SubprocessError."""
    PROGRAM.parent.mkdir(parents=True, exist_ok=True)
    subprocess.run(["go", "build", "-o", str(PROGRAM), "."], cwd=SOURCE, check=True, timeout=PREPARING)
    built(PROGRAM, *sources())


def sources() -> list[Path]:
    """What the worker is built from."""
    return [*(file for file in SOURCE.glob("*.go") if not file.stem.endswith("_test")), SOURCE / "go.mod"]


def version() -> str:
    """That of the module which the worker is built with."""
    found = re.search(r"github.com/twmb/franz-go v(\S+)", (SOURCE / "go.mod").read_text(encoding="utf-8"))
    return found[1] if found else ""


def open_driver() -> Driver:
    """The driver of this client. Raises ImportError when it is not built."""
    built_from(PROGRAM, *sources())
    return WorkerDriver([str(PROGRAM)], copies=True)
