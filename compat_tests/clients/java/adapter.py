"""The Java client as a scenario's client: Worker.java on Kafka's own client jars.

The jars come from the class path in OTTLA_KAFKA_JARS (`folder/*` works), else through Maven from pom.xml beside this
file.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

from compat_tests.clients.contract import Driver
from compat_tests.clients.worker import BUILT, PREPARING, WorkerDriver, built, built_from

HERE = Path(__file__).parent
JARS, CLASSES = BUILT / "java" / "jars", BUILT / "java" / "classes"
SOURCES = (HERE / "Worker.java", HERE / "pom.xml")


def prepare() -> None:
    """Fetch the jars and compile the worker. Raises OSError, SubprocessError."""
    CLASSES.mkdir(parents=True, exist_ok=True)
    if "OTTLA_KAFKA_JARS" not in os.environ:
        fetch_jars(HERE / "pom.xml", JARS)
    compiler = ["javac", "-nowarn", "-cp", class_path(), "-d", str(CLASSES)]
    subprocess.run([*compiler, str(HERE / "Worker.java")], check=True, timeout=PREPARING)
    built(CLASSES / "Worker.class", *SOURCES)


def fetch_jars(pom: Path, folder: Path) -> None:
    """Fill a folder with what a pom.xml names, and with nothing else: of two versions of a jar either may be loaded."""
    coming = folder.with_name(folder.name + ".coming")
    shutil.rmtree(coming, ignore_errors=True)
    words = ["dependency:copy-dependencies", "-DincludeScope=runtime", f"-DoutputDirectory={coming}"]
    maven = ["mvn", "--batch-mode", "--quiet", "-Dstyle.color=never", "-f", str(pom)]
    subprocess.run([*maven, *words], check=True, timeout=PREPARING)
    shutil.rmtree(folder, ignore_errors=True)
    coming.rename(folder)


def class_path() -> str:
    """The jars and the compiled worker."""
    return os.pathsep.join([os.environ.get("OTTLA_KAFKA_JARS") or str(JARS / "*"), str(CLASSES)])


def version() -> str:
    """That of the client's jar."""
    return jar_version(class_path(), "kafka-clients")


def jar_version(where: str, artifact: str) -> str:
    """The version in the name of an artifact's jar on a class path, of jars and `folder/*`."""
    for entry in map(Path, where.split(os.pathsep)):
        for jar in entry.parent.glob("*.jar") if entry.name == "*" else [entry]:
            if found := re.fullmatch(rf"{artifact}-(\d[\w.]*)\.jar", jar.name):
                return found[1]
    return ""


def open_driver() -> Driver:
    """The driver of this client. Raises ImportError when something is not there."""
    if shutil.which("java") is None:
        raise ImportError("no java on the path")
    built_from(CLASSES / "Worker.class", *SOURCES)
    where = ["-cp", class_path(), "Worker"]
    return WorkerDriver(["java", "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", *where])
