"""Celery's tasks over Kafka, by kombu's transport for confluent-kafka. `tasks.py BOOTSTRAP FOLDER` is a worker;
with `ask` behind it, a program that has tasks done and prints their results.
"""

from __future__ import annotations

import sys
from typing import Any

from celery import Celery

NUMBER = 20
PATIENCE_SECONDS = 60
BOOTSTRAP, FOLDER = sys.argv[1:3]

app = Celery("tasks", broker=f"confluentkafka://{BOOTSTRAP}", backend=f"file://{FOLDER}")
app.conf.update(
    broker_connection_retry_on_startup=True,
    worker_enable_remote_control=False,
    task_default_queue="celery-tasks",
    # librdkafka looks for topics that it has not found every five minutes unless it is told otherwise.
    broker_transport_options={
        "kafka_consumer_config": {"auto.offset.reset": "earliest", "topic.metadata.refresh.interval.ms": 500},
    },
)


@app.task  # type: ignore[untyped-decorator]  # celery has no types
def add(left: int, right: int) -> int:
    """The sum."""
    return left + right


@app.task(bind=True, max_retries=3, default_retry_delay=0)  # type: ignore[untyped-decorator]  # celery has no types
def stubborn(self: Any) -> int:
    """Fails twice, and then says how often it was tried."""
    if self.request.retries < 2:
        raise self.retry()
    return int(self.request.retries) + 1


def ask() -> None:
    """Have tasks done: many, one that fails at first, and a task for a task's result."""
    sums = [add.delay(number, number) for number in range(NUMBER)]
    print("sums", sorted(each.get(timeout=PATIENCE_SECONDS) for each in sums))
    print("tries", stubborn.delay().get(timeout=PATIENCE_SECONDS))
    print("chained", (add.s(1, 2) | add.s(10)).delay().get(timeout=PATIENCE_SECONDS))


if __name__ == "__main__":
    if sys.argv[3:] == ["ask"]:
        ask()
    else:
        app.worker_main(["worker", "--concurrency=2", "--without-gossip", "--without-mingle", "--without-heartbeat"])
