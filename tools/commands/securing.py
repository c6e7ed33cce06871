"""`ottla serve --secure`: a certificate authority, a certificate, an admin and a password, in one step.

What it makes lies in the folder `secure` of the data directory, for its owner only (0700, files 0600):

| file | what |
|---|---|
| `ca.pem` | the authority's certificate: what clients must believe; no secret |
| `ca-key.pem` | its key; needed when the broker's certificate is made again, and may be taken away until then |
| `broker.pem` | the broker's key and certificate, as a PEM key store |
| `admin.password` | the password of the user `admin` |
| `client.properties` | all that a Java client needs, for `--command-config` of Kafka's tools |

What is there is kept, so the next start changes nothing. A certificate that is not for the host that is listened on, or
that ends within `RENEWED_DAYS`, is made again by the same authority, and clients notice nothing.

The broker then has one listener, SASL_SSL, and an authorizer. `admin` comes in by PLAIN and may do everything; users
made by `admin` come in by SCRAM, and do what ACLs allow them:

    kafka-configs.sh --alter --entity-type users --entity-name alice --add-config 'SCRAM-SHA-512=[password=...]'

It takes `cryptography`. Raises `CannotSecure` with a sentence.
"""

from __future__ import annotations

import datetime
import ipaddress
import os
import secrets
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

FOLDER: Final = "secure"
USER: Final = "admin"
AUTHORITY_DAYS: Final = 3650
CERTIFICATE_DAYS: Final = 825
RENEWED_DAYS: Final = 90
LISTENER: Final = "SASL_SSL"
PLAIN_MODULE: Final = "org.apache.kafka.common.security.plain.PlainLoginModule"
SCRAM_MODULE: Final = "org.apache.kafka.common.security.scram.ScramLoginModule"

DECIDED: Final = (
    "listeners", "listener.security.protocol.map", "authorizer.class.name", "super.users", "sasl.", "ssl.",
    "listener.name.",
)  # fmt: skip
"""Settings, and beginnings of settings, that `--secure` makes itself."""


class CannotSecure(Exception):
    """There is no way to secure the broker so; the message is one sentence."""


class Secured:
    """What has been made, or was there."""

    def __init__(self, folder: Path, password: str) -> None:
        self.folder = folder
        self.password = password

    def settings(self, host: str, port: int) -> Mapping[str, str]:
        """The settings of a broker that listens there."""
        address = f"[{host}]" if ":" in host else host
        prefix = f"listener.name.{LISTENER.lower()}."
        return {
            "listeners": f"{LISTENER}://{address}:{port}",
            "ssl.keystore.type": "PEM",
            "ssl.keystore.location": str(self.folder / "broker.pem"),
            "sasl.enabled.mechanisms": "PLAIN,SCRAM-SHA-256,SCRAM-SHA-512",
            f"{prefix}plain.sasl.jaas.config": f'{PLAIN_MODULE} required user_{USER}="{self.password}";',
            f"{prefix}scram-sha-256.sasl.jaas.config": f"{SCRAM_MODULE} required;",
            f"{prefix}scram-sha-512.sasl.jaas.config": f"{SCRAM_MODULE} required;",
            "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            "super.users": f"User:{USER}",
        }

    def for_clients(self, host: str, port: int) -> str:
        """What clients are to be told, in their own words. The password is named by its file."""
        if host in ("0.0.0.0", "::", ""):
            host = socket.gethostname()
        address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        ca, password = self.folder / "ca.pem", self.folder / "admin.password"
        return f"""\
This broker speaks SASL_SSL. The user is {USER}, the password is in {password}.

  kafka-python    KafkaProducer(bootstrap_servers="{address}", security_protocol="SASL_SSL", ssl_cafile="{ca}",
                      sasl_mechanism="PLAIN", sasl_plain_username="{USER}",
                      sasl_plain_password=open("{password}").read())
  librdkafka      bootstrap.servers={address} security.protocol=SASL_SSL ssl.ca.location={ca}
                      sasl.mechanisms=PLAIN sasl.username={USER} sasl.password=$(cat {password})
  Java, Kafka's tools   --bootstrap-server {address} --command-config {self.folder / "client.properties"}
"""


def given_beside(static: Mapping[str, str]) -> list[str]:
    """Which of the settings that are given `--secure` would have to make otherwise."""
    families = tuple(each for each in DECIDED if each.endswith("."))
    return sorted(key for key in static if key in DECIDED or key.startswith(families))


def secure(data_directory: str, host: str) -> Secured:
    """Make what is missing under the data directory. `host` is what will be listened on. Raises CannotSecure."""
    try:
        import cryptography  # noqa: F401 - only whether it is there
    except ImportError:
        raise CannotSecure("--secure makes certificates with a library: pip install 'ottla[security]'") from None
    folder = Path(data_directory).absolute() / FOLDER
    try:
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o700)
        _certify(folder, host)
        password = _password(folder)
    except OSError as error:
        raise CannotSecure(f"{error.filename or folder} cannot be written: {error.strerror}") from None
    return Secured(folder, password)


