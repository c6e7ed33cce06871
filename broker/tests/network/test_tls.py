"""TLS over a connection in memory: the test holds the client's end of the handshake, and sees what the broker sends."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing
from trio.testing import MockClock

from broker.config.tls_settings import Store, TlsSettings
from broker.network.listener import CutShort, PeerSide
from broker.network.tls import SENT_AT_ONCE, SENT_TOGETHER, HandshakeFailed, TlsTransport, secure
from broker.security.principals import Principal
from broker.security.tls.contexts import ServerTls, make_tls
from broker.testing.certificates import Authority, self_signed
from broker.testing.transports import MemoryTransport
from kproto.errors import ProtocolError
from storage.engine import RecordParts
from storage.seams.disk import SystemDisk
from storage.seams.offload import InlineOffload

AUTHORITY = Authority()
SERVER = AUTHORITY.issue("O=Ottla,CN=localhost")


def server(client_auth: str = "none", believed: str = AUTHORITY.certificate, **changes: Any) -> ServerTls:
    """What a listener is secured with."""
    values: dict[str, Any] = {
        "listener": "SSL",
        "key_store": Store(None, None, "PEM", SERVER.chain, SERVER.key),
        "trust_store": Store(None, None, "PEM", believed),
        "client_auth": client_auth,
        "protocols": ("TLSv1.2", "TLSv1.3"),
        "suites": (),
        "rules": "DEFAULT",
        "allow_dn_changes": False,
        "allow_san_changes": False,
    }
    return make_tls(TlsSettings(**values | changes), SystemDisk())


def client_context(tmp_path: Path, certified: Any = None, believed: str = AUTHORITY.certificate) -> ssl.SSLContext:
    """A client that believes one authority, and may have a certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cadata=believed)
    if certified is not None:
        path = tmp_path / "client.pem"
        path.write_text(certified.combined)
        context.load_cert_chain(path)
    return context


class Client:
    """The peer's end: a TLS session over the bytes of a MemoryTransport."""

    def __init__(self, transport: MemoryTransport, context: ssl.SSLContext) -> None:
        self.transport = transport
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.session = context.wrap_bio(self._incoming, self._outgoing, server_hostname="localhost")
        self.failed: ssl.SSLError | None = None

    def exchange(self, step: Callable[[], Any]) -> Any:
        """Take what the broker has sent, do the step, deliver what comes of it; None if more is needed."""
        self._incoming.write(bytes(self.transport.sent_bytes))
        self.transport.sent_bytes.clear()
        try:
            return step()
        except ssl.SSLWantReadError:
            return None
        except ssl.SSLError as error:
            self.failed = self.failed or error
            return None
        finally:
            if self._outgoing.pending:
                self.transport.deliver(self._outgoing.read())

    async def shake_hands(self) -> None:
        """Until both are done, or this end has failed."""
        for _ in range(4):
            self.exchange(self.session.do_handshake)
            await trio.testing.wait_all_tasks_blocked()

    def write(self, data: bytes) -> None:
        self.exchange(lambda: self.session.write(data))

    def encrypted(self, data: bytes) -> bytes:
        """What would be delivered."""
        self.session.write(data)
        return self._outgoing.read()

    def read(self) -> bytes:
        """All that the broker has sent."""
        parts = []
        while part := self.exchange(lambda: self.session.read(1 << 16)):
            parts.append(part)
        return b"".join(parts)


async def secured(
    tls: ServerTls, context: ssl.SSLContext, transport: MemoryTransport | None = None
) -> tuple[TlsTransport, Principal, Client]:
    """Both ends after the handshake. Raises what the broker's end raises."""
    inner = transport or MemoryTransport()
    client = Client(inner, context)
    results: list[tuple[TlsTransport, Principal]] = []
    failure: list[HandshakeFailed] = []

    async def serve() -> None:
        try:
            results.append(await secure(inner, tls, InlineOffload()))
        except HandshakeFailed as error:
            failure.append(error)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(serve)
        await client.shake_hands()
        if not results:
            inner.end()
    if failure:
        client.exchange(lambda: client.session.read(1))
        failure[0].add_note(str(client.failed))
        raise failure[0]
    client.read()  # tickets
    return *results[0], client


def received(transport: TlsTransport, size: int = 1 << 16) -> bytes:
    """What one read gives."""
    window = memoryview(bytearray(size))
    count = transport.receive_now(window)
    assert count is not None
    return bytes(window[:count])


