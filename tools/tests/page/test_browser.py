"""The page in a real Chromium: every view, by keyboard, in light and dark, and with many topics.

Needs a Chromium on the machine (the distribution's; CHROMIUM names another one). Without one these tests are skipped,
and the summary says so. With OTTLA_SCREENSHOTS=DIR each view leaves a picture there, as for `docs/page.md`.
"""

from __future__ import annotations

import os
import re
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import confluent_kafka
import pytest

import ottla
from kproto.messages.create_topics import CreatableTopic, CreateTopicsRequest
from kproto.messages.find_coordinator import FindCoordinatorRequest
from kproto.messages.offset_commit import OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic
from tools.tests.page.conftest import HOSTILE, HOSTILE_GROUP, Served, page_of
from tools.tests.page.test_views import VIEWS
from tools.wire import WireConnection

pytest.importorskip("playwright.sync_api", reason="THE PAGE IS NOT TRIED IN A BROWSER: playwright is not installed")
from playwright.sync_api import Browser, Dialog, Page, sync_playwright

CHROMIUM = os.environ.get("CHROMIUM") or next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome-headless-shell"))), None
)
pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason="THE PAGE IS NOT TRIED IN A BROWSER: there is no Chromium; install one, or set CHROMIUM"
)
PICTURES = os.environ.get("OTTLA_SCREENSHOTS")
SEEN = [path for path in VIEWS if not path.startswith("/newer")]


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """A headless Chromium."""
    with sync_playwright() as driver:
        flags = ["--no-sandbox"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []
        chromium = driver.chromium.launch(executable_path=CHROMIUM, args=flags)
        yield chromium
        chromium.close()


@pytest.fixture
def page(browser: Browser, served: Served) -> Iterator[Page]:
    """A tab of a person who has opened the address. A script of the page that fails, whatever the policy refuses, and a
    dialog (which only a script that was let in could open) fail the test."""
    yield from tab(browser, served)


def tab(browser: Browser, served: Served, scheme: str = "light") -> Iterator[Page]:
    context = browser.new_context(viewport={"width": 1280, "height": 900}, color_scheme=scheme)  # type: ignore[arg-type]  # one of its words
    opened = context.new_page()
    wrong: list[str] = []

    def dismissed(dialog: Dialog) -> None:
        wrong.append(dialog.message)
        dialog.dismiss()

    opened.on("pageerror", lambda error: wrong.append(str(error)))
    opened.on("console", lambda message: wrong.append(message.text) if message.type == "error" else None)
    opened.on("dialog", dismissed)
    opened.on("request", lambda request: wrong.append(request.url) if not is_own(request.url, served) else None)
    opened.goto(served.address)
    yield opened
    context.close()
    assert wrong == []


def is_own(url: str, served: Served) -> bool:
    return url.startswith((f"http://127.0.0.1:{served.port}/", "data:"))


def at(served: Served, path: str) -> str:
    return f"http://127.0.0.1:{served.port}{path}"


def keep_picture(page: Page, name: str) -> None:
    if PICTURES:
        Path(PICTURES).mkdir(parents=True, exist_ok=True)
        page.screenshot(path=Path(PICTURES) / f"{name}.png", full_page=False)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_view_is_drawn(scheme: str, browser: Browser, served: Served) -> None:
    """Without an error of a script or of the policy, no wider than the window, with text that stands out."""
    for page in tab(browser, served, scheme):
        for path in SEEN:
            page.goto(at(served, path))
            assert page.locator("h1").count() == 1, path
            assert page.locator("main").inner_text(), path
            assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), f"{path} fits"
            colours = "(() => { const s = getComputedStyle(document.body); return [s.color, s.backgroundColor] })()"
            assert contrast(*page.evaluate(colours)) > 7
            name = re.sub(r"\W+", "-", path.partition("=")[0]).strip("-").removesuffix("-name").removesuffix("-id")
            keep_picture(page, f"{name or 'overview'}-{scheme}")


def contrast(one: str, other: str) -> float:
    """The ratio of WCAG 2.2, "contrast ratio", of two colours as `rgb(r, g, b)`."""

    def luminance(colour: str) -> float:
        parts = [int(number) / 255 for number in re.findall(r"\d+", colour)[:3]]
        red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def test_the_token_is_gone_from_the_address(page: Page, served: Served) -> None:
    """Nothing that is copied from there lets others in."""
    assert page.url == at(served, "/")
    page.goto(at(served, "/topics"))
    assert page.locator("h1").inner_text() == "Topics"


def test_all_is_reached_by_keyboard(page: Page, served: Served) -> None:
    """A link over what repeats, "/" for the search, Enter to follow; whatever has the focus shows it."""
    page.goto(at(served, "/topics"))
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") != "none"
    page.keyboard.press("Enter")
    assert page.evaluate("location.hash") == "#content"
    page.keyboard.press("/")
    page.keyboard.type("order")
    page.keyboard.press("Enter")
    page.wait_for_url("**/topics?q=order*")
    assert page.locator("tbody tr").count() == 1
    page.locator("tbody a").first.focus()
    page.keyboard.press("Enter")
    page.wait_for_url("**/topic?name=orders")


