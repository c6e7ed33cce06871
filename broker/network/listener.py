"""The network's seam: the only file that knows sockets.

`Listener` binds and accepts; `SocketTransport` moves bytes for one connection. A simulation offers other objects with
the same methods (`Transport`), and nothing above knows the difference.

Reading and writing try first and wait only if the kernel says so: a busy connection then costs two system calls a
request and no pass through the scheduler. `Connection` yields now and then, so that a busy peer does not starve the
others.

File slices are sent with `sendfile`. The header goes out by a plain `send` without MSG_MORE: together with
TCP_NODELAY, MSG_MORE before `sendfile` was measured to stall each response by 200 ms. Where the platform has no
sendfile, or a slice has no descriptor, the bytes are read and sent (`PORTABLE` forces that; the suite runs once this
way).
"""

from __future__ import annotations

import enum
import errno
import os
import select
import socket
from collections.abc import Callable, Sequence
from typing import Any, Final, Protocol

import trio

from storage.engine import RecordParts

PORTABLE = os.environ.get("OTTLA_PORTABLE", "") not in ("", "0")
"""Forces the code that runs where Linux's fast paths are missing."""

SYSTEM_CHOOSES = -1
"""Kafka's word for socket buffers that grow and shrink as the system sees fit; here also for as many connections that
wait to be accepted as the system allows. With Kafka's 50, of some thousands that come at once a part is dropped by the
system and tries again after seconds, or minutes."""

SENDFILE_CHUNK = 8 * 1024 * 1024
JOIN_BELOW = 64 * 1024
IN_MEMORY = (bytes, bytearray, memoryview)
"""Types of buffers that are sent as they are; all others are records of an engine."""
_PEER_ENDED: int = getattr(select, "POLLRDHUP", 0)
"""Linux's event for "the peer will send no more", seen also behind unread bytes; else zero."""
ACCEPT_PAUSE_SECONDS = 0.1


class ListenError(Exception):
    """The listener cannot be opened; the message is one sentence for the person who started the broker."""


class CutShort(Exception):
    """The file behind a fetched slice ends early. The reply's length has been sent, so only closing is left."""


THE_NETWORKS: Final = frozenset(
    number
    for name in (
        "ECONNRESET", "ECONNABORTED", "EPIPE", "ETIMEDOUT", "ENOTCONN", "ESHUTDOWN", "EHOSTUNREACH", "EHOSTDOWN",
        "ENETUNREACH", "ENETDOWN", "ENETRESET", "EPROTO", "EBADF",
    )
    if (number := getattr(errno, name, None)) is not None
)  # fmt: skip
"""What a connection ends with when its peer, or the way to it, is gone. Any other error is one of ours: of a file
that is being sent, of descriptors or memory that are missing."""


class PeerSide(enum.Enum):
    """How the peer's side of a connection stands, as far as can be seen without reading what it has sent."""

    OPEN = enum.auto()
    ENDED = enum.auto()
    """It has sent all that it will send (FIN): it may have gone, and it may still read."""
    GONE = enum.auto()
    """It has reset the connection, or did not acknowledge for so long that the system gave up."""


class Transport(Protocol):
    """One connection's bytes."""

    @property
    def peer(self) -> tuple[str, int]: ...

    @property
    def local(self) -> tuple[str, int]: ...

    @property
    def received(self) -> int:
        """Bytes received since the start."""
        ...

    @property
    def sent(self) -> int:
        """Bytes sent since the start: distinguishes a slow reader from a stalled one."""
        ...

    def receive_now(self, window: memoryview) -> int | None:
        """Bytes read into `window`, 0 at the end of the stream, None if none are there yet. Raises OSError when
        broken.
        """
        ...

    async def wait_readable(self) -> None:
        """Return when `receive_now` would say something."""
        ...

    def has_more(self) -> bool:
        """Whether `receive_now` would say something at once."""
        ...

    def peer_side(self) -> PeerSide:
        """Whether the peer has gone: for a connection that does not read at the moment. Costs two system calls."""
        ...

    def send_now(self, buffers: Sequence[Any]) -> Sequence[Any]:
        """Send what the kernel takes at once; returns what is left. Raises OSError when broken."""
        ...

    async def send(self, buffers: Sequence[Any]) -> None:
        """Send everything, waiting as needed. Raises OSError when broken."""
        ...

    def close(self) -> None:
        """Close; waiting tasks are woken with an error."""
        ...


