"""The keys of an issuer, from a web server that does not do what it should."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from broker.network.key_sets import LARGEST, _Redirects, load_key_set
from broker.security.sasl.jwks import KeySetError
from storage.seams.disk import SystemDisk


@contextlib.contextmanager
def server(answer: Callable[[BaseHTTPRequestHandler], None]) -> Iterator[str]:
    """A web server that answers each GET so; its address."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            with contextlib.suppress(OSError):
                answer(self)

        def log_message(self, *args: object) -> None: ...

    with HTTPServer(("127.0.0.1", 0), Handler) as serving:
        thread = threading.Thread(target=serving.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{serving.server_port}/keys"
        finally:
            serving.shutdown()
            thread.join()


def good(handler: BaseHTTPRequestHandler) -> None:
    handler.wfile.write(b'HTTP/1.0 200 OK\r\n\r\n{"keys":[]}')


def drips(handler: BaseHTTPRequestHandler) -> None:
    """A byte now and then, so that no single read takes long."""
    handler.wfile.write(b"HTTP/1.0 200 OK\r\n\r\n")
    until = time.monotonic() + 20
    while time.monotonic() < until:
        handler.wfile.write(b" ")
        time.sleep(0.02)


def floods(handler: BaseHTTPRequestHandler) -> None:
    handler.wfile.write(b"HTTP/1.0 200 OK\r\n\r\n")
    for _ in range(2 * LARGEST // 65536):
        handler.wfile.write(b" " * 65536)


def breaks_off(handler: BaseHTTPRequestHandler) -> None:
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n")


def speaks_nonsense(handler: BaseHTTPRequestHandler) -> None:
    handler.wfile.write(b"hello\r\n\r\n")


def leads_to_a_file(handler: BaseHTTPRequestHandler) -> None:
    handler.wfile.write(b"HTTP/1.0 302 Found\r\nLocation: ftp://127.0.0.1/keys\r\n\r\n")


def test_what_the_server_has_is_read() -> None:
    with server(good) as url:
        assert load_key_set(url, SystemDisk()) == b'{"keys":[]}'


@pytest.mark.parametrize("answer", [drips, floods, breaks_off, speaks_nonsense, leads_to_a_file])
def test_a_server_that_answers_badly_is_one_that_cannot_be_read(
    answer: Callable[[BaseHTTPRequestHandler], None],
) -> None:
    """In time, in a bounded amount of memory, and never as a fault of this broker."""
    began = time.monotonic()
    with server(answer) as url, pytest.raises(KeySetError):
        load_key_set(url, SystemDisk(), seconds=0.3)
    assert time.monotonic() - began < 10


def test_an_address_with_tls_is_not_left_for_one_without() -> None:
    """What comes without TLS may be of anyone between here and the issuer."""
    from urllib.error import URLError
    from urllib.request import Request

    asked = Request("https://issuer.example/keys")
    with pytest.raises(URLError):
        _Redirects().redirect_request(asked, None, 302, "Found", {}, "http://issuer.example/keys")
    assert _Redirects().redirect_request(asked, None, 302, "Found", {}, "https://other.example/keys") is not None


def test_a_file_has_an_end(tmp_path: Path) -> None:
    """A pipe would hold the thread, and a device fill the memory."""
    keys = tmp_path / "keys"
    keys.write_bytes(b"{}")
    assert load_key_set(keys.as_uri(), SystemDisk()) == b"{}"
    keys.write_bytes(b" " * (LARGEST + 1))
    for url in (keys.as_uri(), "file:///dev/zero", (tmp_path / "none").as_uri()):
        with pytest.raises(KeySetError):
            load_key_set(url, SystemDisk())
