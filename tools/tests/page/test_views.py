"""Every view, asked over plain HTTP: what it shows, and that it shows it as text."""

from __future__ import annotations

import html
import re
from html.parser import HTMLParser
from urllib.parse import quote, urlencode

import pytest

from tools.tests.page.conftest import HOSTILE, HOSTILE_GROUP, SECRET, Served

VIEWS = {
    "/": "Cluster",
    "/cluster": "Living brokers",
    "/topics": "orders",
    "/topic?name=orders": "retention.ms",
    "/messages?name=orders": "order-119",
    "/message?name=orders&partition=0&offset=3": "order-9",
    "/groups": "billing",
    "/group?id=billing": "billing",
    "/transactions": "ledger-1",
    "/transaction?id=ledger-1": "payments",
    "/connections": "PLAINTEXT",
    "/configs": "log.retention.ms",
    "/newer?name=orders&at=0:0": "order-0",
}


@pytest.mark.parametrize("path", VIEWS)
def test_a_view_shows_what_is_there(path: str, served: Served) -> None:
    """It answers, and has what it is about."""
    answer = served.ask(path)
    assert answer.status == 200
    assert VIEWS[path] in html.unescape(answer.body)


@pytest.mark.parametrize("path", [*VIEWS, f"/group?id={quote(HOSTILE_GROUP)}", "/messages?name=orders&partition=0"])
def test_names_and_contents_are_text_and_never_markup(path: str, served: Served) -> None:
    """W5: Neither a topic's record nor a group's id, nor what was typed, becomes a part of the page."""
    joined = "&" if "?" in path else "?"
    answer = served.ask(f"{path}{joined}{urlencode({'q': HOSTILE, 'find': ''})}")
    assert answer.status == 200
    assert "<script>alert" not in answer.body
    assert "<img" not in answer.body


def test_the_script_in_a_record_can_be_read(served: Served) -> None:
    """As the characters that it is."""
    assert HOSTILE in html.unescape(served.ask("/messages?name=orders&partition=0").body)


def test_no_secret_is_shown(served: Served) -> None:
    """A password of the broker's configuration is named and not shown."""
    body = served.ask("/configs?q=ssl.keystore.password").body
    assert "a secret, never shown" in body
    assert SECRET not in body


def places_in(body: str) -> list[str]:
    """The places of the messages in a view, in its order."""
    return re.findall(r">(\d+:\d+)</a>", body)


def following(body: str) -> str:
    """The address of what comes next."""
    found = re.search(r'<a rel="next" href="(/messages[^"]*)"', body)
    assert found is not None
    return html.unescape(found[1])


def test_going_back_shows_every_record_once(served: Served) -> None:
    """W6: From the newest to the oldest, page by page, of all partitions."""
    path, seen = "/messages?name=orders", []
    while True:
        body = served.ask(path).body
        seen += places_in(body)
        if 'rel="next"' not in body:
            break
        path = following(body)
    assert len(seen) == len(set(seen)) >= 121


def test_going_on_from_an_offset(served: Served) -> None:
    """In order, beginning there."""
    body = served.ask("/messages?name=orders&partition=1&from=offset&where=30").body
    assert places_in(body)[:3] == ["1:30", "1:31", "1:32"]


def test_a_time_is_looked_up(served: Served) -> None:
    """Everything is later than yesterday, and nothing later than tomorrow's next year."""
    assert len(places_in(served.ask("/messages?name=orders&from=time&where=2000-01-01T00:00").body)) == 50
    assert places_in(served.ask("/messages?name=orders&from=time&where=4102444800000").body) == []


@pytest.mark.parametrize(
    ("where", "text", "found"),
    [
        ("key", "order-77", 1),
        ("value", "order-77", 0),
        ("value", '"order": 77', 1),
        ("headers", "t77", 1),
        ("any", "order-77", 1),
        ("any", "nothing like that", 0),
    ],
)
def test_a_search_finds_by_key_value_and_header(where: str, text: str, found: int, served: Served) -> None:
    """And says how far it looked."""
    body = served.ask(f"/messages?{urlencode({'name': 'orders', 'find': text, 'in': where})}").body
    assert len(places_in(body)) == found
    assert "records" in body


def test_json_is_shown_as_json_and_bytes_as_bytes(served: Served) -> None:
    """With an indent; Confluent's framing with its schema's number."""
    assert '"customer": "c2",\n' in html.unescape(served.ask("/message?name=orders&partition=0&offset=3").body)
    body = served.ask("/message?name=payments&offset=0").body
    assert "schema 42" in body
    assert "ff fe" in body


def test_bytes_are_saved_and_never_run(served: Served) -> None:
    """What a record holds is a download, whatever it looks like."""
    answer = served.ask("/raw?name=orders&partition=1&offset=0&part=value")
    assert answer.headers["content-type"] == "application/octet-stream"
    assert answer.headers["content-disposition"].startswith("attachment")
    assert '"order": 1,' in answer.body


def test_a_message_is_produced(served: Served) -> None:
    """With key and headers, to the partition that was chosen; then it is there."""
    form = {"name": "orders", "partition": "2", "key": "by-hand", "value": "hello", "headers": "a: b\nc:d"}
    headers = {"Origin": f"http://127.0.0.1:{served.port}"}
    answer = served.ask("/produce", headers, method="POST", body=urlencode(form))
    assert answer.status == 303
    body = html.unescape(served.ask("/messages?name=orders&find=by-hand&in=key").body)
    assert len(places_in(body)) == 1
    assert "<b>a</b> b" in body
    assert "Written to partition 2" in served.ask(answer.headers["location"]).body


@pytest.mark.parametrize(
    ("path", "status", "sentence"),
    [
        ("/topic?name=nothing", 404, "there is no topic nothing"),
        ("/messages?name=nothing", 404, "there is no topic nothing"),
        ("/messages?name=orders&partition=99", 404, "has no partition 99"),
        ("/message?name=orders&partition=0&offset=99999", 404, "has no record at 99999"),
        ("/group?id=nothing", 404, "there is no group nothing"),
        ("/topics/orders", 404, "there is no view at /topics/orders"),
        ("/configs?broker=77", 404, "there is no broker 77"),
        ("/messages?name=orders&from=time&where=soon", 502, "is not a time"),
        ("/messages?name=orders&at=x", 502, "damaged"),
        ("/topics?page=x", 502, "no number"),
        ("/transaction?id=nothing", 502, ""),
    ],
)
def test_what_cannot_be_shown_is_a_sentence(path: str, status: int, sentence: str, served: Served) -> None:
    """Never a trace, never an empty page."""
    answer = served.ask(path)
    assert answer.status == status
    assert sentence in html.unescape(answer.body)
    assert "Traceback" not in answer.body


def test_pages_beyond_the_last_are_the_last(served: Served) -> None:
    """An old link still shows something."""
    assert "orders" in served.ask("/topics?page=999999").body


def test_every_view_stands_on_its_own(served: Served) -> None:
    """Nothing is loaded from elsewhere, so the page works without a network."""
    for path in VIEWS:
        parser = Attributes()
        parser.feed(served.ask(path).body)
        assert parser.found
        for name, value in parser.found:
            assert not name.startswith("on") and name != "style", "the page's own policy forbids it"
            if name in ("src", "href", "action"):
                assert value.startswith(("/", "#")) and not value.startswith("//"), path


class Attributes(HTMLParser):
    """The attributes of all elements."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, str]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found += [(name, value or "") for name, value in attrs]
