"""How a verb's process ends: what it prints may be lost, and signals come while it waits."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ottla import Broker

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX signals and a shell")

ROOT = Path(__file__).parents[2]
OTTLA = [sys.executable, "-P", str(ROOT / "ottla" / "__main__.py")]


@pytest.fixture(scope="module")
def broker() -> Iterator[Broker]:
    """A broker with a topic of one record."""
    with Broker(config={"group.initial.rebalance.delay.ms": 0}) as running:
        environment = {**os.environ, "OTTLA_BOOTSTRAP_SERVER": running.bootstrap_servers}
        subprocess.run([*OTTLA, "produce", "ended"], env=environment, input=b"one\n", check=True)
        yield running


def started(broker: Broker, *words: str, redirection: str = "") -> subprocess.Popen[str]:
    """A verb under a shell, which leaves it its process."""
    line = " ".join(["exec", *OTTLA, *words, redirection])
    environment = {**os.environ, "OTTLA_BOOTSTRAP_SERVER": broker.bootstrap_servers}
    pipe = subprocess.PIPE
    return subprocess.Popen(["sh", "-c", line], env=environment, stdin=pipe, stdout=pipe, stderr=pipe, text=True)


@pytest.mark.parametrize(
    "verb", ["topics list", "consume ended --from-beginning -e", "doctor", "--help", "acls --help"]
)
def test_a_full_standard_output_is_one_sentence(broker: Broker, verb: str) -> None:
    """Status 1: a script that keeps what was printed has not got it."""
    if not os.path.exists("/dev/full"):
        pytest.skip("there is no /dev/full")
    with started(broker, verb, redirection=">/dev/full") as process:
        _, errors = process.communicate(timeout=60)
    name = "ottla" if verb == "--help" else f"ottla {verb.split()[0]}"
    assert (process.returncode, errors) == (1, f"{name}: standard output: No space left on device\n")


@pytest.mark.parametrize(
    ("verb", "status"), [("topics list", -signal.SIGPIPE), ("--help", 0), ("groups list --help", 0)]
)
def test_a_reader_that_has_gone_is_no_matter(broker: Broker, verb: str, status: int) -> None:
    """Nothing is said; help is a success, anything else ends as every tool does, by SIGPIPE."""
    reading, writing = os.pipe()
    os.close(reading)
    environment = {**os.environ, "OTTLA_BOOTSTRAP_SERVER": broker.bootstrap_servers}
    done = subprocess.run([*OTTLA, *verb.split()], env=environment, stdout=writing, stderr=subprocess.PIPE, check=False)
    os.close(writing)
    assert (done.returncode, done.stderr) == (status, b"")


def test_a_consumer_that_waits_notices_that_its_reader_has_gone(broker: Broker) -> None:
    """`ottla consume ended --from-beginning | head -1` ends with `head`, not with the next record."""
    with started(broker, "consume", "ended", "--from-beginning") as process:
        assert process.stdout is not None and process.stderr is not None
        assert process.stdout.readline() == "one\n"
        process.stdout.close()
        assert process.wait(timeout=60) == -signal.SIGPIPE
        assert process.stderr.read() == ""


def test_a_closed_standard_output_is_no_matter(broker: Broker) -> None:
    """What would be printed goes nowhere."""
    with started(broker, "topics", "list", redirection=">&-") as process:
        _, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (0, "")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("words", [("ended", "--from-beginning"), ("ended", "--from-beginning", "-G", "ended")])
def test_a_signal_ends_a_consumer_after_its_group_is_left(
    broker: Broker, words: tuple[str, ...], number: signal.Signals
) -> None:
    """By that signal, with how far it was; what was printed is committed."""
    group = [] if "-G" not in words else [f"-{number.name}"]
    with started(broker, "consume", *words[:-1], words[-1] + "".join(group)) as process:
        assert process.stdout is not None and process.stderr is not None
        assert process.stdout.readline() == "one\n"
        process.send_signal(number)
        assert process.wait(60) == -number
        assert process.stderr.read() == f"ottla consume: ended by {number.name} after 1 records\n"
    if group:
        with started(broker, "groups", "describe", f"ended-{number.name}", "--json") as described:
            assert '"lag": 0' in described.communicate(timeout=60)[0]


def test_a_signal_ends_a_producer_after_what_was_read_is_delivered(broker: Broker) -> None:
    """Standard input stays open: the signal comes while the next line is waited for."""
    with started(broker, "topics", "create", "delivered") as created:
        assert created.wait(60) == 0
    with started(broker, "produce", "delivered") as process:
        assert process.stdin is not None and process.stderr is not None
        process.stdin.write("kept\n")
        process.stdin.flush()
        with started(broker, "consume", "delivered", "--from-beginning", "-c", "1") as consumer:
            assert consumer.communicate(timeout=60)[0] == "kept\n"
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == -signal.SIGINT
        assert process.stderr.read() == "ottla produce: ended by SIGINT after 1 records were delivered\n"


def test_a_signal_while_a_broker_does_not_answer(broker: Broker) -> None:
    """Any verb, at any moment: one line, by the signal."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        with started(broker, "topics", "list", "-b", address) as process:
            accepted, _ = silent.accept()
            process.send_signal(signal.SIGTERM)
            assert process.wait(60) == -signal.SIGTERM
            assert process.stderr is not None
            assert process.stderr.read() == "ottla topics: ended by SIGTERM\n"
            accepted.close()
