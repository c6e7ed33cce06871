"""kafkajs as a scenario's client: worker.js on what package.json names."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

from compat_tests.clients.contract import Driver
from compat_tests.clients.worker import BUILT, PREPARING, WorkerDriver, built, built_from

HERE = Path(__file__).parent
MODULES = BUILT / "kafkajs"


def prepare() -> None:
    """Install the packages. Raises OSError, SubprocessError."""
    MODULES.mkdir(parents=True, exist_ok=True)
    shutil.copy(HERE / "package.json", MODULES)
    quietly = ["--no-package-lock", "--no-audit", "--no-fund", "--loglevel=error"]
    subprocess.run(["npm", "install", *quietly], cwd=MODULES, check=True, timeout=PREPARING)
    built(MODULES / "node_modules", HERE / "package.json")


def version() -> str:
    """The package's."""
    described = json.loads((MODULES / "node_modules" / "kafkajs" / "package.json").read_text(encoding="utf-8"))
    return str(described["version"])


def open_driver() -> Driver:
    """The driver of this client. Raises ImportError when something is not there."""
    if shutil.which("node") is None:
        raise ImportError("no node on the path")
    built_from(MODULES / "node_modules", HERE / "package.json")
    # Partitioner and timeout warnings are of no use here.
    environment = {
        "NODE_PATH": str(MODULES / "node_modules"),
        "NODE_NO_WARNINGS": "1",
        "KAFKAJS_NO_PARTITIONER_WARNING": "1",
    }
    return WorkerDriver(["node", str(HERE / "worker.js")], environment)
