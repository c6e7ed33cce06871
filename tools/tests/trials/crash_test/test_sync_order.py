"""The short form of the audit; a broker that does not wait for the disk; and traces with one thing wrong in each."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from kproto.messages.produce import PartitionProduceResponse, ProduceResponse, TopicProduceResponse
from kproto.schema.compile import encode
from tools.trials.crash_test.outcome import CannotTry, Outcome, Plan
from tools.trials.crash_test.sync_order import PRODUCE_VERSION, Audit, run
from tools.trials.crash_test.trace import events

DATA = "/d"
LOG = "/d/orders-0/0.log"


def tried(plan: Plan) -> Outcome:
    """Run the tier, or skip the test where it cannot be tried."""
    try:
        return run(plan)
    except CannotTry as error:
        pytest.skip(str(error))


def test_a_real_broker_syncs_first(tmp_path: Path) -> None:
    """Under a real load, no acks=all answer leaves before its bytes and names are durable."""
    outcome = tried(Plan(100, tmp_path))
    assert not outcome.violations, "\n".join(outcome.lines())
    assert outcome.counts["acknowledgements with acks=all"] > 60
    assert outcome.counts["of them before their sync"] > 0, "acks=1 need not wait"
    assert outcome.counts["answers of coordinators"] > 20


def test_a_broker_that_does_not_wait_is_seen(tmp_path: Path) -> None:
    """The test of the test: with its fsync turned off, a real broker fails the audit."""
    outcome = tried(Plan(30, tmp_path, settings=("ottla.ack.fsync=false",)))
    assert any("was acknowledged, and" in words and "has not been synced" in words for words in outcome.violations)


# -- traces made by hand -----------------------------------------------------------------------------------------------


def hexed(data: bytes | str) -> str:
    """As strace -xx writes it."""
    return "".join(f"\\x{byte:02x}" for byte in (data.encode() if isinstance(data, str) else data))


def call(name: str, path: str, rest: str = "", result: int | str = 0, pid: int = 1) -> str:
    """A call with a descriptor."""
    return f"{pid} {name}(7<{hexed(path)}>{rest}) = {result}"


def wrote(path: str = LOG, base_offset: int = 0) -> str:
    """A batch is written."""
    return call("pwrite64", path, f', "{hexed(base_offset.to_bytes(8, "big") + bytes(53))}"..., 80, 0', 80)


def made(path: str) -> str:
    """A file is made."""
    return f'1 openat(AT_FDCWD<{hexed("/")}>, "{hexed(path)}", O_RDWR|O_CREAT|O_CLOEXEC, 0644) = 7<{hexed(path)}>'


def made_directory(path: str) -> str:
    """A directory is made."""
    return f'1 mkdir("{hexed(path)}", 0777) = 0'


def renamed(old: str, new: str) -> str:
    """A name is given."""
    return f'1 rename("{hexed(old)}", "{hexed(new)}") = 0'


def synced(path: str = LOG, result: int | str = 0) -> str:
    """A sync that is over when the next line comes."""
    return call("fdatasync" if path.endswith(".log") else "fsync", path, "", result, pid=2)


def acknowledged(base_offset: int = 0, port: int = 5000) -> str:
    """An answer to Produce leaves."""
    part = PartitionProduceResponse(index=0, error_code=0, base_offset=base_offset)
    response = ProduceResponse(responses=[TopicProduceResponse(name="orders", partition_responses=[part])])
    chunks = encode(response, PRODUCE_VERSION)
    body = bytes(4) + b"\0" + b"".join(chunk for chunk in chunks if isinstance(chunk, bytes | bytearray))
    frame = len(body).to_bytes(4, "big") + body
    return f'1 sendto(9<TCP:[127.0.0.1:9092->127.0.0.1:{port}]>, "{hexed(frame)}", {len(frame)}, 0, NULL, 0) = 9'


BEGUN = f"2 fdatasync(7<{hexed(LOG)}> <unfinished ...>"
RESUMED = "2 <... fdatasync resumed>) = 0"
TMP, CHECKPOINT = "/d/points.tmp", "/d/points"
FAILED = "-1 EIO (Input/output error)"
OLD = (wrote(), synced())
X = ', "\\x58", 1'


@pytest.mark.parametrize(
    ("lines", "violation"),
    [
        ([wrote(), synced(), acknowledged()], ""),
        ([wrote(), acknowledged(), synced()], "has not been synced"),
        ([wrote(), BEGUN, acknowledged(), RESUMED], "has not been synced"),
        ([wrote(), BEGUN, RESUMED, acknowledged()], ""),
        ([BEGUN, wrote(), RESUMED, acknowledged()], "has not been synced"),
        ([wrote(), synced(result=FAILED), acknowledged()], "has not been synced"),
        ([wrote(), synced("/d/orders-1/0.log"), acknowledged()], "has not been synced"),
        ([synced(), acknowledged()], "no such batch was written"),
        ([wrote(), synced(), acknowledged(base_offset=1)], "no such batch was written"),
        ([made(LOG), *OLD, acknowledged()], "name /d/orders-0/0.log is not durable"),
        ([made(LOG), *OLD, synced("/d/orders-0"), acknowledged()], ""),
        ([synced("/d/orders-0"), made(LOG), *OLD, acknowledged()], "name /d/orders-0/0.log is not durable"),
        ([made_directory("/d/orders-0"), *OLD, acknowledged()], "name /d/orders-0 is not durable"),
        ([made_directory("/d/orders-0"), *OLD, synced("/d"), acknowledged()], ""),
        ([made(TMP), call("write", TMP, X, 1), renamed(TMP, CHECKPOINT), call("fsync", "/d")], "unsynced"),
        ([made(TMP), renamed(TMP, CHECKPOINT)], "was never synced"),
        ([made(TMP), renamed(TMP, CHECKPOINT), wrote()], "the next thing was pwrite64"),
        ([made(TMP), renamed(TMP, CHECKPOINT), call("fsync", "/d"), wrote()], ""),
        ([wrote(), renamed(LOG, LOG + ".deleted"), wrote("/d/orders-0/9.log")], ""),
        ([wrote("/d/__consumer_offsets-0/0.log"), acknowledged(port=5002)], "a coordinator answered"),
        ([wrote(), acknowledged(port=5002)], ""),
    ],
)
def test_what_the_audit_sees(lines: Sequence[str], violation: str) -> None:
    """Each trace has one thing wrong, or the same thing right."""
    audit = Audit(DATA, {5000}, {5001}, {5002})
    audit.read(lines)
    if violation:
        assert [violation in words for words in audit.violations] == [True], audit.violations
    else:
        assert not audit.violations


def test_acks_1_may_go_first() -> None:
    """It is counted, not condemned."""
    audit = Audit(DATA, {5000}, {5001}, {5002})
    audit.read([wrote(), acknowledged(port=5001)])
    assert not audit.violations
    assert audit.counts["of them before their sync"] == 1


def test_calls_of_several_threads() -> None:
    """Two lines belong together by thread and name; a call that never returns ends nothing."""
    lines = [BEGUN, wrote(), RESUMED, "3 fsync(7<\\x2f\\x64> <unfinished ...>", "1 +++ exited with 0 +++"]
    seen = [(event.pid, event.call, event.result) for event in events(lines)]
    assert seen == [
        (2, "fdatasync", None), (1, "pwrite64", None), (1, "pwrite64", 80), (2, "fdatasync", 0), (3, "fsync", None)
    ]  # fmt: skip
