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
import os
from types import TracebackType
from typing import Any, Self
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

    def advance(self, seconds: float) -> dict[str, Any]:
        """Let so many seconds pass for the broker's state; returns when all that is due by then has happened:
        `now_ms`, `ahead_ms` of the world's time, and whether all of it is `settled`."""
        passed: dict[str, Any] = self.ask("POST", "/clock/advance", {"seconds": seconds})
        return passed

    @property
    def faults(self) -> Faults:
        """What this broker is to do wrong."""
        return Faults(self)

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
        if response.status >= 400:
            raise ControlError(response.status, _sentence(response, answer))
        return json.loads(answer) if _is_json(response) else answer

    # -- all that the broker knows -------------------------------------------------------------------------------------

    def reset(self) -> None:
        """Bring the broker back to empty, as `Broker.reset` does."""
        self.ask("POST", "/reset")

    def snapshot(self, name: str | None = None) -> str:
        """Let the broker keep all that it knows at this moment, in its memory, under this name or a new one; returns
        the name. It outlasts a reset, and not the broker's process."""
        return str(self.ask("POST", "/snapshots", {} if name is None else {"name": name})["name"])

    def restore(self, name: str) -> None:
        """Bring back the state that a snapshot has kept."""
        self.ask("POST", "/restore", {"name": name})

    def backup(self) -> bytes:
        """A backup: all that the broker knows at this moment, as the bytes of the archive that `ottla backup` makes."""
        return bytes(self.ask("GET", "/backup"))

    def backup_to(self, path: str | os.PathLike[str]) -> None:
        """Write a backup to a file, as it comes."""
        connection = http.client.HTTPConnection(self._host, self._port, timeout=self._timeout)
        try:
            connection.request("GET", "/backup", headers=self._headers)
            response = connection.getresponse()
            if response.status >= 400:
                raise ControlError(response.status, _sentence(response, response.read()))
            with open(path, "wb") as file:
                while piece := response.read(1 << 20):
                    file.write(piece)
        except http.client.IncompleteRead as error:
            raise ControlError(500, "the backup broke off: the log of the broker says why") from error
        finally:
            connection.close()

    def restore_backup(self, backup: bytes) -> None:
        """Bring back the state of a backup."""
        self.ask("POST", "/backup", backup)


def _is_json(response: http.client.HTTPResponse) -> bool:
    return (response.getheader("Content-Type") or "").startswith("application/json")


def _sentence(response: http.client.HTTPResponse, answer: bytes) -> str:
    """What a refusal says."""
    value = json.loads(answer) if _is_json(response) else None
    return str(value["error"]) if isinstance(value, dict) and "error" in value else answer.decode(errors="replace")


class Fault:
    """A fault in force, or one that has ended. As a context manager it lasts as long as the block."""

    def __init__(self, control: Control, report: dict[str, Any]) -> None:
        self._control = control
        self.id: int = report["id"]
        self._report = report

    def __repr__(self) -> str:
        return f"<ottla.control.Fault {self._report}>"

    def report(self) -> dict[str, Any]:
        """What it is, how many requests were for it (`seen`), and how many it has happened to (`injected`)."""
        self._report = self._control.ask("GET", f"/faults/{self.id}")
        return dict(self._report)

    @property
    def injected(self) -> int:
        """How often it has happened so far."""
        return int(self.report()["injected"])

    def remove(self) -> dict[str, Any]:
        """Take it away; requests that it holds go on, and connections whose replies it holds close. Idempotent."""
        self._report = self._control.ask("DELETE", f"/faults/{self.id}")
        return dict(self._report)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            self.remove()
        except (OSError, ControlError):
            if error is None:
                raise


class Faults:
    """Faults of a broker: `broker.faults.error("NOT_LEADER_OR_FOLLOWER", api="Produce", topic="orders", times=2)`.

    Every method makes one, in force when it returns. Keyword arguments are those of docs/control.md: which requests
    (`api`, `topic`, `partition`, `group`, `transactional_id`, `client_id`, all that are given must fit), and how often
    (`skip`, `times`, `share` with `seed`). Raises ControlError for what makes no sense.
    """

    def __init__(self, control: Control) -> None:
        self._control = control

    def add(self, what: str, **members: object) -> Fault:
        """A fault by the words of the API."""
        return Fault(self._control, self._control.ask("POST", "/faults", {"what": what, **members}))

    def error(self, error: str, *, after: bool = False, **members: object) -> Fault:
        """Refuse requests, or what of them is named, with this error code of Kafka's; their work is not done, or is."""
        return self.add("error", error=error, after=after, **members)

    def delay(self, seconds: float, **members: object) -> Fault:
        """Let requests wait before anything is done, and what comes behind them on their connection."""
        return self.add("delay", seconds=seconds, **members)

    def drop(self, *, after: bool = False, **members: object) -> Fault:
        """Close the connection, before the work or after it."""
        return self.add("drop", after=after, **members)

    def lose_reply(self, **members: object) -> Fault:
        """Do the work and never reply."""
        return self.add("lose_reply", **members)

    def throttle(self, seconds: float, **members: object) -> Fault:
        """Answer that the client is throttled so long, and read nothing of it."""
        return self.add("throttle", seconds=seconds, **members)

    def coordinator_moved(self, **members: object) -> Fault:
        """Let coordinators of groups and transactional ids say that they are not."""
        return self.add("coordinator_moved", **members)

    def leader_not_available(self, **members: object) -> Fault:
        """Let partitions have no leader."""
        return self.add("leader_not_available", **members)

    def disk_full(self) -> Fault:
        """Refuse appends as on a full disk."""
        return self.add("disk_full")

    def slow_disk(self, seconds: float) -> Fault:
        """Let what is appended be durable so much later."""
        return self.add("slow_disk", seconds=seconds)

    def report(self) -> dict[str, Any]:
        """`faults` in force, those that have `ended`, and how often each kind was `injected`."""
        report: dict[str, Any] = self._control.ask("GET", "/faults")
        return report

    def clear(self) -> None:
        """Take all away."""
        self._control.ask("DELETE", "/faults")
