"""A prepared worker is used as long as its sources say the same, however old the files are."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from compat_tests.clients.java.adapter import fetch_jars
from compat_tests.clients.worker import built, built_from


def test_a_fresh_checkout_uses_what_was_prepared(tmp_path: Path) -> None:
    """Sources that are younger than the product, with the same contents, are no reason to skip a client."""
    source, product = tmp_path / "Worker.java", tmp_path / "Worker.class"
    source.write_text("class Worker {}")
    product.touch()
    built(product, source)
    os.utime(source, (2**32, 2**32))
    built_from(product, source)


def test_a_changed_source_wants_preparing(tmp_path: Path) -> None:
    """A product of other sources, or of unknown ones, is not used."""
    source, product = tmp_path / "Worker.java", tmp_path / "Worker.class"
    source.write_text("class Worker {}")
    product.touch()
    with pytest.raises(ImportError, match="changed"):
        built_from(product, source)
    built(product, source)
    source.write_text("class Worker { }")
    with pytest.raises(ImportError, match="changed"):
        built_from(product, source)


MAVEN = f"""#!{sys.executable}
import pathlib, sys
[to] = [word.partition("=")[2] for word in sys.argv if word.startswith("-DoutputDirectory=")]
pathlib.Path(to).mkdir(parents=True)
jar = pathlib.Path(sys.argv[sys.argv.index("-f") + 1]).read_text()
if not jar:
    sys.exit(1)
(pathlib.Path(to) / jar).touch()
"""


def test_a_new_version_replaces_the_old_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only one version of a jar is on the class path; where fetching fails the old ones stay."""
    maven, pom, jars = tmp_path / "bin" / "mvn", tmp_path / "pom.xml", tmp_path / "jars"
    maven.parent.mkdir()
    maven.write_text(MAVEN)
    maven.chmod(0o755)
    monkeypatch.setenv("PATH", str(maven.parent))
    for version in ("client-1.jar", "client-2.jar"):
        pom.write_text(version)
        fetch_jars(pom, jars)
        assert [jar.name for jar in jars.iterdir()] == [version]
    pom.write_text("")
    with pytest.raises(subprocess.CalledProcessError):
        fetch_jars(pom, jars)
    assert [jar.name for jar in jars.iterdir()] == ["client-2.jar"]
