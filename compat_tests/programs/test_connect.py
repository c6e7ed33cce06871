"""Kafka Connect, distributed, with connectors for files, over SASL_SSL and with nothing allowed but what it must do."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

from compat_tests.brokers import free_port
from compat_tests.clients.contract import Failed
from compat_tests.programs import kits
from compat_tests.programs.acls import (
    CONNECT,
    CONNECT_SINK_GROUP,
    CONNECT_WORKERS_GROUP,
    INTERNAL,
    LINES,
    SINK,
    SINK_TASKS,
    SOURCE_TASKS,
    WORKER,
    WORKERS_GROUP,
)
from compat_tests.programs.guarded import Guarded
from compat_tests.programs.running import Program
from compat_tests.session import eventually

KIT = kits.CONNECT
PATIENCE = 240.0
FILE_SOURCE = "org.apache.kafka.connect.file.FileStreamSourceConnector"
FILE_SINK = "org.apache.kafka.connect.file.FileStreamSinkConnector"
STRINGS = "org.apache.kafka.connect.storage.StringConverter"


class Worker:
    """A worker, started and stopped on one folder; connectors are made over its REST interface."""

    def __init__(self, broker: Guarded, folder: Path) -> None:
        self._folder = folder
        self._rest = f"http://127.0.0.1:{free_port()}"
        users = {"": WORKER, "producer.": SOURCE_TASKS, "consumer.": SINK_TASKS, "admin.": SOURCE_TASKS}
        self._settings = {
            f"{prefix}{key}": value for prefix, user in users.items() for key, value in broker.properties(user).items()
        }
        self._settings |= {
            "bootstrap.servers": broker.servers,
            "group.id": WORKERS_GROUP,
            "listeners": self._rest,
            "plugin.discovery": "service_load",
            "key.converter": STRINGS,
            "value.converter": STRINGS,
            "offset.flush.interval.ms": "1000",
            "producer.linger.ms": "0",
            "consumer.auto.offset.reset": "earliest",
        }
        for part, topic in INTERNAL.items():
            self._settings |= {f"{part}.storage.topic": topic, f"{part}.storage.replication.factor": "1"}
        self._program: Program | None = None

    @property
    def program(self) -> Program:
        """The process that was started last."""
        assert self._program is not None, "it has been started"
        return self._program

    def launch(self) -> None:
        """Start it."""
        self._program = Program("org.apache.kafka.connect.cli.ConnectDistributed", self._folder, self._settings)

    def start(self) -> None:
        """Start it and return when it answers."""
        self.launch()
        eventually(lambda: self.program.ended or self.ask("GET", "/connectors") is not None, "the worker", PATIENCE)
        assert not self.program.ended, self.program.log()[-3000:]

    def stop(self) -> None:
        """SIGTERM."""
        if self._program is not None:
            self._program.stop()

    def ask(self, method: str, path: str, body: object = None) -> Any:
        """What its REST interface answers. Raises Failed."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self._rest + path, data, {"Content-Type": "application/json"}, method=method)
        try:
            with urllib.request.urlopen(request, timeout=90) as answer:
                return json.loads(answer.read() or b"null")
        except (OSError, urllib.error.URLError) as error:
            raise Failed(str(error)) from error

    def run(self, name: str, **config: str) -> None:
        """Have a connector, of one task."""
        settings = {key.replace("_", "."): value for key, value in config.items()}
        self.ask("PUT", f"/connectors/{name}/config", {"tasks.max": "1", **settings})

    def wait_for(self, name: str, state: str) -> str:
        """Wait until a connector's task is in a state; its trace."""

        def found() -> bool:
            return [task["state"] for task in self.ask("GET", f"/connectors/{name}/status")["tasks"]] == [state]

        try:
            eventually(found, f"{name} {state}", PATIENCE)
        except AssertionError as error:
            raise AssertionError("\n".join(self.program.errors()[-20:])) from error
        return str(self.ask("GET", f"/connectors/{name}/status")["tasks"][0].get("trace", ""))


def test_lines_go_from_file_to_file(start_guarded: Callable[[], Guarded], tmp_path: Path) -> None:
    """A sink that may not join its group fails and says so; once it may, every line arrives exactly once, those that
    were written while the worker was stopped too."""
    broker = start_guarded()
    broker.allow(acl for acl in CONNECT if acl != CONNECT_SINK_GROUP)
    source, sink = tmp_path / "source", tmp_path / "sink"
    lines = [f"line {number}" for number in range(150)]
    source.write_text("".join(f"{line}\n" for line in lines[:100]))
    worker = Worker(broker, tmp_path / "worker")
    try:
        worker.start()
        new_topic = {"topic_creation_default_partitions": "1", "topic_creation_default_replication_factor": "1"}
        worker.run("file-source", connector_class=FILE_SOURCE, file=str(source), topic=LINES, **new_topic)
        worker.wait_for("file-source", "RUNNING")
        worker.run(SINK, connector_class=FILE_SINK, file=str(sink), topics=LINES)
        trace = worker.wait_for(SINK, "FAILED")
        assert f"GroupAuthorizationException: Not authorized to access group: connect-{SINK}" in trace
        broker.allow([CONNECT_SINK_GROUP])
        worker.ask("POST", f"/connectors/{SINK}/restart?includeTasks=true&onlyFailed=true")
        eventually(lambda: sink.exists() and len(sink.read_text().splitlines()) >= 100, "100 lines", PATIENCE)
        refused = worker.program.errors()
        assert all("connect-file-sink" in line or SINK in line for line in refused), refused
        worker.stop()
        with source.open("a") as more:
            more.writelines(f"{line}\n" for line in lines[100:])
        worker.start()
        eventually(lambda: len(sink.read_text().splitlines()) >= 150, "150 lines", PATIENCE)
        worker.stop()
        assert sink.read_text().splitlines() == lines
        assert worker.program.errors() == refused, worker.program.errors()
    finally:
        worker.stop()


def test_a_worker_that_may_not_join_its_group(start_guarded: Callable[[], Guarded], tmp_path: Path) -> None:
    """It says which group it may not join, and runs nothing."""
    broker = start_guarded()
    broker.allow(acl for acl in CONNECT if acl != CONNECT_WORKERS_GROUP)
    worker = Worker(broker, tmp_path / "worker")
    said = f"GroupAuthorizationException: Not authorized to access group: {WORKERS_GROUP}"
    try:
        worker.launch()
        eventually(lambda: said in worker.program.log(), said, PATIENCE)
    finally:
        worker.program.kill()  # its own end takes a minute: it waits for the thread that ends it
