"""A listener's TLS settings as an `ssl.SSLContext`, and the contexts of all listeners as files and settings change.

`make_tls` reads the stores and makes a `ServerTls`; it blocks, and raises `BadTls` with one sentence. The start calls
it for every listener, so a wrong password ends the start and not the first client's connection.

**Renewal without a restart.** `Contexts` keeps one `ServerTls` per listener. A new connection asks for it
(`of`); connections that are there stay as they are. It is made again, in a thread, when

* a setting that it is made from changes (`reconfigure`, after IncrementalAlterConfigs on `ssl.*`, KIP-226);
* one of its files has another time, size or name, looked at every `LOOK_SECONDS` (Kafka waits until the setting is
  written again). A file is taken when it has stayed the same for one look, so that one half written is not tried.

What cannot be loaded, or may not take the old one's place, changes nothing: the log says so once, and the old
certificate is shown until the files are right. May not: the certificate has another subject, or lacks a name that
the old one had, unless `ssl.allow.dn.changes`, `ssl.allow.san.changes` allow it (Kafka: SslFactory.CertificateEntries).

**A certificate that is about to end** is a warning in the log once a day, from `ENDS_SOON_DAYS` before; one that has
ended is an error, since no client will believe it.

Choices, and their reasons:

* **TLS 1.2 at least, no renegotiation**, which TLS 1.2 has and Python does not switch off by itself: clients could make
  the broker compute for them again and again.
* **A certificate in the trust store is believed for itself**, also if it is no authority's or has another above it
  (OpenSSL's PARTIAL_CHAIN): so does Java, and so clients with self-signed certificates are let in there.
* The broker's order of cipher suites counts, as in Java.
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

import trio

from broker.config.tls_settings import BadTls, Store, TlsSettings
from broker.security.principals import ANONYMOUS, USER, Principal
from broker.security.tls.cipher_suites import BadSuites, Suites, suites_of
from broker.security.tls.der import Certificate, NotDer, read_certificate
from broker.security.tls.distinguished_names import distinguished_name
from broker.security.tls.memory_files import load_identity
from broker.security.tls.principal_mapping import BadRules, NoRuleApplies, PrincipalMapping, parse_rules
from broker.security.tls.stores import (
    BadStore,
    Identity,
    certificates_of_pem,
    first_certificate,
    identity_of_pem,
    read_key_store,
    read_trust_store,
)
from storage.seams.logging import get_logger
from storage.seams.offload import Lane

if TYPE_CHECKING:
    from storage.seams.clock import Clock
    from storage.seams.disk import Disk
    from storage.seams.offload import Offload

LOOK_SECONDS: Final = 5.0
ENDS_SOON_DAYS: Final = 30
_DAY_MILLIS: Final = 86_400_000
_VERSIONS: Final = {"TLSv1.2": ssl.TLSVersion.TLSv1_2, "TLSv1.3": ssl.TLSVersion.TLSv1_3}
_CLIENT_AUTH: Final = {"none": ssl.CERT_NONE, "requested": ssl.CERT_OPTIONAL, "required": ssl.CERT_REQUIRED}
_ALL_SUITES: Final = "ALL:!aNULL:!eNULL:!PSK:!SRP"

LARGEST_STORE: Final = 16 << 20
"""Bytes: a trust store of all the world's authorities has less than one million. Settings that are altered over the
network name files, too: one without an end would take all memory, and a pipe hold the thread that reads it forever."""


class NotLetIn(Exception):
    """The handshake is over, and this peer is not served all the same; the message says why."""


class ServerTls:
    """What connections of one listener are secured with."""

    def __init__(
        self,
        settings: TlsSettings,
        context: ssl.SSLContext,
        suites: Suites,
        mapping: PrincipalMapping,
        certificate: Certificate,
    ) -> None:
        self.settings = settings
        self.context = context
        self.certificate = certificate
        self._suites = suites
        self._mapping = mapping

    def admit(self, session: ssl.SSLObject) -> Principal:
        """Who the peer of a finished handshake is. Raises NotLetIn."""
        cipher = session.cipher()
        if cipher is not None and not self._suites.allow(cipher[0]):
            raise NotLetIn(f"ssl.cipher.suites does not have {cipher[0]}, the suite that both sides agreed on")
        shown = session.getpeercert(binary_form=True)
        if shown is None:
            return ANONYMOUS
        try:
            return Principal(USER, self._mapping.name_of(distinguished_name(read_certificate(shown).subject)))
        except NoRuleApplies as error:
            raise NotLetIn(str(error)) from None
        except NotDer as error:
            raise NotLetIn(f"the client's certificate cannot be read: {error}") from None


def make_tls(settings: TlsSettings, disk: Disk) -> ServerTls:
    """Read the stores and make the context. Blocking. Raises BadTls."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.options |= ssl.OP_NO_RENEGOTIATION
    context.minimum_version = _VERSIONS[settings.protocols[0]]
    context.maximum_version = _VERSIONS[settings.protocols[-1]]
    suites = _choose_suites(context, settings)
    identity = _identity(settings.key_store, disk)
    try:
        load_identity(context, identity)
        certificate = read_certificate(first_certificate(identity.chain))
    except (BadStore, NotDer) as error:
        raise _of_store("ssl.keystore", settings.key_store, error) from None
    if settings.asks_for_certificates:
        assert settings.trust_store is not None, "checked by tls_settings"
        try:
            context.load_verify_locations(cadata=_believed(settings.trust_store, disk).decode("ascii"))
        except (BadStore, ssl.SSLError) as error:
            raise _of_store("ssl.truststore", settings.trust_store, error) from None
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        context.verify_mode = _CLIENT_AUTH[settings.client_auth]
    try:
        mapping = parse_rules(settings.rules)
    except BadRules as error:
        raise BadTls("ssl.principal.mapping.rules", str(error)) from None
    return ServerTls(settings, context, suites, mapping, certificate)


