"""The page of `ottla serve --page`: `ottla page` as a process of its own, beside the broker.

Beside and not inside, since a view may take long and a broker has other things to do. The page is a client of its
broker as of any other, and reads its metrics; it is told both addresses when they are known. It prints the address to
open, with the token, on the broker's standard error: standard output has the ready line alone.

A port that another process has is found out before the broker starts, and not said by a page that fails beside it: who
asks for a page wants one. (The port is let go again until the page takes it, a second later.)

It ends when the broker does, however that ends: its standard input is a pipe that the broker holds.
"""

from __future__ import annotations

import errno
import importlib.util
import os
import socket
import subprocess
import sys
from typing import Final

import ottla

NEEDED: Final = ("jinja2", "starlette", "hypercorn", "prometheus_client")
END_SECONDS: Final = 3.0


class PageBeside:
    """A page at `port` of this machine, once `start` has been called. Raises ModuleNotFoundError or ConfigError if it
    could not be."""

    def __init__(self, port: int) -> None:
        for name in NEEDED:
            if importlib.util.find_spec(name) is None:
                raise ModuleNotFoundError(f"--page needs {name}, which ottla[page] installs", name=name)
        from broker.config.settings import ConfigError

        try:
            socket.create_server(("127.0.0.1", port)).close()
        except OSError as error:
            why = (
                "is in use by another process"
                if error.errno == errno.EADDRINUSE
                else f"cannot be had: {error.strerror}"
            )
            raise ConfigError(f"--page: 127.0.0.1:{port} {why}; name another port, or 0 for a free one") from error
        self._port = port
        self._metrics: str | None = None
        self._process: subprocess.Popen[bytes] | None = None

    def know_metrics(self, host: str, port: int) -> None:
        """Where the broker's metrics are, which is known before it is ready."""
        self._metrics = address(host, port)

    def start(self, host: str, port: int, client_properties: str | None) -> None:
        """Begin: the broker is ready at this address; its users are in that file if it has any."""
        main = os.path.join(os.path.dirname(os.path.abspath(ottla.__file__)), "__main__.py")
        words = [sys.executable, "-P", main, "page", "--port", str(self._port), "-b", address(host, port)]
        words += ["--exit-with-parent"]
        words += ["--metrics", self._metrics] if self._metrics is not None else []
        words += ["-F", client_properties] if client_properties is not None else []
        self._process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=sys.stderr)

    def stop(self) -> None:
        """End it, and wait for that a moment."""
        process = self._process
        if process is None:
            return
        assert process.stdin is not None
        process.stdin.close()
        try:
            process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def address(host: str, port: int) -> str:
    """Where a client of this machine finds what listens there."""
    host = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
