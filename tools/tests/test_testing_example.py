"""The project in `examples/testing`: its tests pass with the installed wheel, and its programs bring a broker back."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

import ottla
from tools.tests import test_wheel

PROJECT = Path(__file__).parents[2] / "examples" / "testing"

wheel, site_packages = test_wheel.wheel, test_wheel.site_packages


def test_its_tests_pass_with_the_installed_wheel(site_packages: Path, tmp_path: Path) -> None:
    """In an environment of its own, in parallel; unittest runs its part alone."""
    binaries = test_wheel.with_dependencies(site_packages, "kafka", "pytest", "xdist")
    project = tmp_path / "shop"
    shutil.copytree(PROJECT, project, ignore=shutil.ignore_patterns("__pycache__"))
    python = binaries / "python"
    for words, ends in (
        (["-m", "pytest", "-q", "-p", "no:cacheprovider", "-n", "2", "--dist", "loadfile"], "7 passed"),
        (["-m", "unittest", "-q", "tests/test_shop_unittest.py"], "OK"),
    ):
        done = subprocess.run([python, *words], cwd=project, capture_output=True, text=True, timeout=150, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        assert ends in (done.stdout + done.stderr).strip().splitlines()[-1]


@pytest.mark.parametrize(
    ("needs", "words"),
    [("java", ("java", "java/Control.java")), ("node", ("node", "node/control.js"))],
    ids=["java", "node"],
)
def test_other_languages_bring_a_broker_back(needs: str, words: tuple[str, ...]) -> None:
    """Java and Node.js: a snapshot, a reset, and the snapshot again."""
    if shutil.which(needs) is None:
        pytest.skip(f"{words[1]} IS NOT RUN: {needs} is not here")

    def run(broker: ottla.Broker, command: str) -> None:
        program = [words[0], str(PROJECT / words[1]), broker.control.address, command]
        done = subprocess.run(program, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, done.stderr

    with ottla.Broker(control=True) as broker:
        broker.create_topic("orders")
        run(broker, "snapshot")
        run(broker, "reset")
        broker.create_topic("orders")  # it is not there any more
        broker.create_topic("later")
        run(broker, "restore")
        broker.create_topic("later")  # nor this one
        with pytest.raises(ottla.BrokerError, match="already exists"):
            broker.create_topic("orders")
