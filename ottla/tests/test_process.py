"""`ottla.Broker` against a child that misbehaves: what a user sees, and that no process is left over.

The child here is a script that stands where the command would, so each failure comes at once and for certain. The
broker itself under `ottla.Broker` is in test_broker.py.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

import ottla
from ottla import process

StandIn = Callable[[str], None]

# A child that serves: says where, then waits for the end of its input as the broker does.
SERVES = "print('ready 127.0.0.1:4711', flush=True); sys.stdin.read()"


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StandIn:
    """A function that puts a script in the command's place."""

    def put(script: str) -> None:
        command = tmp_path / "command.py"
        command.write_text(f"import sys, signal, json, os\n{script}\n", encoding="utf-8")
        monkeypatch.setattr(process, "_COMMAND", str(command))

    return put


def alive(pid: int) -> bool:
    """Whether the process is there; a dead one that was not waited for yet is not."""
    return psutil.pid_exists(pid) and bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)


def test_the_block_runs_while_the_broker_does(stand_in: StandIn) -> None:
    """Inside the block the announced address is there; after it the process is not."""
    stand_in(SERVES)
    with ottla.Broker() as broker:
        assert broker.bootstrap_servers == "127.0.0.1:4711"
        assert (broker.host, broker.port) == ("127.0.0.1", 4711)
        pid = broker.pid
        assert alive(pid)
    assert not alive(pid)
    with pytest.raises(ottla.BrokerError, match="not running"):
        _ = broker.bootstrap_servers


async def test_the_block_may_be_asynchronous(stand_in: StandIn) -> None:
    """`async with` does what `with` does, in any event loop."""
    stand_in(SERVES)
    async with ottla.Broker() as broker:
        pid = broker.pid
        assert alive(pid)
    assert not alive(pid)


def test_an_ipv6_address_is_bracketed(stand_in: StandIn) -> None:
    """Clients read `[::1]:9092`; `host` is the bare address."""
    stand_in("print('ready [::1]:4711', flush=True); sys.stdin.read()")
    with ottla.Broker(host="::1") as broker:
        assert broker.bootstrap_servers == "[::1]:4711"
        assert broker.host == "::1"


def test_a_broker_on_every_address_is_reached_on_this_machine(stand_in: StandIn) -> None:
    """`0.0.0.0` is where to listen; clients here connect to the loopback address."""
    stand_in("print('ready 0.0.0.0:4711', flush=True); sys.stdin.read()")
    with ottla.Broker(host="0.0.0.0") as broker:
        assert broker.host == "0.0.0.0"
        assert broker.bootstrap_servers == "127.0.0.1:4711"


