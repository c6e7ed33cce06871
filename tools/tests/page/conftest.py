"""A broker with something in it, and the page of it, each a process of its own."""

from __future__ import annotations

import http.client
import json
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import NamedTuple

import confluent_kafka
import pytest
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

import ottla

HOSTILE = "<script>alert('x')</script>"
HOSTILE_GROUP = f'"><img src=x onerror=alert(1)>{HOSTILE}'
SECRET = "topsecretpassword"


class Answer(NamedTuple):
    """A status, headers in lower case, and a body as text."""

    status: int
    headers: Mapping[str, str]
    body: str


class Served(NamedTuple):
    """The page at `port` of this machine, and the broker behind it."""

    port: int
    token: str
    broker: ottla.Broker

    @property
    def address(self) -> str:
        """What a person opens."""
        return f"http://127.0.0.1:{self.port}/?token={self.token}"

    def ask(
        self, path: str, headers: Mapping[str, str] | None = None, *, method: str = "GET", body: str | None = None
    ) -> Answer:
        """Ask as a program that has the token, unless `headers` say otherwise; one of None is left out."""
        given = {"Host": f"127.0.0.1:{self.port}", "Authorization": f"Bearer {self.token}", **(headers or {})}
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
        for name, value in given.items():
            if value:
                connection.putheader(name, value)
        if body is not None:
            connection.putheader("Content-Length", str(len(body.encode())))
            connection.putheader("Content-Type", "application/x-www-form-urlencoded")
        connection.endheaders(None if body is None else body.encode())
        response = connection.getresponse()
        answer = Answer(
            response.status, {name.lower(): value for name, value in response.getheaders()}, response.read().decode()
        )
        connection.close()
        return answer


@contextmanager
def page_of(broker: ottla.Broker, *words: str) -> Iterator[Served]:
    """The page as `ottla page` serves it."""
    command = [sys.executable, "-m", "ottla", "page", "--port", "0", "-b", broker.bootstrap_servers, *words]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        found = re.search(r"http://127\.0\.0\.1:(\d+)/\?token=(\S+)", process.stdout.readline())
        assert found is not None, "the page says where it is"
        yield Served(int(found[1]), found[2], broker)
    finally:
        process.terminate()
        assert process.wait(20) == 0
        assert process.stdout is not None
        process.stdout.close()


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The page of a broker with topics, groups and an open transaction, whose names and contents are hostile."""
    settings = {
        "ottla.metrics.listener": "0",
        "offsets.topic.num.partitions": 1,
        "transaction.state.log.num.partitions": 1,
        "ssl.keystore.password": SECRET,
    }
    with ottla.Broker(data=tmp_path_factory.mktemp("data"), config=settings) as broker:
        fill(broker.bootstrap_servers)
        (metrics,) = re.findall(r'metrics are served.*?address[="\s:]+([\d.]+:\d+)', broker.log)
        transactional = open_transaction(broker.bootstrap_servers)
        with page_of(broker, "--metrics", metrics) as page:
            yield page
        transactional.abort_transaction(20)


def fill(servers: str) -> None:
    """Two topics, a group that is behind, and one with a name that would be a script."""
    admin = AdminClient({"bootstrap.servers": servers})
    topics = [
        NewTopic("orders", 3, config={"retention.ms": "86400000"}),
        NewTopic("payments", 1, config={"cleanup.policy": "compact"}),
    ]
    for future in admin.create_topics(topics).values():
        future.result()
    producer = confluent_kafka.Producer({"bootstrap.servers": servers})
    for number in range(120):
        order = {"order": number, "customer": f"c{number % 7}", "items": [{"sku": "A1", "n": number % 3}]}
        producer.produce(
            "orders", json.dumps(order), key=f"order-{number}", partition=number % 3, headers={"trace": f"t{number}"}
        )
    producer.produce("orders", HOSTILE, key=HOSTILE_GROUP, partition=0, headers={HOSTILE: HOSTILE})
    producer.produce("payments", b"\0\0\0\0\x2a\xff\xfe", key=b"\xff\x00")
    producer.flush(30)
    for group in ("billing", HOSTILE_GROUP):
        consumer = confluent_kafka.Consumer(
            {"bootstrap.servers": servers, "group.id": group, "enable.auto.commit": False, "client.id": "reader"}
        )
        consumer.commit(offsets=[confluent_kafka.TopicPartition("orders", 0, 10)], asynchronous=False)
        consumer.close()


def open_transaction(servers: str) -> confluent_kafka.Producer:
    """A producer in the midst of one."""
    producer = confluent_kafka.Producer(
        {"bootstrap.servers": servers, "transactional.id": "ledger-1", "transaction.timeout.ms": 600_000}
    )
    producer.init_transactions(20)
    producer.begin_transaction()
    producer.produce("payments", b"perhaps", key=b"k")
    producer.flush(20)
    return producer
