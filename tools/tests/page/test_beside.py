"""`ottla serve --page`: a page that comes and goes with its broker, whatever ends that."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def serve(*words: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A broker with a page, and the page's address with its token."""
    command = [sys.executable, "-m", "ottla", "serve", "--port", "0", "--page", "0", *words]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    try:
        found = None
        while found is None and (line := process.stderr.readline()):
            found = re.search(r"http://127\.0\.0\.1:\d+/\?token=\S+", line)
        assert found is not None, "the page says where it is"
        yield process, found[0]
    finally:
        process.kill()
        process.wait()
        process.stderr.close()


def opened(address: str, path: str) -> str:
    """A view, as a program that has the token sees it."""
    root, _, token = address.partition("/?token=")
    request = urllib.request.Request(root + path, headers={"Authorization": f"Bearer {token}"})
    with urllib.request.urlopen(request, timeout=30) as response:
        text: str = response.read().decode()
    return text


def wait_until_gone(address: str) -> None:
    """Return when the page listens no longer."""
    for _ in range(200):
        try:
            opened(address, "/static/page.css")
        except OSError:
            return
        time.sleep(0.05)
    pytest.fail("the page is still there")


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGKILL])
def test_the_page_goes_with_its_broker(end: signal.Signals) -> None:
    """Stopped or killed; until then it shows the broker, and has its metrics."""
    with serve("--memory") as (process, address):
        assert "Cluster" in opened(address, "/")
        assert "Open connections" in opened(address, "/connections")
        process.send_signal(end)
        assert process.wait(20) == (0 if end is signal.SIGTERM else -end)
        wait_until_gone(address)


def test_a_secured_broker_lets_its_page_in(tmp_path: Path) -> None:
    """As the user that was made for it."""
    with serve("--secure", "--data", str(tmp_path / "data")) as (_, address):
        assert "Cluster" in opened(address, "/")


def test_a_listener_that_asks_who_one_is_cannot_have_a_page_beside_it(tmp_path: Path) -> None:
    """The page has no credentials but those that --secure makes: one sentence says what to do."""
    words = ["serve", "--memory", "--port", "0", "--page", "0", "--set", "listeners=SASL_PLAINTEXT://127.0.0.1:0"]
    words += ["--set", "sasl.enabled.mechanisms=SCRAM-SHA-256"]
    run = subprocess.run(
        [sys.executable, "-m", "ottla", *words], capture_output=True, text=True, check=False, timeout=60
    )
    assert run.returncode == 2
    assert "start ottla page with" in run.stderr or "sasl.jaas.config" in run.stderr


def test_what_it_needs_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """A sentence that says what to install, before the broker starts."""
    import importlib.util

    from tools.commands.page_beside import PageBeside

    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ModuleNotFoundError, match=r"ottla\[page\]"):
        PageBeside(0)


def test_a_port_that_is_taken_is_a_start_refused() -> None:
    """Who asks for a page wants one: a sentence that says what to do, before the broker starts."""
    from broker.config.settings import ConfigError
    from tools.commands.page_beside import PageBeside

    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ConfigError, match=f"^--page: .*127.0.0.1:{port} is in use .* name another port"):
            PageBeside(port)
    PageBeside(port)