async def test_bytes_arrive_as_they_were_sent(tmp_path: Path, autojump_clock: MockClock) -> None:
    """Both ways, in whatever portions."""
    transport, _, client = await secured(server(), client_context(tmp_path))
    client.write(b"request")
    assert transport.has_more()
    assert received(transport) == b"request"
    assert transport.receive_now(memoryview(bytearray(10))) is None
    assert not transport.has_more()
    assert transport.send_now([b"he", b"llo", memoryview(b" you"), b""]) == ()
    assert client.read() == b"hello you"


async def test_a_small_window_leaves_the_rest_for_the_next_read(tmp_path: Path, autojump_clock: MockClock) -> None:
    """What OpenSSL has decrypted is in no socket, so waiting for one would be forever."""
    transport, _, client = await secured(server(), client_context(tmp_path))
    data = bytes(range(256)) * 400
    client.write(data)
    parts = bytearray()
    while len(parts) < len(data):
        await transport.wait_readable()
        parts += received(transport, 1000)
    assert parts == data


@pytest.mark.parametrize("portion", [1, 5, 777, 17_000])
async def test_records_may_arrive_in_any_portions(tmp_path: Path, autojump_clock: MockClock, portion: int) -> None:
    """Cut in their headers, in their bodies, or several at once."""
    transport, _, client = await secured(server(), client_context(tmp_path))
    sent = [b"a", b"b" * 100, b"c" * 20_000, b"d"]
    wire = b"".join(client.encrypted(each) for each in sent)
    window, parts = memoryview(bytearray(1 << 16)), bytearray()
    for at in range(0, len(wire), portion):
        client.transport.deliver(wire[at : at + portion])
        while count := transport.receive_now(window):
            parts += window[:count]
    assert parts == b"".join(sent)


@pytest.mark.parametrize("cut", [0, 3, 40])
async def test_what_comes_right_behind_the_handshake_is_not_lost(
    tmp_path: Path, autojump_clock: MockClock, cut: int
) -> None:
    """A client's first request is often there before the broker has finished, whole or in part."""
    inner = MemoryTransport()
    client = Client(inner, client_context(tmp_path))
    async with trio.open_nursery() as nursery:
        client.exchange(client.session.do_handshake)
        results: list[TlsTransport] = []

        async def serve() -> None:
            results.append((await secure(inner, server(), InlineOffload()))[0])

        nursery.start_soon(serve)
        await trio.testing.wait_all_tasks_blocked(0.01)
        client.exchange(client.session.do_handshake)  # delivers its last word
        wire = client.encrypted(b"first") + client.encrypted(b"second")
        inner.deliver(wire[: len(wire) - cut])
        await trio.testing.wait_all_tasks_blocked(0.01)
        [transport] = results
        inner.deliver(wire[len(wire) - cut :])
        parts = bytearray()
        while len(parts) < 11:
            await transport.wait_readable()
            parts += received(transport)
        assert parts == b"firstsecond"


async def test_a_file_is_sent_in_pieces(tmp_path: Path, autojump_clock: MockClock) -> None:
    """Slices, parts of slices and headers between them: in order, and a bounded number of bytes in one go."""
    path = tmp_path / "records"
    path.write_bytes(bytes(range(256)) * (3 << 12))

    class Slice:
        position = 100

        def __init__(self) -> None:
            self.file = path.open("rb")

        def __len__(self) -> int:
            return 2_500_000

        def fileno(self) -> int:
            return self.file.fileno()

        def read(self) -> bytes:
            return path.read_bytes()[100 : 100 + len(self)]

    transport, _, client = await secured(server(), client_context(tmp_path))
    records = Slice()
    parts = RecordParts([memoryview(b"x" * 30_000), records])
    buffers = [b"head", parts, b"between", records, b"end"]
    expected = b"".join((b"head", parts.read(), b"between", records.read(), b"end"))
    left = transport.send_now(buffers)
    assert sum(map(len, left)) >= len(expected) - SENT_AT_ONCE - SENT_TOGETHER
    await transport.send(left)
    assert client.read() == expected
    records.file.close()


async def test_a_file_that_ends_early_is_found_out(tmp_path: Path, autojump_clock: MockClock) -> None:
    """The length of the reply has been sent, so the connection must be closed."""
    path = tmp_path / "records"
    path.write_bytes(b"x" * 10)
    with path.open("rb") as file:

        class Slice:
            position = 0

            def __len__(self) -> int:
                return 20

            def fileno(self) -> int:
                return file.fileno()

            def read(self) -> bytes:
                return path.read_bytes()

        transport, _, _ = await secured(server(), client_context(tmp_path))
        with pytest.raises(CutShort):
            transport.send_now([Slice()])


