"""What came together with an error is kept: every adapter returns the records, and raises the error with the next poll.

The clients here are stand-ins that return what a broker that dies under its consumer makes the real ones return.
"""

from __future__ import annotations

import queue
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import confluent_kafka
import pytest

from compat_tests.clients.confluent_kafka.adapter import ConfluentConsumer, ConfluentProducer
from compat_tests.clients.contract import (
    ConsumerSettings,
    Failed,
    Outcome,
    Producer,
    ProducerSettings,
    Received,
    Record,
    Refused,
    Stored,
)
from compat_tests.clients.franz_go.adapter import SOURCE as GO_SOURCE
from compat_tests.clients.kafkajs.adapter import HERE as KAFKAJS
from compat_tests.clients.kcat.adapter import KcatConsumer, KcatProducer
from compat_tests.clients.worker import Worker, WorkerConsumer, WorkerDriver
from compat_tests.session import Session

Polled = list[bytes | None] | str


def polls(poll: Callable[[float], list[Received]], count: int) -> list[Polled]:
    """What so many polls brought: values, or what was raised."""
    found: list[Polled] = []
    for _ in range(count):
        try:
            found.append([record.value for record in poll(0.0)])
        except (Refused, Failed) as error:
            found.append(str(error))
    return found


def received(value: bytes) -> Received:
    """A record."""
    return Received("t", 0, 0, None, value, (), 0)


class Message:
    """A message of librdkafka's: a record, or an error in its place."""

    def __init__(self, value: bytes = b"", code: int | None = None) -> None:
        self.value = lambda: value
        self.error = lambda: None if code is None else confluent_kafka.KafkaError(code)
        self.topic, self.partition, self.offset, self.key = lambda: "t", lambda: 0, lambda: 0, lambda: None
        self.headers, self.timestamp = list, lambda: (1, 0)


class Consumed:
    """librdkafka's consumer: each `consume` returns or raises what comes next."""

    def __init__(self, *answers: list[Message] | confluent_kafka.KafkaException) -> None:
        self._answers = list(answers)

    def consume(self, most: int, within: float) -> list[Message]:
        """The next answer, then none."""
        answer = self._answers.pop(0) if self._answers else []
        if isinstance(answer, confluent_kafka.KafkaException):
            raise answer
        return answer


def confluent(*answers: list[Message] | confluent_kafka.KafkaException) -> ConfluentConsumer:
    """A consumer on such answers."""
    consumer = ConfluentConsumer("127.0.0.1:1", ConsumerSettings())
    consumer._client.close()
    stand_in: Any = Consumed(*answers)
    consumer._client = stand_in
    return consumer


TIMED_OUT = confluent_kafka.KafkaError._TRANSPORT


def test_confluent_keeps_the_records_around_an_error() -> None:
    """Records before and after an error in one read are returned; the error comes with the next poll, once."""
    consumer = confluent([Message(b"a")], [Message(code=29), Message(b"b")])
    first, second, third = polls(consumer.poll, 3)
    assert first == [b"a", b"b"]
    assert isinstance(second, str) and second.startswith("error 29")
    assert third == []


def test_confluent_keeps_the_record_before_a_failed_read() -> None:
    """The first record is not lost when asking for more of them fails."""
    consumer = confluent([Message(b"a")], confluent_kafka.KafkaException(confluent_kafka.KafkaError(TIMED_OUT)))
    first, second = polls(consumer.poll, 2)
    assert first == [b"a"]
    assert isinstance(second, str) and second.startswith("_TRANSPORT")


def test_confluent_raises_an_error_that_came_alone() -> None:
    """An error without records is raised at once."""
    assert isinstance(polls(confluent([Message(code=29)]).poll, 1)[0], str)


