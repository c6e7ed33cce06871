"""The image, without a container engine: the Dockerfile's steps in a root of their own, and what is started there.

A root is an overlay over this machine's, in namespaces of its own, where the machine allows that (Linux, as root). The
steps of the Dockerfile's last stage are carried out in it, with this source tree in the place of the stage that
installs it; `OTTLA_BUILD_IMAGE=1` carries that one out too, which takes pip and a minute.

Then each module of testcontainers is played: its variables, its command, which waits for a script, the script as it
calls the image's files, and the lines that the module waits for in the output. The process is the first one of its
process namespace and not root, as in a container.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest

ROOT = Path(__file__).parents[2]
UNSHARE = ["unshare", "--mount", "--pid", "--fork", "--kill-child"]


def has_namespaces() -> bool:
    """Whether a root of one's own can be made here."""
    if sys.platform != "linux" or os.geteuid() != 0 or shutil.which("unshare") is None:
        return False
    trial = "d=$(mktemp -d) && mkdir $d/u $d/w $d/r && mount -t overlay o -o lowerdir=/,upperdir=$d/u,workdir=$d/w $d/r"
    return subprocess.run([*UNSHARE, "sh", "-c", trial], capture_output=True, check=False).returncode == 0


@dataclass
class Dockerfile:
    """The last stage of the file, as far as instructions are used in it."""

    steps: list[tuple[str, str]] = field(default_factory=list)
    """COPY and RUN, in order, with their words."""
    environment: dict[str, str] = field(default_factory=dict)
    settings: dict[str, str] = field(default_factory=dict)
    """The other instructions."""


def read_dockerfile() -> Dockerfile:
    """The last stage; an instruction that is not known here fails."""
    text = re.sub(r"^#.*\n", "", (ROOT / "Dockerfile").read_text(), flags=re.MULTILINE).replace("\\\n", " ")
    found = Dockerfile()
    for line in filter(str.strip, text.splitlines()):
        instruction, _, words = line.partition(" ")
        if instruction == "FROM":
            found = Dockerfile(settings={"FROM": words})
        elif instruction in ("COPY", "RUN"):
            found.steps.append((instruction, words))
        elif instruction == "ENV":
            name, _, value = words.partition("=")
            found.environment[name] = value
        else:
            assert instruction in ("USER", "WORKDIR", "EXPOSE", "VOLUME", "HEALTHCHECK", "CMD"), instruction
            found.settings[instruction] = words
    return found


def test_the_image_runs_one_process_that_is_not_root() -> None:
    """Its command is the script that Kafka's images have at the same path, and it has no entry point in front."""
    image = read_dockerfile()
    assert image.settings["USER"] != "root"
    assert image.settings["CMD"] == '["/etc/kafka/docker/run"]'
    assert image.settings["FROM"].endswith("slim")
    for script in ("run", "launch"):
        assert "exec " in (ROOT / "deploy/image/docker" / script).read_text()