async def test_a_slow_reader_makes_the_broker_hold_little(tmp_path: Path, autojump_clock: MockClock) -> None:
    """T6: what the kernel does not take is not encrypted ahead; when it does, all arrives in order."""
    inner = MemoryTransport(takes=1 << 20)
    transport, _, client = await secured(server(), client_context(tmp_path), inner)
    inner.take(-inner._takes + 100)  # type: ignore[operator] # it is limited
    data = bytes(range(256)) * 4096
    left = transport.send_now([data])
    assert sum(map(len, left)) >= len(data) - SENT_TOGETHER
    async with trio.open_nursery() as nursery:
        nursery.start_soon(transport.send, left)
        await trio.testing.wait_all_tasks_blocked()
        client.write(b"a request meanwhile")
        assert received(transport) == b"a request meanwhile"
        inner.take(1 << 21)
    assert client.read() == data


async def test_the_last_bytes_of_a_reply_are_not_forgotten(tmp_path: Path, autojump_clock: MockClock) -> None:
    """All is encrypted, and the kernel has not taken it: that counts as left."""
    inner = MemoryTransport(takes=1 << 20)
    transport, _, client = await secured(server(), client_context(tmp_path), inner)
    inner.take(-inner._takes + 10)  # type: ignore[operator] # it is limited
    left = transport.send_now([b"short"])
    assert left
    assert transport.send_now(left)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(transport.send, left)
        await trio.testing.wait_all_tasks_blocked()
        inner.take(1000)
    assert client.read() == b"short"


async def test_either_side_may_end(tmp_path: Path, autojump_clock: MockClock) -> None:
    """In TLS's way, or without a word, as many clients do."""
    transport, _, client = await secured(server(), client_context(tmp_path))
    client.write(b"last")
    client.exchange(client.session.unwrap)
    assert received(transport) == b"last"
    assert transport.receive_now(memoryview(bytearray(10))) == 0
    assert transport.peer_side() is PeerSide.ENDED
    transport, _, client = await secured(server(), client_context(tmp_path))
    client.transport.end()
    assert transport.receive_now(memoryview(bytearray(10))) == 0
    transport.close()
    assert client.exchange(lambda: client.session.read(1)) == b""
    assert client.transport.closed


async def test_damaged_bytes_end_the_connection(tmp_path: Path, autojump_clock: MockClock) -> None:
    """The peer, or something between, breaks the wire."""
    transport, _, client = await secured(server(), client_context(tmp_path))
    client.transport.deliver(b"\x17\x03\x03\x00\x20" + bytes(32))
    with pytest.raises(ProtocolError, match=r"^TLS: "):
        received(transport)


# --- handshakes


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_a_certificate_says_who_the_client_is(
    tmp_path: Path, autojump_clock: MockClock, version: ssl.TLSVersion
) -> None:
    """Its subject as Java writes it, through the mapping rules of the listener."""
    context = client_context(tmp_path, AUTHORITY.issue("O=Ottla,CN=Alice"))
    context.minimum_version = context.maximum_version = version
    _, principal, _ = await secured(server("required"), context)
    assert str(principal) == "User:CN=Alice,O=Ottla"
    _, principal, _ = await secured(server("requested", rules="RULE:^CN=(.*?),.*$/$1/L"), context)
    assert str(principal) == "User:alice"