def test_confluent_waits_while_the_queue_is_full() -> None:
    """A record that librdkafka has no room for is sent when others are delivered."""

    class Full:
        """Takes a record at the second try."""

        def __init__(self) -> None:
            self.tries = 0

        def produce(self, *_: Any, on_delivery: Callable[[Any, Any], None], **__: Any) -> None:
            """Refuse, then deliver."""
            self.tries += 1
            if self.tries == 1:
                raise BufferError
            on_delivery(None, Message())

        def poll(self, within: float) -> int:
            """Nothing waits."""
            return 0

    producer = ConfluentProducer("127.0.0.1:1", ProducerSettings())
    stand_in: Any = Full()
    producer._client = stand_in
    producer.send("t", [Record(b"v")])
    assert producer.outcomes(0.0) == [Stored(0, 0)]


def test_kcat_keeps_the_records_before_a_failure() -> None:
    """Records that a process printed before it failed are returned; the failure comes with the next poll."""
    consumer = KcatConsumer("127.0.0.1:1", ConsumerSettings())
    for each in (received(b"a"), Failed("it ended"), received(b"b")):
        consumer._received.put(each)
    assert polls(consumer.poll, 4) == [[b"a"], "it ended", [b"b"], []]


def test_kcat_keeps_the_place_of_a_failed_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A record that was not delivered fails at its own place, not at the end."""
    program = tmp_path / "kcat"
    program.write_text(
        f"#!{sys.executable}\nimport sys\nsys.stdin.read()\nsys.stderr.write('''"
        "% Message delivered to partition 0 (offset 0)\n"
        "% Delivery failed for message: Local: Message timed out\n"
        "% Message delivered to partition 0 (offset 1)\n''')\nsys.exit(1)\n"
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    producer = KcatProducer("127.0.0.1:1", ProducerSettings())
    producer.send("t", [Record(b"0"), Record(b"1"), Record(b"2")])
    outcomes = producer.outcomes(20.0)
    producer.close()
    assert outcomes[::2] == [Stored(0, 0), Stored(0, 1)]
    assert isinstance(outcomes[1], Failed)


@pytest.mark.filterwarnings("ignore")  # kafka-python's own, when it is loaded
def test_kafka_python_reads_a_join_that_is_finished_between_polls() -> None:
    """The join that a poll did not wait for is what the next one waits for, once; it does not begin another."""
    from kafka.future import Future

    from compat_tests.clients.kafka_python.adapter import KafkaPythonConsumer

    consumer = KafkaPythonConsumer.__new__(KafkaPythonConsumer)
    coordinator = SimpleNamespace(_join_task=None, rejoin_needed=True)
    read: list[tuple[bool, object]] = []

    class Client:
        """Waits for the join as kafka-python does."""

        _coordinator = coordinator

        def poll(self, timeout_ms: int) -> dict[str, list[object]]:
            """Note whether it would begin another join, and what it reads of this one."""
            task = coordinator._join_task
            if task is not None and coordinator.rejoin_needed:
                task.add_callback(lambda value: read.append((task.is_done, value)))
                coordinator._join_task, coordinator.rejoin_needed = None, False
            return {}

    stand_in: Any = Client()
    consumer._client = stand_in
    consumer.poll(0.0)
    coordinator._join_task = Future().success(b"assignment")
    coordinator.rejoin_needed = False  # as the leader's assigning has it
    consumer.poll(0.0)
    consumer.poll(0.0)
    assert read == [(False, b"assignment")]


def test_franz_go_keeps_the_records_beside_an_error() -> None:
    """The worker's own tests, in Go: a fetch of records and an error."""
    if shutil.which("go") is None:
        pytest.skip("no go on the path")
    done = subprocess.run(["go", "test", "."], cwd=GO_SOURCE, capture_output=True, text=True, timeout=180, check=False)
    if "cannot find module" in done.stderr or "proxy" in done.stderr:
        pytest.skip("franz-go is not there")
    assert done.returncode == 0, done.stdout + done.stderr