def test_every_control_and_picture_has_a_name(page: Page, served: Served) -> None:
    """For those who hear the page: labels, titles, captions, headings of columns."""
    unnamed = """() => [...document.querySelectorAll("input:not([type=hidden]), select, textarea")]
        .filter(each => !each.labels.length).length
        + [...document.querySelectorAll("button, a, summary")].filter(each => !each.textContent.trim()).length
        + [...document.querySelectorAll("svg")].filter(each => !each.querySelector("title")).length
        + [...document.querySelectorAll("table")].filter(each => !each.caption).length
        + [...document.querySelectorAll("th")].filter(each => !each.scope).length"""
    for path in SEEN:
        page.goto(at(served, path))
        assert page.evaluate(unnamed) == 0, path
        assert page.evaluate("document.documentElement.lang") == "en"


def test_hostile_names_and_contents_do_nothing(page: Page, served: Served) -> None:
    """A record, a header and a group that would be scripts are read as text; a dialog would fail the test."""
    page.goto(at(served, "/messages?name=orders&partition=0"))
    assert HOSTILE in page.locator("#rows").inner_text()
    page.goto(at(served, "/groups"))
    page.get_by_role("link", name=HOSTILE_GROUP).click()
    assert HOSTILE_GROUP in page.locator("h1").inner_text()


def test_a_topic_is_followed_live(page: Page, served: Served) -> None:
    """What is produced appears on top, and is announced; pressed again, the button ends it."""
    page.goto(at(served, "/messages?name=payments"))
    page.get_by_role("button", name="Follow live").click()
    producer = confluent_kafka.Producer({"bootstrap.servers": served.broker.bootstrap_servers})
    producer.produce("payments", b'{"live": true}', key=b"live-1")
    producer.flush(20)
    page.wait_for_selector("#rows tr:first-child:has-text('live-1')")
    assert "1 new message" in page.locator("#live-status").inner_text()
    keep_picture(page, "live")
    page.get_by_role("button", name="Follow live").click()
    assert page.get_by_role("button", name="Follow live").get_attribute("aria-pressed") == "false"


def test_a_message_is_written_by_hand(page: Page, served: Served) -> None:
    """The form, and the place that the record was given."""
    page.goto(at(served, "/topic?name=orders"))
    page.get_by_role("link", name="Produce a message").click()
    page.get_by_label("Partition (empty: any)").fill("1")
    page.get_by_label("Key (empty: none)").fill("from-the-browser")
    page.get_by_label("Value", exact=True).fill('{"by": "hand"}')
    page.get_by_label("Headers (NAME: VALUE, one a line)").fill("trace: 1")
    keep_picture(page, "produce")
    page.get_by_role("button", name="Write it").click()
    page.wait_for_selector("text=Written to partition 1")
    assert "from-the-browser" in page.locator("#rows").inner_text()


def test_ten_thousand_topics_and_a_thousand_groups(browser: Browser, tmp_path: Path) -> None:
    """The first page is small; the last one, and a search, are there; so it is with groups."""
    settings = {"offsets.topic.num.partitions": 1}
    with ottla.Broker(config=settings) as broker:
        make_topics(broker.bootstrap_servers, 10_000)
        commit_for_groups(broker.bootstrap_servers, 1000)
        with page_of(broker) as served:
            for page in tab(browser, served):
                first = page.goto(at(served, "/topics"))
                assert first is not None
                assert len(first.body()) < 300_000
                page.goto(at(served, "/"))
                assert "10,001" in page.locator("main").inner_text(), "with the one of the groups"
                page.goto(at(served, "/topics?page=100"))
                assert "topic-09999" in page.locator("main").inner_text()
                began = time.perf_counter()
                page.goto(at(served, "/topics?q=04711"))
                print(f"a search among 10,000 topics: {time.perf_counter() - began:.2f} s")
                assert page.locator("tbody tr").count() == 1
                groups = page.goto(at(served, "/groups"))
                assert groups is not None
                assert len(groups.body()) < 300_000
                assert page.locator("tbody tr").count() == 50
                page.goto(at(served, "/groups?q=group-0999"))
                page.get_by_role("link", name="group-0999").click()
                assert "group-0999" in page.locator("h1").inner_text()


def make_topics(servers: str, count: int) -> None:
    """So many topics of one partition."""
    wire = connected(servers)
    for start in range(0, count, 2500):
        topics = [
            CreatableTopic(name=f"topic-{number:05}", num_partitions=1, replication_factor=1)
            for number in range(start, start + 2500)
        ]
        reply = wire.call(CreateTopicsRequest(topics=topics, timeout_ms=60_000), 5)
        assert not any(topic.error_code for topic in reply.topics)
    wire.close()


def connected(servers: str) -> WireConnection:
    host, _, port = servers.rpartition(":")
    return WireConnection(host, int(port), client_id="many", timeout=120)


def commit_for_groups(servers: str, count: int) -> None:
    """So many groups, each with an offset."""
    wire = connected(servers)
    for _ in range(100):
        if not wire.call(FindCoordinatorRequest(key_type=0, coordinator_keys=["g"]), 4).coordinators[0].error_code:
            break
    for number in range(count):
        part = OffsetCommitRequestPartition(partition_index=0, committed_offset=0, committed_metadata="")
        topic = OffsetCommitRequestTopic(name=f"topic-{number:05}", partitions=[part])
        request = OffsetCommitRequest(group_id=f"group-{number:04}", topics=[topic])
        reply = wire.call(request, 8)
        assert reply.topics[0].partitions[0].error_code == 0
    wire.close()
