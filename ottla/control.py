"""A broker on command: the control API of a broker that was started with it, from Python.

    with ottla.Broker(control=True) as broker:
        broker.control.ask("GET", "/")

`Control` speaks HTTP by the standard library, one connection a request, so it may be used from any thread and after a
restart of the broker. What it asks for is listed in docs/control.md; programs in other languages ask the same.
"""

from __future__ import annotations

import base64
import http.client
import json
from typing import Any
from urllib.parse import parse_qs, urlsplit

_SECONDS = 60.0


class ControlError(Exception):
    """The broker has not done what it was asked for: its sentence, with HTTP's status in `status`."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status


class Control:
    """The control API at an address as the broker prints it, `http://127.0.0.1:9481/?token=...`.

    `user` and `password` are those of a super user, where the broker is secured. `timeout` is in seconds. Every method
    raises ControlError for a refusal, and OSError where the broker cannot be reached.
    """

    def __init__(
        self, address: str, *, user: str | None = None, password: str | None = None, timeout: float = _SECONDS
    ) -> None:
        parts = urlsplit(address)
        tokens = parse_qs(parts.query).get("token", [])
        if parts.scheme != "http" or parts.hostname is None or len(tokens) != 1:
            raise ValueError("the address of a control API is http://HOST:PORT/?token=TOKEN, as the broker prints it")
        self.address = address
        self.token = tokens[0]
        self._host = parts.hostname
        self._port = parts.port or 80
        self._timeout = timeout
        self._headers = {"Ottla-Token": self.token}
        if user is not None:
            word = base64.b64encode(f"{user}:{password or ''}".encode()).decode()
            self._headers["Authorization"] = f"Basic {word}"

    def __repr__(self) -> str:
        return f"<ottla.Control of {self._host}:{self._port}>"

    def ask(self, method: str, path: str, body: object = None) -> Any:
        """Ask for an operation; `body` is sent as JSON, or as it is if it is bytes. Returns the answer: JSON as
        Python's values, anything else as bytes."""
        headers = dict(self._headers)
        data: bytes | None = None
        if isinstance(body, bytes):
            data, headers["Content-Type"] = body, "application/octet-stream"
        elif body is not None:
            data, headers["Content-Type"] = json.dumps(body).encode(), "application/json"
        connection = http.client.HTTPConnection(self._host, self._port, timeout=self._timeout)
        try:
            connection.request(method, path, data, headers)
            response = connection.getresponse()
            answer = response.read()
        finally:
            connection.close()
        is_json = (response.getheader("Content-Type") or "").startswith("application/json")
        value = json.loads(answer) if is_json else answer
        if response.status >= 400:
            sentence = (
                value["error"] if isinstance(value, dict) and "error" in value else answer.decode(errors="replace")
            )
            raise ControlError(response.status, sentence)
        return value