KAFKAJS_STAND_IN = """
const listeners = {}
const consumer = {
  events: { GROUP_JOIN: 'join', CRASH: 'crash' },
  on: (name, listener) => { listeners[name] = listener },
  connect: async () => {}, subscribe: async () => {}, disconnect: async () => {},
  run: async ({ eachBatch }) => {
    const message = { offset: '0', key: null, value: Buffer.from('a'), headers: {}, timestamp: '0' }
    await eachBatch({
      batch: { topic: 't', partition: 0, messages: [message] }, isStale: () => false, isRunning: () => true,
      resolveOffset: () => {}, heartbeat: async () => {},
    })
    listeners.crash({ payload: { error: new Error('for a moment'), restart: true } })
    listeners.crash({ payload: { error: Object.assign(new Error('for good'), { code: 29 }), restart: false } })
  },
}
module.exports = {
  CompressionCodecs: {}, CompressionTypes: {}, logLevel: {}, Kafka: class { consumer() { return consumer } },
}
"""


def test_kafkajs_reports_a_consumer_that_has_crashed_for_good(tmp_path: Path) -> None:
    """What was pushed before a crash is returned; then polls raise the crash, unless kafkajs starts again by itself."""
    if shutil.which("node") is None:
        pytest.skip("no node on the path")
    for name, source in (("kafkajs", KAFKAJS_STAND_IN), ("kafkajs-snappy", "")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "index.js").write_text(source)
    driver = WorkerDriver(["node", str(KAFKAJS / "worker.js")], {"NODE_PATH": str(tmp_path)})
    try:
        consumer = driver.consumer("127.0.0.1:1", ConsumerSettings("g"))
        consumer.subscribe(["t"])
        assert polls(consumer.poll, 3) == [[b"a"], "error 29: for good", "error 29: for good"]
    finally:
        driver.close()


LAST_WORDS = """
import json, sys
print("a library greets")
for line in sys.stdin:
    request = json.loads(line)
    if request["call"].endswith("poll"):
        sys.stderr.write("out of memory")
        sys.exit(1)
    print(json.dumps({"id": request["id"], "result": None}), flush=True)
"""


def test_a_worker_that_dies_says_why() -> None:
    """Words on the wrong stream are no answers; the last words reach every call that waits, and those that follow."""
    worker = Worker([sys.executable, "-c", LAST_WORDS])
    consumer = WorkerConsumer(worker, "127.0.0.1:1", ConsumerSettings())
    for error in polls(consumer.poll, 2):
        assert isinstance(error, str) and error.endswith("out of memory")
    worker.close()


def test_a_session_closes_everything() -> None:
    """A client that cannot be closed does not keep the others open."""
    closed: queue.SimpleQueue[str] = queue.SimpleQueue()

    class Opened(Producer):
        """A producer that only can be closed."""

        def __init__(self, name: str) -> None:
            self._name = name

        def send(self, topic: str, records: Any) -> None:
            """Nothing."""

        def outcomes(self, within: float = 0.0) -> list[Outcome]:
            """None."""
            return []

        def init_transactions(self) -> None:
            """Nothing."""

        def begin(self) -> None:
            """Nothing."""

        def send_offsets(self, offsets: Any, consumer: Any) -> None:
            """Nothing."""

        def commit(self) -> None:
            """Nothing."""

        def abort(self) -> None:
            """Nothing."""

        def close(self) -> None:
            """Note it; the second one fails."""
            closed.put(self._name)
            if self._name == "second":
                raise Failed("cannot")

    class Opening(WorkerDriver):
        """Opens them in order."""

        def __init__(self) -> None:
            self._names = iter(("first", "second", "third"))

        def producer(self, bootstrap: str, settings: ProducerSettings) -> Producer:
            """The next one."""
            return Opened(next(self._names))

    driver = Opening()
    session = Session(driver, {}, driver, type("Broker", (), {"bootstrap": "127.0.0.1:1"}), "scenario")
    for _ in range(3):
        session.producer()
    with pytest.raises(Failed):
        session.close_all()
    assert [closed.get_nowait() for _ in range(3)] == ["third", "second", "first"]
    session.close_all()
    assert closed.empty()
