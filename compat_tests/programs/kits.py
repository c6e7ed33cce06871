"""What programs are made of: jars by Maven and a class compiled on them, or packages in an environment of its own.

A kit is prepared once (`python -m compat_tests prepare programs`), into a folder of its own, so that a program's
dependencies meet neither another's nor the tests'. What this machine cannot prepare is said in a sentence, which is the
reason in the matrix.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import venv
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path

from compat_tests.clients.java.adapter import fetch_jars, jar_version
from compat_tests.clients.worker import BUILT, built, built_from
from compat_tests.programs import running

HERE = Path(__file__).parent
FOLDER = BUILT / "programs"
INSTALLING_SECONDS = 600.0
JAVA = ("java", "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto")


class Prepared(ABC):
    """A program that is here once it has been prepared."""

    def __init__(self, name: str) -> None:
        self.name = name
        """For people."""

    @abstractmethod
    def prepare(self) -> None:
        """Fetch and build. Raises OSError, SubprocessError."""

    @abstractmethod
    def missing(self) -> str:
        """What has to be there and is not, in a sentence, or nothing."""

    @abstractmethod
    def version(self) -> str:
        """Of the program that is here; nothing when it is not."""


class Connect(Prepared):
    """Kafka Connect and MirrorMaker, whose processes are those of `running.py`."""

    def prepare(self) -> None:
        running.prepare()

    def missing(self) -> str:
        return running.missing()

    def version(self) -> str:
        return jar_version(running.class_path(), "connect-runtime")


class Kit(Prepared):
    """Programs of ours on a library, in a folder beside this file."""

    def __init__(self, name: str, folder: str) -> None:
        super().__init__(name)
        self.sources = HERE / folder
        self.folder = FOLDER / folder

    @abstractmethod
    def command(self, program: str, *words: str) -> list[str]:
        """How a program of the kit's sources is started."""

    def start(self, log: Path, program: str, *words: str, environment: Mapping[str, str] | None = None) -> Started:
        """Start it; what it says goes into `log`."""
        return Started(self.command(program, *words), log, environment or {})


class JavaKit(Kit):
    """Jars from a pom.xml, and the classes of the sources beside it. `artifact` is the one whose version counts."""

    def __init__(self, name: str, folder: str, artifact: str, options: Sequence[str] = ()) -> None:
        super().__init__(name, folder)
        self._artifact = artifact
        self._options = options
        self._jars, self._classes = self.folder / "jars", self.folder / "classes"

    def prepare(self) -> None:
        self._classes.mkdir(parents=True, exist_ok=True)
        fetch_jars(self.sources / "pom.xml", self._jars)
        compiler = ["javac", "-nowarn", "-parameters", "-cp", str(self._jars / "*"), "-d", str(self._classes)]
        subprocess.run([*compiler, *map(str, self._programs())], check=True, timeout=INSTALLING_SECONDS)
        built(self._classes, *self._made_from())

    def missing(self) -> str:
        if shutil.which("java") is None:
            return "no java on the path"
        return _prepared(self._classes, self._made_from())

    def version(self) -> str:
        return jar_version(str(self._jars / "*"), self._artifact)

    def command(self, program: str, *words: str) -> list[str]:
        logging = [f"-Dorg.slf4j.simpleLogger.{each}" for each in ("defaultLogLevel=warn", "showDateTime=true")]
        where = os.pathsep.join([str(self._jars / "*"), str(self._classes)])
        return [*JAVA, *self._options, *logging, "-cp", where, program, *words]

    def _programs(self) -> list[Path]:
        return sorted(self.sources.glob("*.java"))

    def _made_from(self) -> list[Path]:
        return [*self._programs(), self.sources / "pom.xml"]


