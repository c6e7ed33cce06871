"""The failure matrix: what is done, and what is promised of it. Each row lasts until its function returns."""

from __future__ import annotations

import random
import signal
from collections.abc import Callable
from typing import NamedTuple

from tools.trials.brokers import pause
from tools.trials.cluster_failures.stage import Stage
from tools.trials.http_proxy import Fault


class Row(NamedTuple):
    """One failure. `outcome` is the promise, as the page has it."""

    name: str
    what: str
    outcome: str
    happen: Callable[[Stage], None]


def _kill_broker(stage: Stage) -> None:
    broker = stage.brokers.processes[1]
    broker.kill()
    pause(4)
    broker.start()
    broker.wait_until()


def _pause_broker(stage: Stage) -> None:
    stage.signal_broker(2, signal.SIGSTOP)
    pause(5)
    stage.signal_broker(2, signal.SIGCONT)


def _planned(method: str, *faults: Fault) -> Callable[[Stage], None]:
    def happen(stage: Stage) -> None:
        for _ in range(4):
            stage.in_proxies(lambda: stage.bucket_proxy.plan(method, *faults))
            pause(1)
        stage.in_proxies(stage.bucket_proxy.forget)

    return happen


def _busy_bucket(stage: Stage) -> None:
    def busy(method: str, path: str) -> Fault | None:
        return Fault.BUSY

    stage.in_proxies(lambda: setattr(stage.bucket_proxy, "chance", busy))
    pause(4)
    stage.in_proxies(lambda: setattr(stage.bucket_proxy, "chance", None))


def _chaotic_bucket(stage: Stage) -> None:
    chance = random.Random(17)
    faults = {
        "PUT": [Fault.BUSY, Fault.ERROR, Fault.LOST, Fault.CUT_UPLOAD],
        "GET": [Fault.BUSY, Fault.LOST, Fault.CUT, Fault.SHORT, Fault.WHOLE, Fault.CORRUPT],
    }

    def draw(method: str, path: str) -> Fault | None:
        return chance.choice(faults[method]) if method in faults and chance.random() < 0.25 else None

    stage.in_proxies(lambda: setattr(stage.bucket_proxy, "chance", draw))
    pause(8)
    stage.in_proxies(lambda: setattr(stage.bucket_proxy, "chance", None))


def _slow_bucket(stage: Stage) -> None:
    stage.in_proxies(lambda: setattr(stage.bucket_proxy, "delay", 0.8))
    pause(5)
    stage.in_proxies(lambda: setattr(stage.bucket_proxy, "delay", 0.0))


def _kill_bucket(stage: Stage) -> None:
    stage.bucket.kill()
    pause(2)
    stage.bucket.start()


def _pause_bucket(stage: Stage) -> None:
    stage.bucket.process.pause()
    pause(4)
    stage.bucket.process.resume()


def _lost_commits(stage: Stage) -> None:
    for _ in range(6):
        stage.in_proxies(lambda: stage.database_proxy.lose_reply(times=2))
        pause(0.7)


def _lost_requests(stage: Stage) -> None:
    for _ in range(6):
        stage.in_proxies(lambda: stage.database_proxy.lose_request(times=2))
        pause(0.7)


def _cut_database(stage: Stage) -> None:
    for _ in range(10):
        stage.in_proxies(stage.database_proxy.cut)
        pause(0.4)


def _unreachable_database(stage: Stage) -> None:
    stage.in_proxies(lambda: setattr(stage.database_proxy, "refusing", True))
    stage.in_proxies(stage.database_proxy.cut)
    pause(4)
    stage.in_proxies(lambda: setattr(stage.database_proxy, "refusing", False))


def _pause_database(stage: Stage) -> None:
    stage.database.pause(True)
    pause(4)
    stage.database.pause(False)


def _kill_database(stage: Stage) -> None:
    stage.database.kill()
    pause(1)
    stage.primary.start()


def _lose_standby(stage: Stage) -> None:
    stage.standby.stop()
    pause(4)
    stage.standby.start()


def _fail_over(stage: Stage) -> None:
    stage.fail_over()


ROWS = (
    Row("no failure", "nothing", "the measure of the others", lambda stage: pause(3)),
    Row(
        "broker killed", "SIGKILL of one of three, started again after 4 s",
        "clients go on with the others; nothing acknowledged is lost, idempotent producers write nothing twice",
        _kill_broker,
    ),
    Row(
        "broker paused", "SIGSTOP for 5 s, longer than its lease: a zombie afterwards",
        "its shards move; what it commits late is legal and not doubled", _pause_broker,
    ),
    Row(
        "uploads answered 500 and 503", "four uploads a second are done and answered 500, or not done and answered 503",
        "the same bytes under the same key again; commit after a 200 only", _planned("PUT", Fault.ERROR, Fault.BUSY),
    ),
    Row(
        "answers to uploads lost", "uploads are done, the connection is closed",
        "the same bytes under the same key again", _planned("PUT", Fault.LOST, Fault.LOST, Fault.CUT_UPLOAD),
    ),
    Row(
        "uploads never answered", "uploads are done and hang until the time-out of 5 s",
        "put again after the time-out; records wait so long", _planned("PUT", Fault.HANG),
    ),
    Row("bucket busy", "503 to everything for 4 s", "producers wait; nothing is lost", _busy_bucket),
    Row("bucket slow", "0.8 s before each request, for 5 s", "acknowledgements come later by that", _slow_bucket),
    Row(
        "bucket lies to readers",
        "a quarter of all requests for 8 s: cut, short, wrong by a bit, whole for a range, busy",
        "every batch is checked and read again; no reader sees a wrong record", _chaotic_bucket,
    ),
    Row("bucket killed", "SIGKILL, back after 2 s", "producers wait; what was acknowledged is there", _kill_bucket),
    Row("bucket paused", "SIGSTOP for 4 s", "producers wait", _pause_bucket),
    Row(
        "answers of the database lost", "commits and questions are done, the connection is cut before the answer",
        "the same commit again, which happens once", _lost_commits,
    ),
    Row(
        "questions to the database lost", "the connection is cut before the server sees them",
        "the same again", _lost_requests,
    ),
    Row("database cut off", "all connections reset, ten times in 4 s", "the same again", _cut_database),
    Row(
        "database unreachable", "for 4 s, longer than a lease",
        "reads of what is known go on; producers wait; leases are joined again", _unreachable_database,
    ),
    Row("database paused", "SIGSTOP of all its processes for 4 s", "producers wait", _pause_database),
    Row(
        "database killed", "SIGKILL of all its processes, back after 1 s", "its own recovery; nothing is lost",
        _kill_database,
    ),
    Row(
        "standby lost", "the synchronous standby stopped for 4 s", "commits wait for it: no acknowledgement meanwhile",
        _lose_standby,
    ),
    Row(
        "database failed over", "the primary killed, the standby promoted, the address moved",
        "nothing acknowledged is lost; commits without an answer are asked for again", _fail_over,
    ),
)  # fmt: skip
