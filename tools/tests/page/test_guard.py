"""Who is let in: the name, the token, the origin, and how much may be sent."""

from __future__ import annotations

import pytest

from tools.tests.page.conftest import Served

MARK = "Cluster <code>"


@pytest.mark.parametrize(
    "headers", [{"Authorization": ""}, {"Authorization": "Bearer x"}, {"Authorization": "Bearer "}]
)
def test_without_the_token_nothing_is_shown(headers: dict[str, str], served: Served) -> None:
    """W4: No token, a wrong one, an empty one."""
    answer = served.ask("/", headers)
    assert answer.status == 401
    assert MARK not in answer.body


def test_the_address_of_the_start_gives_a_cookie(served: Served) -> None:
    """Which scripts cannot read and other sites cannot use; the address is then without the token."""
    answer = served.ask(f"/topics?q=a&token={served.token}", {"Authorization": ""})
    assert (answer.status, answer.headers["location"]) == (303, "/topics?q=a")
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert served.ask("/", {"Authorization": "", "Cookie": cookie.partition(";")[0]}).status == 200


def test_a_wrong_token_gives_none(served: Served) -> None:
    """Also to one who has been let in before."""
    answer = served.ask("/?token=wrong")
    assert answer.status == 401
    assert "set-cookie" not in answer.headers


def test_the_way_in_does_not_lead_away(served: Served) -> None:
    """A path of two slashes would be another host."""
    answer = served.ask(f"//evil.example/?token={served.token}", {"Authorization": ""})
    assert answer.headers["location"].startswith("/evil.example")


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1", "127.0.0.1:1", "127.0.0.1.evil.example", ""])
def test_another_name_is_not_answered(host: str, served: Served) -> None:
    """Not even with the token: a site whose name was made to lead here would have the cookie sent along."""
    answer = served.ask("/", {"Host": host})
    assert answer.status in (400, 421)
    assert MARK not in answer.body


def test_the_names_of_loopback_are_answered(served: Served) -> None:
    """However the address was typed."""
    for name in ("localhost", "LOCALHOST", "127.0.0.1", "[::1]"):
        assert served.ask("/topics", {"Host": f"{name}:{served.port}"}).status == 200


@pytest.mark.parametrize("origin", ["", "http://evil.example", "null", "https://127.0.0.1:{port}", "http://127.0.0.1"])
def test_only_the_page_itself_may_post(origin: str, served: Served) -> None:
    """A form of another site, or one without an origin, writes nothing."""
    headers = {"Origin": origin.format(port=served.port)}
    body = "name=orders&partition=0&key=forged&value=x"
    assert served.ask("/produce", headers, method="POST", body=body).status == 403
    assert "forged</code>" not in served.ask("/messages?name=orders&find=forged&in=key").body


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_other_sites_get_nothing(site: str, served: Served) -> None:
    """Neither a picture nor a script nor a frame of them shows whether the page is there."""
    for path in ("/", "/topics", "/static/page.js", f"/?token={served.token}"):
        answer = served.ask(path, {"Sec-Fetch-Site": site})
        assert answer.status == 403
        assert "set-cookie" not in answer.headers


def test_every_answer_says_what_a_page_may_do(served: Served) -> None:
    """Also a refusal, and what is no page."""
    for path, headers in (("/", {}), ("/static/page.css", {}), ("/nothing", {}), ("/", {"Host": "evil.example"})):
        answer = served.ask(path, headers)
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "same-origin"
        assert answer.headers["cache-control"] == "no-store"


def test_a_huge_query_is_refused(served: Served) -> None:
    """Whether it is too long for the page or for the server; what fits is cut where it is used."""
    assert served.ask("/topics?q=" + "x" * 9000).status == 414
    assert served.ask("/topics?q=" + "x" * 100_000).status in (400, 414, 431)
    assert served.ask("/topics?q=" + "x" * 8000).status == 200
    assert served.ask("/messages?name=orders&at=" + "9" * 50 + ":1").status == 502


def test_a_huge_body_is_refused(served: Served) -> None:
    """It is not kept to find out how huge."""
    headers = {"Origin": f"http://127.0.0.1:{served.port}"}
    assert served.ask("/produce", headers, method="POST", body="value=" + "x" * (3 << 20)).status == 413


@pytest.mark.parametrize("method", ["PUT", "DELETE", "OPTIONS", "TRACE"])
def test_other_methods_are_not_known(method: str, served: Served) -> None:
    """The page is read, and a form posted."""
    assert served.ask("/", method=method).status == 405


@pytest.mark.parametrize("path", ["/static/../app.py", "/static/%2e%2e/app.py", "/static/..%2fguard.py", "/static/"])
def test_no_other_file_is_served(path: str, served: Served) -> None:
    """Only those of the folder."""
    assert served.ask(path).status == 404
