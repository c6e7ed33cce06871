"""TLS over another transport, by the standard library: OpenSSL computes, and this file moves bytes to it and from it.

OpenSSL reads from and writes to two buffers in memory (`ssl.MemoryBIO`), so it knows neither sockets nor waiting. A
`TlsTransport` puts received bytes into one, takes what is to be sent out of the other, and is itself a `Transport`: the
connection above notices nothing but a lower speed.

**Speed** comes from sizes. One read takes up to a whole window from the socket, that is several records of TLS; what
they hold is decrypted straight into the connection's receive buffer. A reply is encrypted in records of 16 KiB, the
largest that TLS has, and they leave together in one system call. Slices of files are read and encrypted a piece at a
time: neither a large reply nor its ciphertext is ever whole in memory. One core encrypts, and decrypts, more than a
gigabyte a second.

**Fairness**: `send_now` encrypts `SENT_AT_ONCE` bytes, about half a millisecond, and returns the rest even if the
kernel would take more; `send` lets other tasks run in between.

**Memory**: OpenSSL's buffers in memory never shrink, so nothing large may ever stand in them. Received bytes are put
in, and encrypted ones taken out, a record at a time; what TLS needs beyond that is 25 KB a connection. Records are put
in whole: then it is known when all is decrypted, and OpenSSL need not be asked in vain, which costs an exception.

**The handshake** (`secure`) is arithmetic of a millisecond or more, and is done in a thread, of which there is one for
all connections (`Lane.HANDSHAKES`): however many peers ask, the loop stays free. It raises `HandshakeFailed` with the
words that the log gets; what OpenSSL has to say to the peer about it (an alert) is sent before, and the peer is given a
moment to read it: a connection that is closed with bytes unread is reset, and the reset would overtake the alert.

Bytes that are no TLS are recognised by the first of them (strangers.py): most often it is a client without TLS in its
settings.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, cast

import trio

from broker.network.listener import IN_MEMORY, PORTABLE, CutShort, PeerSide, Transport
from broker.network.strangers import HELLO, spoken
from broker.security.tls.contexts import NotLetIn
from kproto.errors import ProtocolError
from storage.engine import RecordParts
from storage.seams.disk import read_descriptor
from storage.seams.offload import Lane

if TYPE_CHECKING:
    from broker.security.principals import Principal
    from broker.security.tls.contexts import ServerTls
    from storage.seams.offload import Offload

RECORD: Final = 16 * 1024
"""Bytes of the largest record, decrypted (RFC 8446, 5.1)."""
HEADER: Final = 5
"""Bytes in front of a record: its type, a version, and how many bytes follow."""
LONGEST: Final = RECORD + 2048
"""Bytes that may follow: TLS 1.2 allows a little more for encryption than 1.3."""
READ_AT_ONCE: Final = 256 * 1024
"""Encrypted bytes that one read takes."""
SENT_TOGETHER: Final = 64 * 1024
"""Bytes that are encrypted before they are sent, and so what a slow reader makes the broker hold."""
SENT_AT_ONCE: Final = 1024 * 1024
FILE_PIECE: Final = 128 * 1024
ANSWERS_LIMIT: Final = 64 * 1024
"""Bytes that OpenSSL itself may have to say (answers to key updates) to a peer that does not read them."""
LINGER_SECONDS: Final = 1.0
"""How long a peer whose handshake has failed may take to read why."""
_KEPT: Final = (b"",)
"""What `send_now` returns when all is encrypted, but not all is sent."""

_work = memoryview(
    bytearray(READ_AT_ONCE + 2 * RECORD)
)  # what a read has brought, until OpenSSL has it: never across a wait


class HandshakeFailed(Exception):
    """This connection will not be served; the message says why, for the log. `stranger`: its peer speaks no TLS."""

    def __init__(self, reason: str, *, stranger: bool = False) -> None:
        super().__init__(reason)
        self.stranger = stranger


async def secure(inner: Transport, tls: ServerTls, offload: Offload) -> tuple[TlsTransport, Principal]:
    """Do the handshake; returns the secured transport and who the peer is. It has no limit of time: the caller's.

    Raises HandshakeFailed, and OSError when the connection breaks. The caller closes `inner`.
    """
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    session = tls.context.wrap_bio(incoming, outgoing, server_side=True)
    try:
        await _shake_hands(inner, session, incoming, outgoing, offload)
        principal = tls.admit(session)
    except NotLetIn as error:
        await _explain(inner, outgoing)
        raise HandshakeFailed(str(error)) from None
    except ssl.SSLError as error:
        await _explain(inner, outgoing)
        raise HandshakeFailed(_reason(error)) from None
    return TlsTransport(inner, session, incoming, outgoing), principal


async def _shake_hands(
    inner: Transport, session: ssl.SSLObject, incoming: ssl.MemoryBIO, outgoing: ssl.MemoryBIO, offload: Offload
) -> None:
    """What comes behind the handshake stays in `incoming`. Raises ssl.SSLError."""
    received = 0
    while True:
        count = inner.receive_now(_work[:RECORD])
        if count is None:
            await inner.wait_readable()
            continue
        if count == 0:
            raise HandshakeFailed("the peer left" if received else "the peer left without a word")
        first = bytes(_work[:count])
        if not received and not (HELLO.startswith(first) or first.startswith(HELLO)):
            other = spoken(first) or "something else"
            raise HandshakeFailed(f"the peer speaks {other}, and this listener TLS", stranger=True)
        received += count
        incoming.write(_work[:count])
        try:
            await offload.run(session.do_handshake, abandonable=True, lane=Lane.HANDSHAKES)
        except ssl.SSLWantReadError:
            await _flush(inner, outgoing)
            continue
        await _flush(inner, outgoing)
        return


async def _flush(inner: Transport, outgoing: ssl.MemoryBIO) -> None:
    if outgoing.pending:
        await inner.send([outgoing.read()])


async def _explain(inner: Transport, outgoing: ssl.MemoryBIO) -> None:
    """Send the alert, and wait until the peer has read it and left, for a moment."""
    with trio.move_on_after(LINGER_SECONDS):
        await _flush(inner, outgoing)
        while (count := inner.receive_now(_work)) != 0:
            if count is None:
                await inner.wait_readable()


def _reason(error: ssl.SSLError) -> str:
    """OpenSSL's reason in words of ours, where it is one that people meet; else in its own."""
    reason = (error.reason or str(error)).replace("_", " ").lower()
    known = {
        "peer did not return a certificate": "the client showed no certificate, and ssl.client.auth is required",
        "unsupported protocol": "the client offers no version of TLS that ssl.enabled.protocols has",
        "no shared cipher": "the client and this listener have no cipher suite in common",
        "tlsv1 alert unknown ca": "the client does not believe this broker's certificate: it has another trust store",
        "sslv3 alert certificate unknown": "the client does not believe this broker's certificate",
        "sslv3 alert bad certificate": "the client does not believe this broker's certificate",
        "sslv3 alert certificate expired": "the client finds this broker's certificate expired",
    }
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the client's certificate is not believed: {error.verify_message}"
    return known.get(reason, f"the handshake failed: {reason}")