class SocketTransport:
    """A TCP connection."""

    __slots__ = ("_fd", "_sendfile", "_socket", "local", "peer", "received", "sent")

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        self._socket = sock
        self._fd = sock.fileno()
        self._sendfile: Callable[[int, int, int, int], int] | None = None if PORTABLE else getattr(os, "sendfile", None)
        self.peer = _address(sock.getpeername())
        self.local = _local_address(sock.getsockname())
        self.received = 0
        self.sent = 0

    def receive_now(self, window: memoryview) -> int | None:
        try:
            count = self._socket.recv_into(window)
        except (BlockingIOError, InterruptedError):
            return None
        self.received += count
        return count

    def has_more(self) -> bool:
        try:
            self._socket.recv(1, socket.MSG_PEEK)
        except (BlockingIOError, InterruptedError):
            return False
        except OSError:
            return True
        return True

    def peer_side(self) -> PeerSide:
        if _PEER_ENDED and not PORTABLE:
            poll = select.poll()
            poll.register(self._fd, _PEER_ENDED)
            found = poll.poll(0)
            if not found:
                return PeerSide.OPEN
            return PeerSide.GONE if found[0][1] & ~_PEER_ENDED else PeerSide.ENDED
        try:  # seen only if the peer has sent nothing else before it ended
            return PeerSide.OPEN if self._socket.recv(1, socket.MSG_PEEK) else PeerSide.ENDED
        except (BlockingIOError, InterruptedError):
            return PeerSide.OPEN
        except OSError:
            return PeerSide.GONE

    async def wait_readable(self) -> None:
        await trio.lowlevel.wait_readable(self._fd)

    def send_now(self, buffers: Sequence[Any]) -> Sequence[Any]:
        at = 0
        while at < len(buffers):
            buffer = buffers[at]
            stop = at + 1
            if not isinstance(buffer, IN_MEMORY):
                sendfile, descriptor = self._sendfile, buffer.fileno()
                if sendfile is not None and descriptor is not None:
                    left = self._send_slice(sendfile, descriptor, buffer)
                    if left is not None:
                        return [left, *buffers[stop:]]
                    at = stop
                    continue
                if isinstance(buffer, RecordParts):
                    buffers, at = _spread(buffers[at:]), 0
                    continue
                length, buffer = len(buffer), buffer.read()
                if len(buffer) != length:
                    raise CutShort(f"a slice of {length} bytes has only {len(buffer)}")
            elif len(buffer) < JOIN_BELOW:  # small neighbours leave together, large ones are not copied
                while stop < len(buffers) and isinstance(buffers[stop], IN_MEMORY) and len(buffers[stop]) < JOIN_BELOW:
                    stop += 1
                if stop > at + 1:
                    buffer = b"".join(buffers[at:stop])
            try:
                count = self._socket.send(buffer)
            except (BlockingIOError, InterruptedError):
                return [buffer, *buffers[stop:]]
            self.sent += count
            if count < len(buffer):
                return [memoryview(buffer)[count:], *buffers[stop:]]
            at = stop
        return ()

    def _send_slice(self, sendfile: Callable[[int, int, int, int], int], descriptor: int, records: Any) -> _Rest | None:
        """Send a slice of a file; returns what the kernel did not take."""
        position, length, offset = records.position, len(records), 0
        while offset < length:
            try:
                count = sendfile(self._fd, descriptor, position + offset, min(length - offset, SENDFILE_CHUNK))
            except (BlockingIOError, InterruptedError):
                return _Rest(records, offset)
            if count == 0:
                raise CutShort(f"a slice of {length} bytes has only {offset}")
            offset += count
            self.sent += count
        return None

    async def send(self, buffers: Sequence[Any]) -> None:
        left = self.send_now(buffers)
        while left:
            await trio.lowlevel.wait_writable(self._fd)
            left = self.send_now(left)

    def close(self) -> None:
        if self._socket.fileno() >= 0:
            trio.lowlevel.notify_closing(self._fd)
            self._socket.close()


def _address(name: tuple[Any, ...]) -> tuple[str, int]:
    """(host, port) of a socket. A listener on every address is an IPv6 one and sees IPv4 peers as ::ffff:a.b.c.d;
    clients are given, and limits and group descriptions are looked up by, what they know: a.b.c.d."""
    host, port = name[:2]
    return host.removeprefix("::ffff:") if "." in host else host, port


def _local_address(name: tuple[Any, ...]) -> tuple[str, int]:
    """(host, port) of this end, for a client to come back to. A link-local IPv6 address means nothing without the
    interface that it is on (RFC 4007), and system calls keep that in a number of this machine's: it is added by name,
    `fe80::1%eth0`, which is right on this machine, and on another one where the interface is called the same."""
    host, port = _address(name)
    zone = name[3] if len(name) == 4 else 0
    if not zone or "%" in host:
        return host, port
    try:
        return f"{host}%{socket.if_indextoname(zone)}", port
    except OSError:  # the interface is gone
        return f"{host}%{zone}", port


