"""One connection to a broker: opened, in TLS where it has to be, authenticated, and its versions known.

The order is Kafka's: TLS, then ApiVersions, then SaslHandshake and as many SaslAuthenticate as the mechanism takes. A
failure is one sentence (`Failed`) that says at which of these steps it ended: its reader has to find out whether it is
the address, the certificate or the password.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Mapping
from typing import Any, NamedTuple, Self

from kproto.errors import ErrorCode, ProtocolError
from kproto.messages.api_versions import ApiVersionsRequest
from kproto.messages.sasl_authenticate import SaslAuthenticateRequest
from kproto.messages.sasl_handshake import SaslHandshakeRequest
from kproto.schema.declare import Request
from tools.client.properties import Address, ClientProperties
from tools.failures import Failed
from tools.wire import WireConnection

SOFTWARE = "ottla"


class Security(NamedTuple):
    """What a client brings to a connection; shared by all of a cluster."""

    client_id: str
    tls: ssl.SSLContext | None
    credentials: Any
    """`sasl.Credentials`, or None."""

    @classmethod
    def of(cls, properties: ClientProperties) -> Self:
        """Raises Misunderstood for certificates and credentials that cannot be used."""
        tls, credentials = None, None
        if properties.protocol.endswith("SSL"):
            from tools.client.tls import tls_context

            tls = tls_context(properties)
        if properties.protocol.startswith("SASL"):
            from tools.client.sasl import credentials_of

            credentials = credentials_of(properties)
        return cls(properties.first("client.id") or SOFTWARE, tls, credentials)


class BrokerConnection:
    """A connection that is ready for questions."""

    def __init__(
        self, address: Address, wire: WireConnection, versions: Mapping[int, tuple[int, int]], about: Any
    ) -> None:
        self.address = address
        self.versions = versions
        """API key -> (lowest, newest) version that the broker serves."""
        self.about = about
        """The ApiVersions reply: features too."""
        self._wire = wire

    @property
    def stream(self) -> socket.socket:
        """What requests are written to; all replies so far have been read."""
        return self._wire.socket

    @property
    def name(self) -> str:
        """The address as it is read."""
        host, port = self.address
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

    @classmethod
    def make(cls, address: Address, security: Security, timeout: float) -> Self:
        """Open one. Raises Failed with the step at which it ended."""
        host, port = address
        name = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        try:
            wire = WireConnection(host, port, client_id=security.client_id, timeout=timeout, tls=security.tls)
        except ssl.SSLCertVerificationError as error:
            raise Failed(f"the certificate of the broker at {name} is not accepted: {error.verify_message}") from None
        except ssl.SSLError as error:
            raise Failed(f"no TLS with {name}: {_reason(error)}; is it a listener for TLS?") from None
        except socket.gaierror:
            raise Failed(f"the name {host} is not known here") from None
        except OSError as error:
            raise Failed(f"no broker answers at {name}: {_reason(error)}") from None
        try:
            about = _ask_versions(wire)
            versions = {each.api_key: (each.min_version, each.max_version) for each in about.api_keys}
            connection = cls(address, wire, versions, about)
            if security.credentials is not None:
                connection._authenticate(security.credentials)
            return connection
        except (OSError, ProtocolError) as error:
            wire.close()
            hint = "" if security.tls else "; is it a listener for TLS?" if isinstance(error, OSError) else ""
            raise Failed(f"what listens at {name} does not speak Kafka's protocol: {_reason(error)}{hint}") from None
        except BaseException:
            wire.close()
            raise

    def call(self, request: Request, newest: int | None = None) -> Any:
        """Ask in the newest version that both sides speak, `newest` at most. Raises Failed if there is none, OSError or
        ProtocolError if there is no answer."""
        version = self.version_of(type(request), newest)
        try:
            return self._wire.call(request, version)
        except ValueError as error:  # a field that this version does not have
            raise Failed(f"the broker at {self.name} is too old for this: {error}") from None

    def version_of(self, request: type[Request], newest: int | None = None) -> int:
        """The version for a request. Raises Failed."""
        low, high = self.versions.get(request.api_key, (0, -1))
        version = min(high, request.max_version if newest is None else newest)
        if version < max(low, request.min_version):
            api = request.__name__.removesuffix("Request")
            raise Failed(
                f"the broker at {self.name} does not serve {api}" + (" in a version known here" if high >= 0 else "")
            )
        return version

    @property
    def certificate_expires(self) -> float | None:
        """When the broker's certificate does, in seconds since 1970; None without TLS."""
        stream = self._wire.socket
        certificate = stream.getpeercert() if isinstance(stream, ssl.SSLSocket) else None
        return ssl.cert_time_to_seconds(str(certificate["notAfter"])) if certificate else None

    def close(self) -> None:
        """End it."""
        self._wire.close()

    def _authenticate(self, credentials: Any) -> None:
        from tools.client.sasl import Exchange

        reply = self.call(SaslHandshakeRequest(mechanism=credentials.mechanism))
        if reply.error_code:
            if not reply.mechanisms:
                raise Failed(
                    f"the listener at {self.name} asks no one to log in: security.protocol has to be one without SASL"
                )
            offered = ", ".join(reply.mechanisms)
            raise Failed(f"the listener at {self.name} does not offer {credentials.mechanism}; it offers {offered}")
        exchange = Exchange(credentials)
        message: bytes | None = exchange.first()
        while message is not None:
            answer = self.call(SaslAuthenticateRequest(auth_bytes=message))
            if answer.error_code:
                code = ErrorCode(answer.error_code)
                raise Failed(f"authentication failed: {answer.error_message or code.sentence}")
            message = exchange.next(bytes(answer.auth_bytes))


def _ask_versions(wire: WireConnection) -> Any:
    """The ApiVersions reply, in an older version of it if the broker does not know ours (KIP-511)."""
    request = ApiVersionsRequest(client_software_name=SOFTWARE, client_software_version="1")
    reply = wire.call(request, 4)
    if reply.error_code == ErrorCode.UNSUPPORTED_VERSION:
        known = {each.api_key: each.max_version for each in reply.api_keys}
        reply = wire.call(request, known.get(ApiVersionsRequest.api_key, 0))
    if reply.error_code:
        raise ProtocolError(f"ApiVersions is answered with {ErrorCode(reply.error_code).name}")
    return reply


def _reason(error: BaseException) -> str:
    if isinstance(error, TimeoutError):
        return "no answer in time"
    return (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__