def test_options_reach_the_command(stand_in: StandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Options become the command's words; a relative folder is made absolute, booleans become Kafka's."""
    stand_in("print(json.dumps(sys.argv[1:]), file=sys.stderr, flush=True);" + SERVES)
    monkeypatch.chdir(tmp_path)
    with ottla.Broker(port=9, data="kept", config={"auto.create.topics.enable": False, "num.partitions": 3}) as broker:
        process_of_broker = broker._process
        assert process_of_broker is not None
    words = json.loads(process_of_broker.log)
    assert words[:3] == ["serve", "--host", "127.0.0.1"]
    assert words[words.index("--port") + 1] == "9"
    assert words[words.index("--data") + 1] == str(tmp_path / "kept")
    assert "--memory" not in words
    assert [words[at + 1] for at, word in enumerate(words) if word == "--set"] == [
        "auto.create.topics.enable=false",
        "num.partitions=3",
    ]


def test_a_failed_start_says_why(stand_in: StandIn) -> None:
    """The error carries the exit status and what the broker wrote before it gave up."""
    stand_in("sys.exit('the port is in use')")
    with pytest.raises(ottla.BrokerError, match=r"status 1 before it was ready:\nthe port is in use"):
        ottla.Broker().start()


def test_a_start_that_hangs_is_ended(stand_in: StandIn, tmp_path: Path) -> None:
    """A child that never announces itself is killed at the timeout, and the error is as clear."""
    pid_file = tmp_path / "pid"
    stand_in(f"open({str(pid_file)!r}, 'w').write(str(os.getpid())); sys.stdin.read()")
    with pytest.raises(ottla.BrokerError, match="not ready within 1 s"):
        ottla.Broker(start_timeout=1).start()
    assert not alive(int(pid_file.read_text()))


def test_a_stop_that_hangs_is_ended(stand_in: StandIn) -> None:
    """A broker deaf to SIGTERM and to the end of its input is killed at the timeout."""
    stand_in(
        "signal.signal(signal.SIGTERM, signal.SIG_IGN); print('ready 127.0.0.1:1', flush=True)\n"
        "while True: signal.pause()"
    )
    broker = ottla.Broker(stop_timeout=0.1)
    broker.start()
    pid = broker.pid
    broker.stop()
    assert not alive(pid)


def test_a_broker_that_logs_much_is_not_held_up(stand_in: StandIn) -> None:
    """More log than a pipe holds, before and after the ready line; the last lines are there to be read."""
    stand_in("sys.stderr.write('first\\n' + 'y\\n' * 200_000);" + SERVES)
    with ottla.Broker() as broker:
        process_of_broker = broker._process
        assert process_of_broker is not None
    assert process_of_broker.log == "y\n" * 200
    assert broker.log == ""


def test_kill_and_restart_keep_the_port(stand_in: StandIn) -> None:
    """After `kill` or `stop` the same object starts a new process, and asks for the port it had."""
    stand_in(
        "port = sys.argv[sys.argv.index('--port') + 1]\n"
        "print('ready 127.0.0.1:' + ('4711' if port == '0' else port), flush=True); sys.stdin.read()"
    )
    with ottla.Broker() as broker:
        first = broker.pid
        broker.kill()
        assert not alive(first)
        broker.restart()
        assert broker.pid != first
        assert broker.port == 4711
        broker.kill()
        broker.kill()
        broker.stop()


def test_a_running_broker_is_not_started_twice(stand_in: StandIn) -> None:
    """A second `start` is a mistake of the caller and says so; the first process stays."""
    stand_in(SERVES)
    with ottla.Broker() as broker:
        with pytest.raises(ottla.BrokerError, match="running already"):
            broker.start()
        assert alive(broker.pid)


DIES = "print('ready 127.0.0.1:4711', flush=True); print('the last words', file=sys.stderr); sys.exit(3)"


def test_a_broker_that_dies_is_noticed(stand_in: StandIn) -> None:
    """Whatever asks for its address afterwards is answered with its last words, and so is the end of the block."""
    stand_in(DIES)
    last_words = r"ended with status 3, though it was not stopped:\nthe last words"
    with pytest.raises(ottla.BrokerError, match=last_words), ottla.Broker() as broker:
        process_of_broker = broker._process
        assert process_of_broker is not None
        process_of_broker.child.wait(30)
        with pytest.raises(ottla.BrokerError, match=last_words):
            _ = broker.bootstrap_servers
        assert repr(broker) == "<ottla.Broker 127.0.0.1:4711, in memory, ended with status 3>"


def test_the_reason_of_a_test_that_fails_with_its_broker_stays_in_front(stand_in: StandIn) -> None:
    """The client's error is the one that is raised; the broker's last words are a note on it."""
    stand_in(DIES)
    with pytest.raises(TimeoutError) as failed, ottla.Broker() as broker:
        assert broker._process is not None
        broker._process.child.wait(30)
        raise TimeoutError("no broker answers")
    assert "the last words" in failed.value.__notes__[0]


def test_a_broker_that_died_can_be_started_again(stand_in: StandIn) -> None:
    """On the same port, as after `kill`."""
    stand_in(DIES)
    broker = ottla.Broker()
    broker.start()
    assert broker._process is not None
    broker._process.child.wait(30)
    stand_in(SERVES)
    broker.start()
    assert broker.port == 4711
    broker.stop()


def test_the_log_has_what_was_written_before_the_ready_line(stand_in: StandIn) -> None:
    """A notice about the configuration is there when `start` returns, however slow the reader of the log is."""
    stand_in("print('line\\n' * 5000 + 'the notice', file=sys.stderr, flush=True);" + SERVES)
    with ottla.Broker() as broker:
        assert broker.log.splitlines()[-1] == "the notice"


def test_a_broker_says_where_it_is(stand_in: StandIn, tmp_path: Path) -> None:
    """In the display of a variable, and in what pytest prints of a failing test."""
    stand_in(SERVES)
    broker = ottla.Broker(data=tmp_path)
    assert repr(broker) == f"<ottla.Broker, not running, data in {tmp_path}>"
    with broker:
        assert repr(broker) == f"<ottla.Broker 127.0.0.1:4711, data in {tmp_path}, pid {broker.pid}>"


def test_settings_are_the_brokers_own(stand_in: StandIn) -> None:
    """Neither variables of the machine nor misspelt keys have a say; `strict=False` lets other programs' keys in."""
    stand_in("print(json.dumps(sys.argv[1:]), file=sys.stderr, flush=True);" + SERVES)
    with ottla.Broker() as broker:
        assert {"--strict", "--no-environment"} <= set(json.loads(broker.log))
    with ottla.Broker(strict=False) as broker:
        assert "--strict" not in json.loads(broker.log)