class PythonKit(Kit):
    """Packages from a requirements.txt, in a virtual environment. `package` is the one whose version counts."""

    def __init__(self, name: str, folder: str, package: str) -> None:
        super().__init__(name, folder)
        self._package = package
        self._environment = self.folder / "environment"

    @property
    def python(self) -> Path:
        """The environment's interpreter."""
        return self._environment / ("Scripts" if os.name == "nt" else "bin") / "python"

    def prepare(self) -> None:
        venv.create(self._environment, clear=True, with_pip=True)
        pip = [str(self.python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, "-r", str(self._requirements)], check=True, timeout=INSTALLING_SECONDS)
        built(self._environment, self._requirements)

    def missing(self) -> str:
        return _prepared(self.python, [self._requirements], self._environment)

    def version(self) -> str:
        if self.missing():
            return ""
        asking = f"import importlib.metadata as found; print(found.version({self._package!r}))"
        done = subprocess.run([self.python, "-c", asking], capture_output=True, text=True, timeout=60, check=False)
        return done.stdout.strip()

    def command(self, program: str, *words: str) -> list[str]:
        return [str(self.python), str(self.sources / program), *words]

    @property
    def _requirements(self) -> Path:
        return self.sources / "requirements.txt"


class OwnKit(PythonKit):
    """A program whose packages are in the development environment already."""

    @property
    def python(self) -> Path:
        return Path(sys.executable)

    def prepare(self) -> None:
        """Nothing is to be done."""

    def missing(self) -> str:
        from importlib.util import find_spec

        return "" if find_spec(self._package) else f"the package {self._package} is not installed"


def _prepared(product: Path, sources: Sequence[Path], stamped: Path | None = None) -> str:
    try:
        if not product.exists():
            raise ImportError("it is not prepared")
        built_from(stamped or product, *sources)
    except ImportError as error:
        return f"{error}: python -m compat_tests prepare programs"
    return ""


class Started:
    """A program that runs, or has ended."""

    def __init__(self, command: Sequence[str], log: Path, environment: Mapping[str, str]) -> None:
        log.parent.mkdir(parents=True, exist_ok=True)
        self._log = log
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=log.parent,
                env={**os.environ, "PYTHONUNBUFFERED": "1", **environment},
                start_new_session=True,
            )

    @property
    def ended(self) -> bool:
        """Whether it has."""
        return self._process.poll() is not None

    def log(self) -> str:
        """All that it has said."""
        return self._log.read_text(encoding="utf-8", errors="replace")

    def lines(self) -> list[str]:
        """The same, line by line."""
        return self.log().splitlines()

    def wait(self, seconds: float) -> int:
        """Its exit status. Raises AssertionError, with the end of what it said, if it does not end."""
        try:
            return self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"it did not end within {seconds:g} s:\n{self.log()[-3000:]}") from None

    def close(self, seconds: float = 60.0) -> int:
        """End its standard input, by which programs here know that they are to stop; its exit status."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        return self.wait(seconds)

    def terminate(self, seconds: float = 60.0) -> int:
        """SIGTERM; its exit status."""
        if not self.ended:
            self._process.terminate()
        return self.wait(seconds)

    def kill(self) -> None:
        """SIGKILL, if it still runs."""
        if not self.ended:
            self._process.kill()
        self._process.wait()
        assert self._process.stdin is not None
        self._process.stdin.close()


CONNECT, MIRROR_MAKER = Connect("Kafka Connect"), Connect("MirrorMaker 2")
STREAMS = JavaKit("Kafka Streams", "streams", "kafka-streams")
SPRING = JavaKit("Spring Boot", "spring", "spring-kafka")
FLINK = JavaKit(
    "Flink", "flink", "flink-streaming-java",
    [f"--add-opens=java.base/{package}=ALL-UNNAMED" for package in ("java.util", "java.lang", "java.nio", "java.time")],
)  # fmt: skip
FASTSTREAM = OwnKit("FastStream", "faststream", "faststream")
CELERY = PythonKit("Celery", "celery", "celery")
QUIX_STREAMS = PythonKit("Quix Streams", "quixstreams", "quixstreams")
KITS: tuple[Prepared, ...] = (CONNECT, MIRROR_MAKER, STREAMS, SPRING, FLINK, FASTSTREAM, CELERY, QUIX_STREAMS)