def make_asking_context(settings: TlsSettings, disk: Disk) -> ssl.SSLContext:
    """What this broker connects with to the same listener of another broker of its cluster. Blocking. Raises BadTls.

    It believes in the authorities of the trust store, or without one in those of its own chain, and shows its own
    certificate where it is asked for one. The name in the other's certificate is not compared: brokers reach each
    other by addresses that are in the cluster's database, and prove who they are by what only that knows
    (`broker/security/sasl/brokers.py`).
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.minimum_version = _VERSIONS[settings.protocols[0]]
    context.maximum_version = _VERSIONS[settings.protocols[-1]]
    identity = _identity(settings.key_store, disk)
    try:
        load_identity(context, identity)
        believed = identity.chain if settings.trust_store is None else _believed(settings.trust_store, disk)
        context.load_verify_locations(cadata=believed.decode("ascii"))
    except (BadStore, ssl.SSLError) as error:
        store = settings.trust_store or settings.key_store
        raise _of_store("ssl.truststore" if settings.trust_store else "ssl.keystore", store, error) from None
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    return context


def _choose_suites(context: ssl.SSLContext, settings: TlsSettings) -> Suites:
    if not settings.suites:
        return Suites()
    context.set_ciphers(_ALL_SUITES)
    try:
        suites = suites_of(settings.suites, {each["name"] for each in context.get_ciphers()})
    except BadSuites as error:
        raise BadTls("ssl.cipher.suites", str(error)) from None
    versions = [
        version
        for version, names in (("TLSv1.2", suites.tls_1_2), ("TLSv1.3", suites.tls_1_3))
        if names and version in settings.protocols
    ]
    if not versions:
        raise BadTls("ssl.cipher.suites", "it has no suite of a version in ssl.enabled.protocols")
    context.minimum_version, context.maximum_version = _VERSIONS[versions[0]], _VERSIONS[versions[-1]]
    if suites.tls_1_2:
        context.set_ciphers(":".join(suites.tls_1_2))
    return suites


def _identity(store: Store, disk: Disk) -> Identity:
    try:
        if store.key is not None:
            assert store.certificates is not None, "checked by tls_settings"
            return identity_of_pem(store.key.encode(), store.certificates.encode(), store.key_password)
        return read_key_store(_content(store, disk), store.password, store.key_password)
    except BadStore as error:
        raise _of_store("ssl.keystore", store, error) from None


def _believed(store: Store, disk: Disk) -> bytes:
    if store.certificates is not None:
        return certificates_of_pem(store.certificates.encode())
    return read_trust_store(_content(store, disk), store.password)


def _content(store: Store, disk: Disk) -> bytes:
    assert store.location is not None
    try:
        size = disk.file_size(store.location)
        if size is not None and not 0 < size <= LARGEST_STORE:
            raise BadStore("it is empty, or no file" if size == 0 else f"it has more than {LARGEST_STORE} bytes")
        content = disk.read_file(store.location)
    except OSError as error:
        raise BadStore(f"it cannot be read: {error.strerror}") from None
    if content is None:
        raise BadStore("it does not exist")
    return content


def _of_store(prefix: str, store: Store, error: Exception) -> BadTls:
    if store.location is not None:
        return BadTls(f"{prefix}.location", f"the store {store.location} cannot be used: {error}")
    return BadTls(f"{prefix}.certificate.chain" if store.key else f"{prefix}.certificates", str(error))


def may_follow(old: ServerTls, new: ServerTls) -> None:
    """Refuse a certificate that clients would not take for the same broker's. Raises BadTls."""
    if new.certificate.subject != old.certificate.subject and not new.settings.allow_dn_changes:
        raise BadTls(
            "ssl.allow.dn.changes",
            f"the new certificate is that of {distinguished_name(new.certificate.subject)}, the old one that of "
            f"{distinguished_name(old.certificate.subject)}",
        )
    if not new.certificate.names >= old.certificate.names and not new.settings.allow_san_changes:
        raise BadTls(
            "ssl.allow.san.changes", "the new certificate lacks a subject alternative name that the old one has"
        )


