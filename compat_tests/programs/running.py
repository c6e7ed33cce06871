"""The process of a program in Java: its settings in a file, its log in another, ended as a service is, by SIGTERM.

Their jars come from the class path in OTTLA_KAFKA_CONNECT_JARS (`folder/*` works; a Kafka installation's `libs/*`
does), else through Maven from pom.xml beside this file, by `python -m compat_tests prepare programs`.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path

from compat_tests.clients.java.adapter import fetch_jars
from compat_tests.clients.worker import BUILT, built, built_from

HERE = Path(__file__).parent
POM = HERE / "pom.xml"
FOLDER = BUILT / "programs"
JARS = FOLDER / "jars"
JAVA = ("java", "-Xmx384m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto")
LOG = "-Dorg.slf4j.simpleLogger."
END_SECONDS = 60


def prepare() -> None:
    """Fetch the jars. Raises OSError, SubprocessError."""
    if "OTTLA_KAFKA_CONNECT_JARS" not in os.environ:
        fetch_jars(POM, JARS)
        built(JARS, POM)


def missing() -> str:
    """What has to be there and is not, or nothing."""
    if shutil.which("java") is None:
        return "no java on the path"
    try:
        if "OTTLA_KAFKA_CONNECT_JARS" not in os.environ:
            built_from(JARS, POM)
    except ImportError as error:
        return f"{error}: python -m compat_tests prepare programs"
    return ""


def class_path() -> str:
    """Their jars."""
    return os.environ.get("OTTLA_KAFKA_CONNECT_JARS") or str(JARS / "*")


class Program:
    """A program that runs; `main` is its class, `settings` what its one file of properties says."""

    def __init__(self, main: str, folder: Path, settings: Mapping[str, str]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._log = folder / "log"
        properties = folder / "program.properties"
        properties.write_text("".join(f"{key}={value}\n" for key, value in settings.items()), encoding="utf-8")
        logging = [f"{LOG}defaultLogLevel=info", f"{LOG}showDateTime=true"]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [*JAVA, *logging, "-cp", class_path(), main, str(properties)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def ended(self) -> bool:
        """Whether it has ended by itself."""
        return self._process.poll() is not None

    def log(self) -> str:
        """All that it has said."""
        return self._log.read_text(encoding="utf-8", errors="replace")

    def errors(self) -> list[str]:
        """The lines of its log that are errors."""
        return [line for line in self.log().splitlines() if " ERROR " in line]

    def stop(self) -> None:
        """SIGTERM, and wait until it has put everything in order."""
        if not self.ended:
            self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
            raise

    def kill(self) -> None:
        """SIGKILL."""
        self._process.kill()
        self._process.wait()