class TlsTransport:
    """A connection whose handshake is done. `received` and `sent` count encrypted bytes."""

    __slots__ = ("_cut", "_incoming", "_inner", "_outgoing", "_over", "_sending", "_session", "_unread", "_unsent")

    def __init__(
        self,
        inner: Transport,
        session: ssl.SSLObject,
        incoming: ssl.MemoryBIO,
        outgoing: ssl.MemoryBIO,
    ) -> None:
        self._inner = inner
        self._session = session
        self._incoming = incoming
        self._outgoing = outgoing
        # What came behind the handshake is put back as far as it is whole: OpenSSL is given whole records only.
        behind = memoryview(incoming.read())
        whole = 0
        while end := _record_end(behind, whole, len(behind)):
            whole = end
        incoming.write(behind[:whole])
        self._cut = bytes(behind[whole:])  # the beginning of a record
        self._unread = whole > 0  # OpenSSL may have bytes for us without another read
        self._unsent: Sequence[Any] = ()  # encrypted, and not taken by the kernel yet
        self._sending = False  # `send` waits for the kernel to take some of it
        self._over = False  # the peer has ended its side in TLS's way

    @property
    def peer(self) -> tuple[str, int]:
        return self._inner.peer

    @property
    def local(self) -> tuple[str, int]:
        return self._inner.local

    @property
    def received(self) -> int:
        return self._inner.received

    @property
    def sent(self) -> int:
        return self._inner.sent

    def receive_now(self, window: memoryview) -> int | None:
        if self._unread and (filled := self._decrypt(window, 0)):
            return filled
        while not self._over:
            kept = len(self._cut)
            _work[:kept] = self._cut
            # What is decrypted is seldom more than the window: only what was cut before comes on top.
            limit = min(max(len(window) - RECORD, RECORD), READ_AT_ONCE)
            count = self._inner.receive_now(_work[kept : kept + limit])
            if not count:
                return count
            at, size, filled = 0, kept + count, 0
            while end := _record_end(_work, at, size):
                self._incoming.write(_work[at:end])
                at = end
                filled = self._decrypt(window, filled)
            self._cut = bytes(_work[at:size])
            if filled:
                return filled
        return 0

    def _decrypt(self, window: memoryview, filled: int) -> int:
        """Fill the window from `filled` on with what OpenSSL has; returns how far it is filled."""
        read: Callable[[int, memoryview], int] = cast(Any, self._session.read)  # with a buffer it returns a count
        size, incoming = len(window), self._incoming
        self._unread = False
        try:
            while filled < size:
                count = read(size - filled, window[filled:])
                if not count:
                    self._over = True
                    break
                filled += count
                if not incoming.pending and not self._session.pending():
                    break  # one more attempt would raise, which takes as long as decrypting a record
            else:
                self._unread = True
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLZeroReturnError:
            self._over = True
        except ssl.SSLError as error:
            self._answer()
            raise ProtocolError(f"TLS: {_reason(error)}") from None
        if self._outgoing.pending:
            self._answer()
        return filled

    def _answer(self) -> None:
        """Send what OpenSSL itself has to say, as far as the kernel takes it; the rest goes with the next reply."""
        self._unsent = [*self._unsent, self._outgoing.read()]
        if not self._sending:
            self._unsent = self._inner.send_now(self._unsent)
        if sum(map(len, self._unsent)) > ANSWERS_LIMIT:
            raise ProtocolError("TLS: the peer asks for new keys again and again, and does not read")

    async def wait_readable(self) -> None:
        if self._unread or self._over:
            await trio.lowlevel.checkpoint()
        else:
            await self._inner.wait_readable()

    def has_more(self) -> bool:
        return self._unread or self._over or self._inner.has_more()

    def peer_side(self) -> PeerSide:
        side = self._inner.peer_side()
        return PeerSide.ENDED if side is PeerSide.OPEN and self._over else side

    def send_now(self, buffers: Sequence[Any]) -> Sequence[Any]:
        assert not self._sending, "replies are sent one after the other"
        if self._unsent:
            self._unsent = self._inner.send_now(self._unsent)
            if self._unsent:
                return buffers or _KEPT
        pieces, total = _Pieces(buffers), 0
        write, take = self._session.write, self._outgoing.read
        while total < SENT_AT_ONCE:
            records, size = [], 0
            while size < SENT_TOGETHER and (piece := pieces.next()) is not None:
                try:
                    write(piece)
                except ssl.SSLError as error:  # the session is over, by an alert of the peer's
                    raise ConnectionResetError(f"TLS: {_reason(error)}") from None
                records.append(take())
                size += len(piece)
            if not records:
                break
            self._unsent = self._inner.send_now(records)
            if self._unsent:  # a peer that reads slowly makes us hold no more than this
                break
            total += size
        return pieces.left() or (_KEPT if self._unsent else ())

    async def send(self, buffers: Sequence[Any]) -> None:
        left = self.send_now(buffers)
        while left:
            while self._unsent:  # meanwhile the reader may add answers
                taken, self._unsent = self._unsent, ()
                self._sending = True
                await self._inner.send(taken)
                self._sending = False
            await trio.lowlevel.checkpoint()
            left = self.send_now(left)

    def close(self) -> None:
        """Close, with TLS's own word for it where the kernel takes it at once."""
        if not self._unsent and not self._sending:
            with suppress(OSError):  # it would wait for the peer's word, which is not needed
                self._session.unwrap()
            with suppress(OSError, trio.ClosedResourceError):
                self._inner.send_now([self._outgoing.read()])
        self._inner.close()


