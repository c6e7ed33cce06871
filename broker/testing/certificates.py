"""Certificates for tests: an authority, what it signs, and what is wrong with some of them.

    authority = Authority("Tests")
    server = authority.issue("CN=localhost", hosts=("localhost", "127.0.0.1"))
    server.key, server.chain                    # PEM texts, as `ssl.keystore.key` and its sister take them
    server.combined                             # both, as a PEM key store has them
    server.pkcs12("secret")                     # the same as a PKCS12 store
    authority.certificate                       # PEM, as `ssl.truststore.certificates` takes it
    authority.pkcs12("secret")                  # a PKCS12 trust store

Keys are on the curve P-256: one takes a tenth of a millisecond to make, one of RSA a hundred times as long. `issue`
takes what makes certificates differ: a subject as a list of RDNs (`subject`), a time of validity (`expired=True` gives
one that ended yesterday), the hosts that it is for, its purpose.

Made with `cryptography` (the extra `ottla[security]`). Nothing is written, but by `write_set` for tests that have
clients or a broker in other processes. Times are taken from the machine's clock, since TLS libraries take theirs from
there.
"""

from __future__ import annotations

import datetime
import ipaddress
import pathlib
import sys
from collections.abc import Sequence
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import pkcs12
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

DAY: Final = datetime.timedelta(days=1)
LOCAL: Final = ("localhost", "127.0.0.1", "::1")
_SHORT: Final = {
    "CN": NameOID.COMMON_NAME,
    "OU": NameOID.ORGANIZATIONAL_UNIT_NAME,
    "O": NameOID.ORGANIZATION_NAME,
    "L": NameOID.LOCALITY_NAME,
    "ST": NameOID.STATE_OR_PROVINCE_NAME,
    "C": NameOID.COUNTRY_NAME,
    "DC": NameOID.DOMAIN_COMPONENT,
    "UID": NameOID.USER_ID,
    "emailAddress": NameOID.EMAIL_ADDRESS,
    "serialNumber": NameOID.SERIAL_NUMBER,
}

PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


class Certified:
    """A key, the certificate for it, and those of the authorities above it but the root."""

    def __init__(self, key: PrivateKey, certificate: x509.Certificate, above: Sequence[x509.Certificate] = ()) -> None:
        self._key = key
        self._certificate = certificate
        self._above = list(above)

    @property
    def der(self) -> bytes:
        """The certificate as it travels."""
        return self._certificate.public_bytes(serialization.Encoding.DER)

    @property
    def certificate(self) -> str:
        """The certificate alone, as PEM."""
        return _pem(self._certificate)

    @property
    def chain(self) -> str:
        """The certificate and those above it, as PEM."""
        return "".join(map(_pem, [self._certificate, *self._above]))

    @property
    def key(self) -> str:
        """The key in PKCS#8, as PEM: `-----BEGIN PRIVATE KEY-----`."""
        return self._key_as(serialization.PrivateFormat.PKCS8)

    @property
    def traditional_key(self) -> str:
        """The key as OpenSSL once wrote it: `-----BEGIN EC PRIVATE KEY-----`."""
        return self._key_as(serialization.PrivateFormat.TraditionalOpenSSL)

    @property
    def combined(self) -> str:
        """Key and chain, as a PEM key store has them."""
        return self.key + self.chain

    def encrypted_key(self, password: str) -> str:
        """The key as `-----BEGIN ENCRYPTED PRIVATE KEY-----`."""
        return self._key_as(serialization.PrivateFormat.PKCS8, serialization.BestAvailableEncryption(password.encode()))

    def pkcs12(self, password: str, *, name: str = "broker") -> bytes:
        """Key and chain as a PKCS12 store."""
        encryption = serialization.BestAvailableEncryption(password.encode())
        return pkcs12.serialize_key_and_certificates(
            name.encode(), self._key, self._certificate, self._above, encryption
        )

    def _key_as(
        self,
        form: serialization.PrivateFormat,
        encryption: serialization.KeySerializationEncryption | None = None,
    ) -> str:
        encryption = encryption or serialization.NoEncryption()
        return self._key.private_bytes(serialization.Encoding.PEM, form, encryption).decode()