def _spread(buffers: Sequence[Any]) -> list[Any]:
    """The same bytes, with the parts of each RecordParts in its place."""
    return [part for each in buffers for part in (each.parts if isinstance(each, RecordParts) else (each,))]


class _Rest:
    """What is left of a slice after some of it was sent."""

    __slots__ = ("_length", "_records", "_skip", "position")

    def __init__(self, records: Any, skip: int) -> None:
        self._records = records
        self._skip = skip
        self.position = records.position + skip
        self._length = len(records) - skip

    def __len__(self) -> int:
        return self._length

    def fileno(self) -> int | None:
        descriptor: int | None = self._records.fileno()
        return descriptor

    def read(self) -> bytes:
        data: bytes = self._records.read()
        return data[self._skip :]


def _as_asked(host: str) -> bytes | str | None:
    """A host as `getaddrinfo` is asked for it. As text it would be encoded by IDNA, whose tables take milliseconds to
    import; most hosts need none."""
    return host.encode("ascii") if host and host.isascii() else host or None


class Listener:
    """One bound address. `port` is the real one, also if 0 was asked for."""

    def __init__(
        self,
        name: str,
        host: str,
        port: int,
        *,
        protocol: str = "PLAINTEXT",
        backlog: int = SYSTEM_CHOOSES,
        send_buffer: int = SYSTEM_CHOOSES,
        receive_buffer: int = SYSTEM_CHOOSES,
    ) -> None:
        """Bind and listen. An empty host means all interfaces; buffers are bytes. `protocol` is what is spoken there,
        in Kafka's words, which the listener only remembers. Raises ListenError.
        """
        self.name = name
        self.protocol = protocol
        self._sockets: list[socket.socket] = []
        try:
            candidates = socket.getaddrinfo(
                _as_asked(host), port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE, proto=socket.IPPROTO_TCP
            )
        except (OSError, UnicodeError) as error:  # the latter of IDNA, for what no name of a host can be
            why = error.strerror if isinstance(error, OSError) else error
            raise ListenError(f"listener {name}: cannot resolve the host {host!r}: {why}") from error
        wildcard = not host
        family, kind, proto, _, address = sorted(
            candidates, key=lambda found: found[0] == socket.AF_INET6, reverse=wildcard and socket.has_dualstack_ipv6()
        )[0]
        sock = socket.socket(family, kind, proto)
        try:
            if os.name == "posix":  # elsewhere the option would let two processes share the port
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6 and wildcard:
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
            for option, size in ((socket.SO_SNDBUF, send_buffer), (socket.SO_RCVBUF, receive_buffer)):
                if size != SYSTEM_CHOOSES:  # accepted connections inherit it
                    sock.setsockopt(socket.SOL_SOCKET, option, size)
            sock.bind(address)
            sock.listen(socket.SOMAXCONN if backlog == SYSTEM_CHOOSES else backlog)
        except OSError as error:
            sock.close()
            where = f"{host or '*'}:{port}"
            if error.errno == errno.EADDRINUSE:
                raise ListenError(f"listener {name}: {where} is in use by another process") from error
            raise ListenError(f"listener {name}: cannot listen on {where}: {error.strerror}") from error
        sock.setblocking(False)
        self._sockets.append(sock)
        self.host = host or "0.0.0.0"
        self.port: int = sock.getsockname()[1]

    async def accept(self, start: Callable[[SocketTransport], float | None], refused: Callable[[str], object]) -> None:
        """Accept forever, handing each connection to `start`, which may return for how many seconds to accept no other;
        `refused` is given the reason when accepting pauses."""
        await self._accept_on(self._sockets[0], start, refused)

    async def _accept_on(
        self, sock: socket.socket, start: Callable[[SocketTransport], float | None], refused: Callable[[str], object]
    ) -> None:
        while True:
            try:
                accepted, _ = sock.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                await trio.lowlevel.wait_readable(sock.fileno())
                continue
            except OSError as error:
                if sock.fileno() < 0:
                    raise trio.ClosedResourceError from None
                # Out of descriptors or memory, which come back when connections end; or what the network did to a
                # connection before it was accepted (accept(2) lists both). Neither is a reason to stop.
                refused(str(error.strerror))
                await trio.sleep(ACCEPT_PAUSE_SECONDS)
                continue
            try:
                accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                accepted.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)  # as Kafka: a peer may lose its power
                transport = SocketTransport(accepted)
            except OSError:  # gone before it was greeted
                accepted.close()
                continue
            if pause := start(transport):
                await trio.sleep(pause)

    def close(self) -> None:
        """Stop listening."""
        for sock in self._sockets:
            if sock.fileno() >= 0:
                trio.lowlevel.notify_closing(sock.fileno())
                sock.close()