def overlay(place: Path) -> str:
    """Shell words that mount an overlay over this machine's root at `place`/tree."""
    for name in ("upper", "work", "tree"):
        (place / name).mkdir(parents=True, exist_ok=True)
    return f"mount -t overlay o -o lowerdir=/,upperdir={place}/upper,workdir={place}/work {place}/tree"


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the Dockerfile's steps put on top of a root: an upper folder of an overlay."""
    if not has_namespaces():
        pytest.skip("THE IMAGE IS NOT TRIED HERE: that needs Linux, root, and overlays in namespaces")
    place = tmp_path_factory.mktemp("image")
    script = [overlay(place), f"cd {ROOT}", f"root={place}/tree"]
    for instruction, words in read_dockerfile().steps:
        if instruction == "RUN":
            script.append(f"chroot $root sh -ec {shlex.quote(words)}")
            continue
        source, target = words.split()[-2:]
        if not words.startswith("--from="):
            script.append(f"mkdir -p $root{target} && cp -a {source}/. $root{target}")
        elif os.environ.get("OTTLA_BUILD_IMAGE") == "1":
            script.append(f"{sys.executable} -m venv $root{target}")
            script.append(f"$root{target}/bin/python -m pip install --quiet '.[security,page]'")
            script.append(f"sed -i '1s,.*,#!{target}/bin/python3,' $root{target}/bin/ottla")
        else:
            command = f'#!/bin/sh\nexec {sys.executable} -P {ROOT}/ottla/__main__.py "$@"\n'
            script.append(f"mkdir -p $root{target}/bin && printf %s {shlex.quote(command)} > $root{target}/bin/ottla")
            script.append(f"chmod +x $root{target}/bin/ottla")
    above = Path(os.path.realpath(sys.executable)).parents  # the home that Python is in may be closed to others
    script.append(f"chmod a+rx {' '.join(f'$root{folder}' for folder in above)}")
    built = subprocess.run([*UNSHARE, "sh", "-ec", "\n".join(script)], capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr
    return place / "upper"


class Container:
    """A process in the image. `output` is what it has written to standard output and standard error."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.output: list[str] = []

    def wait_for(self, pattern: str) -> None:
        """Return when a line matches; fail with the output if none ever does."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.output.append(line)
            if re.search(pattern, line):
                return
        pytest.fail(f"no line matches {pattern}: {''.join(self.output)}")

    def _first(self) -> psutil.Process:
        """The first process of its namespace, seen from outside."""
        (first,) = psutil.Process(self.process.pid).children()
        return first

    def put(self, path: str, script: str) -> None:
        """Copy a script into the running container, as `docker cp` does."""
        target = Path(f"/proc/{self._first().pid}/root") / path.lstrip("/")
        beside = target.with_name("being-copied")
        beside.write_text(script)
        beside.chmod(0o777)
        beside.rename(target)

    def processes(self) -> list[psutil.Process]:
        """All processes in it."""
        first = self._first()
        return [first, *first.children(recursive=True)]

    def stop(self) -> int:
        """SIGTERM to the first process, as `docker stop` does; its exit status."""
        self._first().send_signal(signal.SIGTERM)
        assert self.process.stdout is not None
        self.output += self.process.stdout
        return self.process.wait(30)


@contextmanager
def container(
    image: Path, place: Path, command: list[str], environment: dict[str, str], mounted: dict[str, str] | None = None
) -> Iterator[Container]:
    """`docker run` with these variables and files (path to text); the command is the image's own if none is given."""
    # A copy, for an overlay's layers must not lie in one another.
    subprocess.run(["cp", "-a", "--preserve=all", str(image), str(place / "upper")], check=True)
    for path, text in (mounted or {}).items():
        target = place / "upper" / path.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
    dockerfile = read_dockerfile()
    user, home = dockerfile.settings["USER"], dockerfile.settings["WORKDIR"]
    variables = {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": home, **dockerfile.environment, **environment}
    inside = ["env", "-i", *(f"{name}={value}" for name, value in variables.items())]
    inside += command or ["/etc/kafka/docker/run"]
    first = f"cd {home} && exec {shlex.join(inside)}"
    script = [
        overlay(place),
        f"mount -t proc proc {place}/tree/proc",
        f"mount --rbind /dev {place}/tree/dev",
        f"mount -t tmpfs -o mode=1777 tmp {place}/tree/tmp",
        f"mkdir -p {place}/tree{ROOT} && mount --bind {ROOT} {place}/tree{ROOT}",
        f"exec chroot --userspec={user}:{user} {place}/tree sh -c {shlex.quote(first)}",
    ]
    with subprocess.Popen(
        [*UNSHARE, "sh", "-ec", "\n".join(script)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        try:
            yield Container(process)
        finally:
            with suppress(psutil.NoSuchProcess):
                # With the first process of a namespace all others end. --kill-child does not reach it any more: the
                # kernel forgets that wish when the process takes another user's identity.
                for first_process in psutil.Process(process.pid).children():
                    first_process.kill()
            process.kill()


def free_port() -> int:
    """A port that is free now."""
    with socket.create_server(("127.0.0.1", 0)) as held:
        port: int = held.getsockname()[1]
        return port


def test_the_image_alone_serves_and_keeps_its_data_in_the_volume(image: Path, tmp_path: Path) -> None:
    """One process, not root; every address; clients are sent to localhost; a stop is clean."""
    port = free_port()
    variables = {"KAFKA_LISTENERS": f"PLAINTEXT://:{port}"}
    with container(image, tmp_path, [], variables) as broker:
        broker.wait_for(r"^ready ")
        (process,) = broker.processes()
        assert process.uids().real == 10092
        assert (Path(f"/proc/{process.pid}/root") / "tmp/ottla.ready").exists(), "what the health check looks for"
        socket.create_connection(("127.0.0.1", port), timeout=10).close()
        assert broker.stop() == 0
    assert (tmp_path / "upper/var/lib/kafka/data/.kafka_cleanshutdown").exists()
    assert not any("Traceback" in line for line in broker.output)


def test_a_mounted_file_is_read_and_variables_go_over_it(image: Path, tmp_path: Path) -> None:
    """As in Kafka's image: /mnt/shared/config/server.properties."""
    text = f"listeners=PLAINTEXT://127.0.0.1:{free_port()}\nnode.id=5\nlog.dirs=of-the-file\n"
    mounted = {"/mnt/shared/config/server.properties": text}
    with container(image, tmp_path, [], {"KAFKA_NODE_ID": "6"}, mounted) as broker:
        broker.wait_for(r"\[KafkaServer id=6\] started")
        assert broker.stop() == 0
    assert list((tmp_path / "upper").rglob("of-the-file/meta.properties")), "in the folder that the image works in"


def test_key_stores_are_named_by_files_among_the_secrets(image: Path, tmp_path: Path) -> None:
    """The variables of Kafka's image for TLS become paths and passwords, which are the broker's settings."""
    variables = {
        "KAFKA_SSL_KEYSTORE_FILENAME": "broker.p12",
        "KAFKA_SSL_KEYSTORE_CREDENTIALS": "words",
        "KAFKA_SSL_KEY_CREDENTIALS": "words",
    }
    mounted = {"/etc/kafka/secrets/words": "open sesame", "/opt/ottla/bin/ottla": "#!/bin/sh\nenv\necho end\n"}
    with container(image, tmp_path, [], variables, mounted) as shown:
        shown.wait_for("^end$")
    settings = {line.strip() for line in shown.output if line.startswith("KAFKA_SSL")}
    assert settings == {
        "KAFKA_SSL_KEYSTORE_LOCATION=/etc/kafka/secrets/broker.p12",
        "KAFKA_SSL_KEYSTORE_PASSWORD=open sesame",
        "KAFKA_SSL_KEY_PASSWORD=open sesame",
    }


@dataclass(frozen=True)
class Module:
    """How a module of testcontainers starts Kafka: its image's folder, where its script goes, what it waits for.

    `lines` are those of the script between the advertised listeners and the start.
    """

    script: str
    starts: tuple[str, ...]
    waits_for: str
    lines: tuple[str, ...] = ()
    variables: tuple[tuple[str, str], ...] = ()
    shell: str = ""
    behind: str = ""
    """What the module leaves behind the advertised listeners."""


KRAFT = (
    ("CLUSTER_ID", "4L6g3nShT-eMCtK--X86sw"),
    ("KAFKA_PROCESS_ROLES", "broker,controller"),
    ("KAFKA_CONTROLLER_LISTENER_NAMES", "CONTROLLER"),
    ("KAFKA_NODE_ID", "1"),
)
CONFIGURED = ("/etc/confluent/docker/configure", "/etc/confluent/docker/launch")
FORMATS = (
    "echo 'kafka-storage format --ignore-formatted -t \"$(kafka-storage random-uuid)\" -c /etc/kafka/kafka.properties'"
)
WITHOUT_ZOOKEEPER = (
    "sed -i '/KAFKA_ZOOKEEPER_CONNECT/d' /etc/confluent/docker/configure",
    f"{FORMATS} >> /etc/confluent/docker/configure",
)
MODULES = {
    "Java, apache/kafka": Module(
        "/tmp/testcontainers_start.sh", ("/etc/kafka/docker/run",), "Transitioning from RECOVERY to RUNNING",
        variables=KRAFT,
    ),
    "Java, cp-kafka": Module(
        "/tmp/testcontainers_start.sh", ("/etc/confluent/docker/run",), "Transitioning from RECOVERY to RUNNING",
        variables=KRAFT,
    ),
    "Go": Module(
        "/usr/sbin/testcontainers_start.sh", CONFIGURED, "Transitioning from RECOVERY to RUNNING", shell="bash",
        lines=("source /etc/confluent/docker/bash-config", *WITHOUT_ZOOKEEPER, "echo > /etc/confluent/docker/ensure"),
        variables=(*KRAFT, ("KAFKA_BROKER_ID", "1"), ("KAFKA_CONTROLLER_QUORUM_VOTERS", "1@localhost:9094")),
    ),
    "Python": Module(
        "/tc-start.sh", CONFIGURED, r"\[KafkaServer id=\d+\] started", shell="sh",
        lines=(
            "echo 'clientPort=2181' > zookeeper.properties", "zookeeper-server-start zookeeper.properties &",
            "export KAFKA_ZOOKEEPER_CONNECT='localhost:2181'", ". /etc/confluent/docker/bash-config",
        ),
        variables=(("KAFKA_BROKER_ID", "1"),),
    ),
    "Python, with_kraft": Module(
        "/tc-start.sh", CONFIGURED, "Kafka Server started", shell="sh",
        lines=(*WITHOUT_ZOOKEEPER, ". /etc/confluent/docker/bash-config"),
        variables=(*KRAFT[1:], ("CLUSTER_ID", "ab+/cdefghijklmnopqrstA==")),
    ),
    ".NET, apache/kafka": Module(
        "/testcontainers.sh",
        ("exec /etc/kafka/docker/run",),
        r"\[KafkaServer id=\d+\] started",
        variables=KRAFT,
        behind=",",
    ),
    "Node": Module(
        "/testcontainers_start.sh", ("/etc/confluent/docker/run",), "^ready ",  # it looks at ports, by default
        lines=("echo '' > /etc/confluent/docker/ensure", *WITHOUT_ZOOKEEPER),
        variables=(*KRAFT, ("KAFKA_CONFLUENT_SUPPORT_METRICS_ENABLE", "false")),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", MODULES)
def test_a_module_of_testcontainers_starts_it(name: str, image: Path, tmp_path: Path) -> None:
    """It waits for its script, runs it, prints the line that the module waits for, and answers where it was told to."""
    module = MODULES[name]
    public, inner = free_port(), free_port()
    variables = {
        "KAFKA_LISTENERS": f"PLAINTEXT://0.0.0.0:{public},BROKER://0.0.0.0:{inner},CONTROLLER://0.0.0.0:9094",
        "KAFKA_LISTENER_SECURITY_PROTOCOL_MAP": "BROKER:PLAINTEXT,PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "KAFKA_INTER_BROKER_LISTENER_NAME": "BROKER",
        "KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR": "1",
        "KAFKA_LOG_FLUSH_INTERVAL_MESSAGES": "9223372036854775807",
        "KAFKA_GROUP_INITIAL_REBALANCE_DELAY_MS": "0",
        **dict(module.variables),
    }
    waiting = f"echo waiting; while [ ! -f {module.script} ]; do sleep 0.1; done; {module.shell} {module.script}"
    script = [
        "#!/bin/bash",
        *module.lines,
        f"export KAFKA_ADVERTISED_LISTENERS=PLAINTEXT://localhost:{public},BROKER://inside:{inner}{module.behind}",
        *module.starts,
    ]
    with container(image, tmp_path, ["sh", "-c", waiting], variables) as broker:
        broker.wait_for("^waiting$")
        broker.put(module.script, "\n".join([*script, ""]))
        broker.wait_for(module.waits_for)
        socket.create_connection(("127.0.0.1", public), timeout=10).close()
        started = next(line for line in broker.output if '"event": "started"' in line)
        assert f"PLAINTEXT://localhost:{public}" in started
        if cluster_id := variables.get("CLUSTER_ID"):
            assert f'"cluster_id": "{cluster_id}"' in started
