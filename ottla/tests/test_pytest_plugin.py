"""The plugin in a project of its own: how long a broker lives, what it gives to tests, what it shows of a failure."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from ottla.client_settings import LIBRARIES, settings


def run(folder: Path, *arguments: str, ini: str = "", **files: str) -> subprocess.CompletedProcess[str]:
    """pytest's run of these test files."""
    (folder / "pytest.ini").write_text(f"[pytest]\n{ini}\n", encoding="utf-8")
    for name, text in files.items():
        (folder / f"{name}.py").write_text(textwrap.dedent(text), encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *arguments]
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=120
    )


def outcome(done: subprocess.CompletedProcess[str]) -> str:
    """pytest's last line without the time."""
    return re.sub(r" in [\d.]+s.*", "", done.stdout.strip().splitlines()[-1]).strip("= ")


WHOSE = """
    import os, pathlib

    def note(ottla_broker):
        with open("brokers", "a") as file:
            file.write(f"{ottla_broker.port}\\n")

    def test_one(ottla_broker):
        note(ottla_broker)

    def test_two(ottla_broker):
        note(ottla_broker)
"""


@pytest.mark.parametrize(
    ("scope", "brokers"),
    [(["--ottla-scope", "session"], 1), (["--ottla-scope", "module"], 2)],
    ids=["session", "module"],
)
def test_a_broker_lives_as_long_as_is_said(tmp_path: Path, scope: list[str], brokers: int) -> None:
    """Four tests in two modules."""
    done = run(tmp_path, *scope, test_a=WHOSE, test_b=WHOSE)
    assert outcome(done) == "4 passed", done.stdout
    assert len(set((tmp_path / "brokers").read_text().split())) == brokers


def test_one_broker_is_empty_for_each_test(tmp_path: Path) -> None:
    """With the scope `reset`: nothing of another test is there, and the address stays."""
    test = """
        import socket

        def test_one(ottla_broker):
            ottla_broker.create_topic("orders")
            open("port", "w").write(str(ottla_broker.port))

        def test_two(ottla_broker):
            ottla_broker.create_topic("orders")
            assert open("port").read() == str(ottla_broker.port)
    """
    done = run(tmp_path, ini="ottla_scope = reset", test_it=test)
    assert outcome(done) == "2 passed", done.stdout


def test_what_a_test_is_given(tmp_path: Path) -> None:
    """Topics with names of their own, and settings for three libraries; a failure shows what the broker said in it."""
    test = """
        import pytest

        def test_topics(ottla_topic, ottla_topics, ottla_broker):
            names = {ottla_topic, ottla_topics(), ottla_topics("orders", partitions=3), ottla_topics("or/ders")}
            assert len(names) == 4
            with pytest.raises(type(ottla_broker).reset.__globals__["BrokerError"], match="already exists"):
                ottla_broker.create_topic(ottla_topic)

        def test_settings(ottla_kafka_python, ottla_confluent_kafka, ottla_aiokafka, ottla_broker):
            address = ottla_broker.bootstrap_servers
            assert ottla_kafka_python.producer["bootstrap_servers"] == address
            assert ottla_aiokafka.consumer["bootstrap_servers"] == address
            assert ottla_confluent_kafka.common == {"bootstrap.servers": address}

        def test_fails(ottla_topics):
            ottla_topics("shown-below")
            assert False
    """
    done = run(tmp_path, ini="ottla_config =\n    num.partitions=2", test_it=test)
    assert outcome(done) == "1 failed, 2 passed", done.stdout
    shown = done.stdout.partition("log of the ottla broker")[2]
    assert "topic created" in shown and "shown-below" in shown
    assert "test_topics" not in shown, "what was written in another test is left out"


