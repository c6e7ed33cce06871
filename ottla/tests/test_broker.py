"""The command and `ottla.Broker` in a project whose own packages are called `broker`, `storage`, `tools` and `kproto`.

Those are names that people give to their packages. A user in such a project's folder, or with it on PYTHONPATH, must
get the broker all the same, and find the packages unharmed. The decoys here end the process that imports them.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

DECOYS = ("broker", "storage", "tools", "kproto")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A folder with packages of the layers' names that must not be imported by the broker's process."""
    for name in DECOYS:
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text(
            f"import sys\nif 'serve' in sys.argv: sys.exit('imported the decoy {name}')\n", encoding="utf-8"
        )
    return tmp_path


@contextmanager
def running(command: list[str], project: Path) -> Iterator[subprocess.Popen[str]]:
    """The command running in the project, with the project on PYTHONPATH too; ended by force at the end."""
    environment = {**os.environ, "PYTHONPATH": str(project)}
    with subprocess.Popen(
        command, cwd=project, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as child:
        try:
            yield child
        finally:
            child.kill()


def ready_address(child: subprocess.Popen[str]) -> tuple[str, int]:
    """Where the child says it is ready; fails with what it wrote to standard error instead."""
    assert child.stdout is not None
    assert child.stderr is not None
    line = child.stdout.readline()
    word, _, address = line.strip().partition(" ")
    assert word == "ready", child.stderr.read()
    host, _, port = address.rpartition(":")
    return host, int(port)


def ended(connection: socket.socket) -> bool:
    """Whether the other side closes the connection, or resets it because it had not accepted it yet."""
    try:
        return connection.recv(1) == b""
    except ConnectionResetError:
        return True


@pytest.mark.parametrize(
    "command",
    [[sys.executable, "-m", "ottla"], [os.path.join(os.path.dirname(sys.executable), "ottla")]],
    ids=["python -m ottla", "ottla"],
)
def test_the_command_serves_beside_packages_of_the_same_names(command: list[str], project: Path) -> None:
    """`serve` gets ready, accepts, and stops with status 0 on SIGTERM; the ready file says the same and then goes."""
    arguments = ["serve", "--memory", "--port", "0", "--ready-file", "ready"]
    with running([*command, *arguments], project) as child:
        host, port = ready_address(child)
        assert (project / "ready").read_text().splitlines()[0] == f"ready {host}:{port}"
        socket.create_connection((host, port), timeout=10).close()
        child.send_signal(signal.SIGTERM)
        _, log = child.communicate(timeout=20)
        assert child.returncode == 0, log
        assert not (project / "ready").exists()


def test_a_program_keeps_its_own_package_of_the_same_name(project: Path) -> None:
    """A script may import its own `broker` and run ours: each finds what it means."""
    script = project / "program.py"
    script.write_text(
        textwrap.dedent(
            """
            import broker
            import ottla

            with ottla.Broker() as running:
                assert "decoy" in open(broker.__file__).read()
                print(running.bootstrap_servers)
            """
        ),
        encoding="utf-8",
    )
    with running([sys.executable, str(script)], project) as child:
        output, errors = child.communicate(timeout=30)
        assert child.returncode == 0, errors
        assert output.startswith("127.0.0.1:")


def test_the_fixture_gives_a_broker_to_a_test(project: Path) -> None:
    """A project asks for `ottla_broker`, gives Kafka's settings in its ini file, and has a broker."""
    (project / "pytest.ini").write_text("[pytest]\nottla_config =\n    num.partitions=3\n", encoding="utf-8")
    (project / "test_it.py").write_text(
        textwrap.dedent(
            """
            import socket
            import broker

            def test_it(ottla_broker):
                socket.create_connection((ottla_broker.host, ottla_broker.port)).close()
            """
        ),
        encoding="utf-8",
    )
    with running([sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"], project) as child:
        output, errors = child.communicate(timeout=30)
        assert child.returncode == 0, output + errors


def test_the_broker_ends_with_the_process_that_started_it(project: Path) -> None:
    """Even a SIGKILL of the user's process leaves no broker behind: its connections close within moments."""
    script = "import ottla, sys\nwith ottla.Broker() as it:\n    print(it.host, it.port, flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", script], cwd=project, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        host, port = parent.stdout.readline().split()
        with socket.create_connection((host, int(port)), timeout=20) as connection:
            parent.kill()
            assert ended(connection)
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection((host, int(port)), timeout=20).close()
