"""Celery: tasks in a topic, by kombu's transport for confluent-kafka."""

from __future__ import annotations

from compat_tests.programs.kits import CELERY
from compat_tests.programs.plain import PATIENCE, Plain

KIT = CELERY


def test_tasks_are_done(plain: Plain) -> None:
    """Many at once, one that fails at first, and one with another's result; the worker ends by SIGTERM"""
    results = plain.folder / "results"
    results.mkdir()
    with (
        plain.running("tasks.py", plain.bootstrap, str(results)) as worker,
        plain.running("tasks.py", plain.bootstrap, str(results), "ask") as asking,
    ):
        assert asking.wait(PATIENCE) == 0, asking.log()[-2000:] + worker.log()[-2000:]
        said = dict(line.split(" ", 1) for line in asking.lines() if line.startswith(("sums", "tries", "chained")))
        assert said == {"sums": str([2 * number for number in range(20)]), "tries": "3", "chained": "13"}
        assert worker.terminate() == 0, worker.log()[-2000:]
