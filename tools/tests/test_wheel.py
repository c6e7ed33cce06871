"""The installed wheel: one name in site-packages, and a broker that runs beside the user's packages of like names."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

from ottla import Broker
from tools.__main__ import VERBS

ROOT = Path(__file__).parents[2]
DEPENDENCIES = ("trio", "crc32c", "structlog", "cramjam")
LAYERS = ("kproto", "storage", "broker", "tools")
NOT_SHIPPED = {"tests", "testing", "trials", "tidy", "programs", "__pycache__"}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from the source tree."""
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run([sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder], cwd=ROOT, check=True)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def site_packages(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh environment with the wheel in it; it sees this one's installed packages after its own."""
    environment = tmp_path_factory.mktemp("environment")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", environment], check=True)
    paths = sysconfig.get_paths("venv", {"base": str(environment), "platbase": str(environment)})
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", "--python", str(environment)]
    subprocess.run([*pip, "install", "--no-deps", "--no-index", str(wheel)], check=True)
    return Path(paths["purelib"])


def with_dependencies(site_packages: Path, *more: str) -> Path:
    """Let the environment see the distributions that the wheel asks for, and `more`; returns its folder of commands."""
    folders = set()
    for name in (*DEPENDENCIES, *more):
        found = importlib.util.find_spec(name)
        assert found is not None and found.origin is not None
        folders.add(str(Path(found.origin).parents[1]))
    (site_packages / "dependencies.pth").write_text("\n".join(sorted(folders)))
    return site_packages.parents[2] / "bin" if os.name != "nt" else site_packages.parents[1] / "Scripts"


def test_the_wheel_puts_one_name_into_site_packages(site_packages: Path) -> None:
    """Besides its own metadata, nothing but `ottla` is added: the layers' names stay the user's."""
    names = {path.name for path in site_packages.iterdir()}
    assert {name for name in names if not name.endswith(".dist-info")} == {"ottla"}


def test_the_wheel_has_the_layers_and_neither_tests_nor_instruments(wheel: Path) -> None:
    """Every module and data file of the layers is shipped beneath `ottla`; tests and instruments are not."""
    shipped = {name for name in zipfile.ZipFile(wheel).namelist() if name.startswith("ottla/")}
    expected = {
        f"ottla/_packages/{path.relative_to(ROOT).as_posix()}"
        for layer in (*LAYERS, "compat_tests")
        for path in (ROOT / layer).rglob("*")
        if path.is_file() and not NOT_SHIPPED & set(path.relative_to(ROOT).parts)
    }
    assert {name for name in shipped if name.startswith("ottla/_packages/")} == expected
    assert not [name for name in shipped if NOT_SHIPPED & set(name.split("/"))]
    assert {"ottla/__init__.py", "ottla/__main__.py", "ottla/process.py", "ottla/py.typed"} <= shipped


# What a user's project might do with its own packages of these names, and with the broker.
PROJECT = """
import os

import broker, kproto, storage, tools
import kafka
import ottla

assert {each.OURS for each in (broker, kproto, storage, tools)} == {"the user's"}
with ottla.Broker() as running:
    print(os.path.dirname(ottla.__file__), flush=True)
    producer = kafka.KafkaProducer(bootstrap_servers=running.bootstrap_servers)
    producer.send("orders", b"one of two").get(timeout=30)
    producer.close()
    consumer = kafka.KafkaConsumer(
        "orders", bootstrap_servers=running.bootstrap_servers, group_id="shop", auto_offset_reset="earliest"
    )
    print(next(consumer).value.decode(), flush=True)
    consumer.close()
"""


def test_the_installed_broker_is_used_beside_packages_of_the_same_names(site_packages: Path, tmp_path: Path) -> None:
    """In a project with its own `broker`, `storage` and `tools`, a client uses `ottla.Broker`; the command works."""
    for name in LAYERS:
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text(
            "import sys\nif 'serve' in sys.argv: sys.exit('a decoy was imported')\nOURS = \"the user's\"\n"
        )
    binaries = with_dependencies(site_packages, "kafka")
    project = tmp_path / "project.py"
    project.write_text(PROJECT)
    done = subprocess.run(
        [binaries / "python", project], cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    where, received = done.stdout.splitlines()
    assert Path(where) == site_packages / "ottla"
    assert received == "one of two"


@pytest.mark.parametrize("verb", ["", *VERBS])
def test_every_shipped_verb_has_its_help(site_packages: Path, tmp_path: Path, verb: str) -> None:
    """`ottla VERB --help` of an installed wheel prints usage: no verb needs what only the source tree has."""
    ottla = with_dependencies(site_packages) / "ottla"
    done = subprocess.run(
        [ottla, *filter(None, [verb]), "--help"], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"usage: ottla {verb}")


def test_the_installed_judge_compares_a_broker(site_packages: Path, tmp_path: Path) -> None:
    """`ottla compat` of an installed wheel has Kafka's answers, the scenarios of clients, and its page."""
    ottla = with_dependencies(site_packages, "pytest", "kafka", "jinja2") / "ottla"
    only = ["--only", "DescribeCluster/brokers", "--only", "a_left_group_is_deleted"]
    with Broker() as broker:
        words = ["compat", "-b", broker.bootstrap_servers, "--to", "found", "--clients", "kafka_python", *only]
        done = subprocess.run([ottla, *words], cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done
    assert "1 scenarios of 1 clients played, 0 come out differently" in done.stdout
    assert (tmp_path / "found" / "index.html").exists()