def _record_end(data: memoryview, at: int, size: int) -> int:
    """Where the record that begins at `at` ends, if it does within `size`, else 0. One that is no record of TLS ends
    where the bytes do, for OpenSSL to complain."""
    if size - at < HEADER:
        return 0
    length = data[at + 3] << 8 | data[at + 4]
    if length > LONGEST:
        return size
    end = at + HEADER + length
    return end if end <= size else 0


class _Pieces:
    """Buffers of a reply in pieces of a record's size; small neighbours are joined, files read as they come."""

    __slots__ = ("_at", "_buffers", "_skip")

    def __init__(self, buffers: Sequence[Any]) -> None:
        self._buffers = list(buffers)
        self._at = 0  # the first buffer that is not used up
        self._skip = 0  # and how much of it is

    def next(self) -> bytes | memoryview | None:
        """Up to RECORD bytes; None at the end. Raises CutShort and OSError."""
        parts: list[memoryview] = []
        room = RECORD
        while room and self._at < len(self._buffers):
            buffer = self._buffers[self._at]
            if not isinstance(buffer, IN_MEMORY):
                self._buffers[self._at : self._at + 1] = _opened(buffer)
                continue
            part = memoryview(buffer)[self._skip : self._skip + room]
            self._skip += len(part)
            if self._skip == len(buffer):
                self._at += 1
                self._skip = 0
            if part:
                parts.append(part)
                room -= len(part)
        if len(parts) > 1:
            return b"".join(parts)
        return parts[0] if parts else None

    def left(self) -> Sequence[Any]:
        """The buffers that are not used up."""
        rest = self._buffers[self._at :]
        if self._skip:
            rest[0] = memoryview(rest[0])[self._skip :]
        return rest


class _FileRest:
    """A slice of a file from some position of it on."""

    __slots__ = ("_length", "position", "records")

    def __init__(self, records: Any, skip: int) -> None:
        self.records = records  # keeps the descriptor open
        self.position: int = records.position + skip
        self._length = len(records) - skip

    def __len__(self) -> int:
        return self._length

    def fileno(self) -> int | None:
        descriptor: int | None = self.records.fileno()
        return descriptor


def _opened(buffer: Any) -> Iterator[Any]:
    """What stands in the place of a buffer that is not in memory: some of it that is, and the rest."""
    if isinstance(buffer, RecordParts):
        yield from buffer.parts
        return
    length, descriptor = len(buffer), None if PORTABLE else buffer.fileno()
    if descriptor is None:
        data = buffer.read()
        wanted = length
    else:
        wanted = min(length, FILE_PIECE)
        data = read_descriptor(descriptor, buffer.position, wanted)
    if len(data) != wanted:
        raise CutShort(f"a slice of {length} bytes has only {len(data)} where {wanted} are read")
    yield data
    if wanted < length:
        yield _FileRest(buffer, wanted)
