"""On a broker that asks who one is, the page is its user, and sees what that one may see."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import confluent_kafka
import pytest

import ottla
from tools.tests.page.conftest import Served, page_of

MODULE = "org.apache.kafka.common.security.plain.PlainLoginModule"
SETTINGS = {
    "listeners": "SASL_PLAINTEXT://127.0.0.1:0",
    "sasl.enabled.mechanisms": "PLAIN",
    "listener.name.sasl_plaintext.plain.sasl.jaas.config": f'{MODULE} required user_admin="a" user_eve="e";',
    "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
    "super.users": "User:admin",
    "offsets.topic.num.partitions": 1,
}


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ottla.Broker]:
    """A broker that lets in two users, of whom one may do everything and the other nothing."""
    with ottla.Broker(data=tmp_path_factory.mktemp("data"), config=SETTINGS) as running:
        producer = confluent_kafka.Producer(
            {
                "bootstrap.servers": running.bootstrap_servers,
                "security.protocol": "SASL_PLAINTEXT",
                "sasl.mechanism": "PLAIN",
                "sasl.username": "admin",
                "sasl.password": "a",
            }
        )
        producer.produce("orders", b"for the admin alone", partition=0)
        assert producer.flush(30) == 0
        yield running


def page_as(broker: ottla.Broker, user: str, password: str, folder: Path) -> Iterator[Served]:
    """The page of this user."""
    properties = folder / "client.properties"
    jaas = f'{MODULE} required username="{user}" password="{password}";'
    properties.write_text(f"security.protocol=SASL_PLAINTEXT\nsasl.mechanism=PLAIN\nsasl.jaas.config={jaas}\n")
    with page_of(broker, "-F", str(properties)) as served:
        yield served


def test_one_who_may_sees(broker: ottla.Broker, tmp_path: Path) -> None:
    """Topics and what is in them."""
    for served in page_as(broker, "admin", "a", tmp_path):
        assert "orders" in served.ask("/topics").body
        assert "for the admin alone" in served.ask("/messages?name=orders").body


def test_one_who_may_not_does_not(broker: ottla.Broker, tmp_path: Path) -> None:
    """Neither names nor contents, whichever view is asked; each says so, and none fails with a trace."""
    for served in page_as(broker, "eve", "e", tmp_path):
        for path in ("/", "/topics", "/topic?name=orders", "/messages?name=orders", "/newer?name=orders&at=0:0",
                     "/message?name=orders&partition=0&offset=0", "/raw?name=orders&partition=0&offset=0",
                     "/groups", "/group?id=g", "/transactions", "/transaction?id=t", "/configs"):  # fmt: skip
            answer = served.ask(path)
            assert answer.status in (200, 403, 404, 502), path
            assert "for the admin alone" not in answer.body
            assert ">orders<" not in answer.body
        form = "name=orders&partition=0&value=forged"
        answer = served.ask("/produce", {"Origin": f"http://127.0.0.1:{served.port}"}, method="POST", body=form)
        assert answer.status in (403, 404)


def test_a_wrong_password_is_a_sentence(broker: ottla.Broker, tmp_path: Path) -> None:
    """Not an empty page."""
    for served in page_as(broker, "eve", "wrong", tmp_path):
        answer = served.ask("/topics")
        assert answer.status == 502
        assert "authentication failed" in answer.body.lower()