Stamp = tuple[tuple[int | None, int | None], ...]


class Contexts:
    """The TLS of each listener that has it, renewed as its files and settings change."""

    def __init__(self, settings: Mapping[str, TlsSettings], disk: Disk, offload: Offload, clock: Clock) -> None:
        """Read all stores. Blocking, as the start is. Raises BadTls."""
        self._disk = disk
        self._clock = clock
        self._warned: dict[str, int] = {}  # listener -> when the log had it that its certificate ends, wall millis
        self._offload = offload
        # What each was made from last, or could not be made from: settings, and the state of their files.
        self._tried = {name: (each, self._stamp(each)) for name, each in settings.items()}
        self._tls = {name: make_tls(each, disk) for name, each in settings.items()}
        self._wanted = dict(settings)
        self._changed = trio.Event()
        self._log = get_logger(__name__)

    def of(self, listener: str) -> ServerTls | None:
        """What new connections of the listener are secured with; None for one without TLS."""
        return self._tls.get(listener)

    async def asking(self, listener: str) -> ssl.SSLContext | None:
        """What to connect with to this listener of another broker; None for one without TLS. Raises BadTls."""
        tls = self._tls.get(listener)
        if tls is None:
            return None
        return await self._offload.run(make_asking_context, tls.settings, self._disk, lane=Lane.DISK)

    def reconfigure(self, settings: Mapping[str, TlsSettings]) -> None:
        """Take other settings for the listeners that there are; soon, in a thread."""
        self._wanted = {name: settings.get(name, self._wanted[name]) for name in self._tls}
        self._changed.set()

    def check(self, settings: Mapping[str, TlsSettings]) -> None:
        """Refuse settings that `reconfigure` could not bring into force. Blocking. Raises BadTls."""
        for name, old in list(self._tls.items()):
            if (wanted := settings.get(name)) is not None and wanted != old.settings:
                may_follow(old, make_tls(wanted, self._disk))

    async def run(self) -> None:
        """Look at files and settings forever, and renew what has changed."""
        seen = {name: stamp for name, (_, stamp) in self._tried.items()}
        while True:
            self._warn()
            with trio.move_on_after(LOOK_SECONDS):
                await self._changed.wait()
            self._changed = trio.Event()
            for name in self._tls:
                wanted = self._wanted[name]
                stamp = await self._offload.run(self._stamp, wanted, abandonable=True, lane=Lane.DISK)
                settled, seen[name] = stamp == seen[name], stamp
                tried, _ = self._tried[name]
                if (wanted, stamp) != self._tried[name] and (settled or wanted != tried):
                    self._tried[name] = wanted, stamp
                    await self._renew(name, wanted)

    def _warn(self) -> None:
        """Say once a day that a certificate ends soon, or has ended."""
        now = self._clock.wall_millis()
        for name, tls in self._tls.items():
            left = int(tls.certificate.ends.timestamp() * 1000) - now
            if left > ENDS_SOON_DAYS * _DAY_MILLIS or 0 <= now - self._warned.get(name, -_DAY_MILLIS) < _DAY_MILLIS:
                continue
            self._warned[name] = now
            if left > 0:
                self._log.warning("the certificate of a listener ends soon", listener=name, days=left // _DAY_MILLIS)
            else:
                self._log.error("the certificate of a listener has ended: no client believes it", listener=name)

    async def _renew(self, name: str, wanted: TlsSettings) -> None:
        old = self._tls[name]
        try:
            new = await self._offload.run(make_tls, wanted, self._disk, abandonable=True, lane=Lane.DISK)
            may_follow(old, new)
        except BadTls as error:
            self._log.error("TLS of a listener not renewed", listener=name, key=error.key, reason=str(error))
            return
        self._tls[name] = new
        self._warned.pop(name, None)
        self._log.info("TLS of a listener renewed", listener=name, certificate_ends=str(new.certificate.ends))

    def _stamp(self, settings: TlsSettings) -> Stamp:
        return tuple((_modified(self._disk, path), self._disk.file_size(path)) for path in settings.files)


def _modified(disk: Disk, path: str) -> int | None:
    try:
        return disk.modified_millis(path)
    except OSError:
        return None