class Authority:
    """A certificate authority with a key of its own; `parent` signs it, else it signs itself."""

    def __init__(self, name: str = "Tests", *, parent: Authority | None = None) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._parent = parent
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        signer = self if parent is None else parent
        issuer = subject if parent is None else parent._certificate.subject
        self._certificate: x509.Certificate = (
            _builder(subject, issuer, self._key, *_years())
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(self._key.public_key()), critical=False)
            .sign(signer._key, hashes.SHA256())
        )

    @property
    def certificate(self) -> str:
        """Its certificate, as PEM: what a peer must have to trust what it signs."""
        return _pem(self._certificate)

    def pkcs12(self, password: str) -> bytes:
        """A PKCS12 trust store with its certificate."""
        encryption = serialization.BestAvailableEncryption(password.encode())
        return pkcs12.serialize_key_and_certificates(None, None, None, [self._certificate], encryption)

    def issue(
        self,
        subject: str | x509.Name = "CN=localhost",
        *,
        hosts: Sequence[str] = LOCAL,
        expired: bool = False,
        key: PrivateKey | None = None,
        purposes: Sequence[x509.ObjectIdentifier] = (ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH),
    ) -> Certified:
        """A certificate for `subject`, written as RDNs from the most general on (`O=Ottla,CN=alice`)."""
        key = key or ec.generate_private_key(ec.SECP256R1())
        name = _name(subject) if isinstance(subject, str) else subject
        now = datetime.datetime.now(datetime.UTC)
        begins, ends = (now - 30 * DAY, now - DAY) if expired else _years()
        builder = _builder(name, self._certificate.subject, key, begins, ends)
        builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        builder = builder.add_extension(x509.ExtendedKeyUsage(purposes), critical=False)
        identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        builder = builder.add_extension(identifier, critical=False)
        if hosts:
            builder = builder.add_extension(x509.SubjectAlternativeName([_host(host) for host in hosts]), False)
        above = []
        authority = self
        while authority._parent is not None:
            above.append(authority._certificate)
            authority = authority._parent
        return Certified(key, builder.sign(self._key, hashes.SHA256()), above)


PASSWORD: Final = "store-password"
"""Of the PKCS12 stores that `write_set` makes."""


def write_set(folder: pathlib.Path) -> None:
    """Write what a test with real clients needs into `folder`:

    * `ca.pem`, `ca.p12`: the authority that signed all that is right; `other-ca.pem`, `other-ca.p12` another one;
    * `server.pem`, `server.p12`: key and chain for localhost; `expired-server.*`: the same, out of date;
    * `client.pem`, `client.p12`: of `O=Ottla,CN=client`; `client.key`, `client.crt` for clients that want them apart;
      `expired-client.*`; `other-client.*`: signed by the other authority.
    """
    folder.mkdir(parents=True, exist_ok=True)
    authority, other = Authority("Ottla tests"), Authority("Another authority")
    for name, each in (("ca", authority), ("other-ca", other)):
        (folder / f"{name}.pem").write_text(each.certificate)
        (folder / f"{name}.p12").write_bytes(each.pkcs12(PASSWORD))
    issued = {
        "server": authority.issue("O=Ottla,CN=localhost", key=rsa_key()),
        "expired-server": authority.issue("O=Ottla,CN=localhost", expired=True),
        "client": authority.issue("O=Ottla,CN=client", hosts=()),
        "expired-client": authority.issue("O=Ottla,CN=client", hosts=(), expired=True),
        "other-client": other.issue("O=Ottla,CN=client", hosts=()),
    }
    for name, certified in issued.items():
        (folder / f"{name}.pem").write_text(certified.combined)
        (folder / f"{name}.p12").write_bytes(certified.pkcs12(PASSWORD))
        (folder / f"{name}.key").write_text(certified.key)
        (folder / f"{name}.crt").write_text(certified.chain)


def self_signed(subject: str) -> Certified:
    """A certificate that no authority stands behind, as clients have it whose certificate itself is trusted."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = _name(subject)
    return Certified(key, _builder(name, name, key, *_years()).sign(key, hashes.SHA256()))


def rsa_key(bits: int = 2048) -> rsa.RSAPrivateKey:
    """A key for `issue`, as most people's certificates have it."""
    return rsa.generate_private_key(public_exponent=65537, key_size=bits)


def _years() -> tuple[datetime.datetime, datetime.datetime]:
    now = datetime.datetime.now(datetime.UTC)
    return now - DAY, now + 3650 * DAY


def _builder(
    subject: x509.Name, issuer: x509.Name, key: PrivateKey, begins: datetime.datetime, ends: datetime.datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begins)
        .not_valid_after(ends)
    )


def _name(text: str) -> x509.Name:
    pairs = (rdn.split("=", 1) for rdn in text.split(","))
    return x509.Name([x509.NameAttribute(_SHORT[kind.strip()], value) for kind, value in pairs])


def _host(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


if (
    __name__ == "__main__"
):  # for tests that import nothing of the broker's: python -m broker.testing.certificates FOLDER
    write_set(pathlib.Path(sys.argv[1]))