@pytest.mark.parametrize(("shared", "brokers"), [([], 2), (["--ottla-shared"], 1)], ids=["own", "shared"])
def test_workers_of_xdist_have_brokers_of_their_own_or_one(tmp_path: Path, shared: list[str], brokers: int) -> None:
    """Two workers; a shared broker has topics for both, and is not theirs to reset."""
    test = """
        import pytest

        @pytest.mark.parametrize("number", range(2))
        def test_it(ottla_broker, ottla_topic, worker_id, number):
            with open(f"brokers-{worker_id}", "w") as file:
                file.write(ottla_broker.bootstrap_servers)
            assert hasattr(ottla_broker, "reset") is OWN
    """
    test = test.replace("OWN", str(not shared))
    done = run(tmp_path, "-n", "2", "--dist", "each" if not shared else "load", *shared, test_it=test)
    assert done.returncode == 0, done.stdout
    addresses = {path.read_text() for path in tmp_path.glob("brokers-*")}
    assert len(addresses) == brokers


@pytest.mark.parametrize(
    ("arguments", "ini", "sentence"),
    [
        ([], "ottla_scope = forever", "ottla_scope is 'forever', and may be session, reset, module, class, test"),
        ([], "ottla_config = num.partitions", "'num.partitions' is not of the form key=value"),
        (["-n", "2", "--ottla-shared"], "ottla_scope = reset", "cannot be reset"),
    ],
)
def test_what_makes_no_sense_is_said(tmp_path: Path, arguments: list[str], ini: str, sentence: str) -> None:
    """In one sentence, which names the word."""
    done = run(tmp_path, *arguments, ini=ini, test_it="def test_it(ottla_broker): pass")
    assert done.returncode != 0
    assert sentence in done.stdout + done.stderr


def test_a_run_without_a_broker_imports_nothing(tmp_path: Path) -> None:
    """The plugin is loaded in every project that has Ottla installed."""
    test = """
        import sys

        def test_it():
            assert [name for name in sys.modules if name.startswith("ottla.")] == ["ottla.pytest_plugin"]
    """
    done = run(tmp_path, test_it=test)
    assert outcome(done) == "1 passed", done.stdout


CASES = """
    import unittest
    import ottla

    class Orders(ottla.BrokerTestCase):
        def test_one(self):
            self.broker.create_topic("orders")

        def test_two(self):
            self.broker.create_topic("orders", partitions=3, config={"cleanup.policy": "compact"})
            self.assertEqual(
                self.client_settings("aiokafka").producer["bootstrap_servers"], self.broker.bootstrap_servers
            )

        def test_wrong(self):
            self.fail(self.new_topic("shown-below"))

    class Own(ottla.BrokerMixin, unittest.IsolatedAsyncioTestCase):
        broker_scope = "test"

        async def test_it(self):
            self.broker.create_topic("orders")
"""


@pytest.mark.parametrize("runner", ["unittest", "pytest"])
def test_cases_of_unittest_have_a_broker_too(tmp_path: Path, runner: str) -> None:
    """One for a class, empty for each test; a failure ends with its log, whatever runs the test."""
    (tmp_path / "test_cases.py").write_text(textwrap.dedent(CASES), encoding="utf-8")
    command = [sys.executable, "-m", runner, *(["-p", "no:cacheprovider"] if runner == "pytest" else []), "test_cases"]
    command[-1] += ".py" if runner == "pytest" else ""
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120)
    output = done.stdout + done.stderr
    assert ("FAILED (failures=1)" if runner == "unittest" else "1 failed, 3 passed") in output, output
    log = output.partition("The broker's log:" if runner == "unittest" else "log of the ottla broker")[2]
    assert "topic created" in log and "shown-below" in log


def test_settings_of_an_unknown_library_are_refused() -> None:
    """By name, with those that there are."""
    with pytest.raises(ValueError, match="'pykafka' is none of kafka-python, confluent-kafka, aiokafka"):
        settings("pykafka", "127.0.0.1:9092")
    assert {settings(library, "a:1", "g").consumer.get("group_id", "g") for library in LIBRARIES} == {"g"}