async def test_without_a_certificate_a_client_is_anonymous_where_that_is_allowed(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    """`ssl.client.auth` of `none` does not even look at one, `requested` takes one that is there."""
    certified = client_context(tmp_path, AUTHORITY.issue("CN=alice"))
    for auth, context in (("none", certified), ("requested", client_context(tmp_path))):
        _, principal, _ = await secured(server(auth), context)
        assert str(principal) == "User:ANONYMOUS"


async def test_a_self_signed_certificate_in_the_trust_store_is_believed(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    """As in Java, where each certificate of a trust store is an anchor."""
    alone = self_signed("CN=alone")
    _, principal, _ = await secured(server("required", alone.certificate), client_context(tmp_path, alone))
    assert str(principal) == "User:CN=alone"


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize(
    ("certified", "reason", "alert"),
    [
        (None, "showed no certificate", "CERTIFICATE_REQUIRED|HANDSHAKE_FAILURE"),
        (AUTHORITY.issue("CN=late", expired=True), "certificate has expired", "EXPIRED"),
        (Authority("Other").issue("CN=eve"), "unable to get local issuer certificate", "UNKNOWN_CA"),
        (self_signed("CN=eve"), "self.signed certificate", "UNKNOWN_CA"),
    ],
)
async def test_a_client_that_cannot_show_who_it_is_is_told_so(
    tmp_path: Path, autojump_clock: MockClock, version: ssl.TLSVersion, certified: Any, reason: str, alert: str
) -> None:
    """T3: with the alert that TLS has for it, so that the client's exception is the right one; the log has words."""
    context = client_context(tmp_path, certified)
    context.minimum_version = context.maximum_version = version
    with pytest.raises(HandshakeFailed, match=reason) as failed:
        await secured(server("required"), context)
    assert any(word in failed.value.__notes__[0] for word in alert.split("|"))


async def test_a_client_whose_name_no_rule_matches_is_not_let_in(tmp_path: Path, autojump_clock: MockClock) -> None:
    """It has no principal, so nothing says what it may do."""
    with pytest.raises(HandshakeFailed, match=r"no rule of ssl\.principal\.mapping\.rules matches CN=eve"):
        await secured(
            server("required", rules="RULE:^CN=alice$/alice/"), client_context(tmp_path, AUTHORITY.issue("CN=eve"))
        )


async def test_a_client_that_does_not_believe_the_broker_is_named_as_such(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    """The most common mistake of all."""
    with pytest.raises(HandshakeFailed, match="the client does not believe this broker's certificate"):
        await secured(server(), client_context(tmp_path, believed=Authority("Other").certificate))


async def test_versions_and_suites_are_kept_to(tmp_path: Path, autojump_clock: MockClock) -> None:
    """What the listener does not allow is not agreed on; Java's names mean the same suites."""
    context = client_context(tmp_path)
    _, _, client = await secured(server(protocols=("TLSv1.2",)), context)
    assert client.session.version() == "TLSv1.2"
    _, _, client = await secured(server(suites=("TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",)), context)
    assert client.session.cipher()[0] == "ECDHE-ECDSA-AES128-GCM-SHA256"  # type: ignore[index] # there is one
    _, _, client = await secured(server(suites=("TLS_AES_256_GCM_SHA384",)), context)
    assert client.session.version() == "TLSv1.3"
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with pytest.raises(HandshakeFailed, match="no version of TLS"):
        await secured(server(protocols=("TLSv1.3",)), context)


async def test_a_suite_of_tls_1_3_that_is_not_listed_is_not_served(tmp_path: Path, autojump_clock: MockClock) -> None:
    """Python cannot choose among them, so it is found when the handshake is over."""
    tls = server(suites=("TLS_AES_256_GCM_SHA384", "TLS_AES_128_GCM_SHA256"))

    class Session:
        def cipher(self) -> tuple[str, str, int]:
            return "TLS_CHACHA20_POLY1305_SHA256", "TLSv1.3", 256

    with pytest.raises(Exception, match=r"ssl\.cipher\.suites does not have TLS_CHACHA20"):
        tls.admit(Session())  # type: ignore[arg-type] # all that is looked at


@pytest.mark.parametrize(
    ("first", "what"),
    [
        (b"\0\0\0\x1f\0\x12\0\4", "Kafka's protocol"),
        (b"GET / HTTP/1.1\r\n", "HTTP"),
        (b"\xff\xfe", "something else"),
        (b"\x16\x03\x01", None),
    ],
)
async def test_a_peer_without_tls_is_named(autojump_clock: MockClock, first: bytes, what: str | None) -> None:
    """By its first bytes; nothing is sent to it."""
    inner = MemoryTransport()
    inner.deliver(first)
    inner.end()
    with pytest.raises(HandshakeFailed, match=what or "the peer left") as failed:
        await secure(inner, server(), InlineOffload())
    assert failed.value.stranger is (what is not None)
    assert not inner.sent_bytes


async def test_a_failed_handshake_gives_its_peer_a_moment_to_read_why(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    """Closed with bytes unread, the connection would be reset, and the reset overtakes the alert."""
    inner = MemoryTransport()
    client = Client(inner, client_context(tmp_path, believed=Authority("Other").certificate))
    client.session.context.maximum_version = ssl.TLSVersion.TLSv1_2
    inner.deliver(b"\x16\x03\x01\0\x05hello")
    began = trio.current_time()
    with pytest.raises(HandshakeFailed):
        await secure(inner, server(), InlineOffload())
    assert 0.9 < trio.current_time() - began < 1.1
    assert inner.sent_bytes[:1] == b"\x15"


async def test_a_connection_costs_little_memory_after_much_traffic(tmp_path: Path, autojump_clock: MockClock) -> None:
    """OpenSSL's buffers never shrink, so nothing large may have stood in them."""
    transport, _, client = await secured(server(), client_context(tmp_path))
    largest = 0
    for _ in range(20):
        client.write(b"x" * 300_000)
        got = 0
        while got < 300_000:
            got += len(received(transport))
            largest = max(largest, transport._incoming.pending)
    assert largest <= 33 * 1024