def _password(folder: Path) -> str:
    path = folder / "admin.password"
    if not path.exists():
        _write(path, secrets.token_urlsafe(24))
    password = path.read_text(encoding="utf-8").strip()
    if not password or set(password) & set('"\\\n'):
        raise CannotSecure(f"{path} must have one line, without quotes and backslashes")
    properties = folder / "client.properties"
    text = (
        "security.protocol=SASL_SSL\n"
        "ssl.truststore.type=PEM\n"
        f"ssl.truststore.location={folder / 'ca.pem'}\n"
        "sasl.mechanism=PLAIN\n"
        f'sasl.jaas.config={PLAIN_MODULE} required username="{USER}" password="{password}";\n'
    )
    if not properties.exists() or properties.read_text(encoding="utf-8") != text:
        _write(properties, text)
    return password


def _certify(folder: Path, host: str) -> None:
    from cryptography import x509

    names = _names(host)
    broker, authority = folder / "broker.pem", folder / "ca.pem"
    if authority.exists() and broker.exists():
        there = x509.load_pem_x509_certificates(broker.read_bytes())[0]
        left = there.not_valid_after_utc - datetime.datetime.now(datetime.UTC)
        if left > datetime.timedelta(days=RENEWED_DAYS) and names <= _names_of(there):
            return
        names |= _names_of(there)
    key, certificate = _authority(folder)
    own = _new_key()
    signed = _sign(
        _named(host if host not in ("", "0.0.0.0", "::") else socket.gethostname()),
        own.public_key(),
        certificate.subject,
        key,
        CERTIFICATE_DAYS,
        (
            (x509.BasicConstraints(ca=False, path_length=None), True),
            (_usage("digital_signature"), True),
            (x509.SubjectAlternativeName([_general(name) for name in sorted(names)]), False),
            (x509.ExtendedKeyUsage([x509.oid.ExtendedKeyUsageOID.SERVER_AUTH]), False),
            (x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()), False),
        ),
    )
    _write(broker, _key_text(own) + _text(signed))


def _authority(folder: Path) -> tuple[Any, Any]:
    """Key and certificate of the authority; made if there is none."""
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    path, public = folder / "ca-key.pem", folder / "ca.pem"
    if path.exists():
        content = path.read_bytes()
        certificate = x509.load_pem_x509_certificate(content)
        if not public.exists() or x509.load_pem_x509_certificate(public.read_bytes()) != certificate:
            _write(public, _text(certificate))
        return load_pem_private_key(content, None), certificate
    if public.exists():
        raise CannotSecure(f"the broker's certificate has to be made again, which takes the authority's key, {path}")
    key = _new_key()
    subject = _named(f"Ottla {secrets.token_hex(4)}")
    certificate = _sign(
        subject,
        key.public_key(),
        subject,
        key,
        AUTHORITY_DAYS,
        (
            (x509.BasicConstraints(ca=True, path_length=0), True),
            (_usage("key_cert_sign", "crl_sign"), True),
            (x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False),
        ),
    )
    _write(path, _key_text(key) + _text(certificate))  # both in one step: half of it would be of no use
    _write(public, _text(certificate))
    return key, certificate


def _names(host: str) -> set[str]:
    """Whom the certificate is for: this machine under the names that it has, and what is listened on."""
    found = {"localhost", "127.0.0.1", "::1", socket.gethostname()}
    return found | ({host} if host not in ("", "0.0.0.0", "::") else set())


def _names_of(certificate: Any) -> set[str]:
    from cryptography import x509

    extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return {str(name.value) for name in extension}


def _general(name: str) -> Any:
    from cryptography import x509

    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _usage(*wanted: str) -> Any:
    """What a key may be used for. Clients that are strict about RFC 5280, as Python's are since 3.13, believe no
    authority that does not say it."""
    from cryptography import x509

    every = (
        "digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement",
        "key_cert_sign", "crl_sign", "encipher_only", "decipher_only",
    )  # fmt: skip
    return x509.KeyUsage(**{each: each in wanted for each in every})


def _named(name: str) -> Any:
    from cryptography import x509

    return x509.Name([x509.NameAttribute(x509.oid.NameOID.COMMON_NAME, name[:64])])


def _new_key() -> Any:
    from cryptography.hazmat.primitives.asymmetric import ec

    return ec.generate_private_key(ec.SECP256R1())


def _sign(
    subject: Any, public_key: Any, issuer: Any, key: Any, days: int, extensions: tuple[tuple[Any, bool], ...]
) -> Any:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes

    now = datetime.datetime.now(datetime.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))  # clocks differ
        .not_valid_after(now + datetime.timedelta(days=days))
    )
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical)
    return builder.sign(key, hashes.SHA256())


def _text(certificate: Any) -> str:
    from cryptography.hazmat.primitives.serialization import Encoding

    text: str = certificate.public_bytes(Encoding.PEM).decode()
    return text


def _key_text(key: Any) -> str:
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    text: str = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    return text


def _write(path: Path, text: str) -> None:
    """A file for its owner only, whole or not at all."""
    beside = path.with_name(f"{path.name}.{os.getpid()}")
    with open(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.replace(beside, path)
