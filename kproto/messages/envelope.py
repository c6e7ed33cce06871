"""Envelope, API 58."""

from kproto.schema.declare import Bool, Bytes, Data, Int16, Request, Response, String, field


class EnvelopeRequest(Request, api=58, versions="0", flexible="0+"):
    """Carry a client's request from a broker to the controller, with the client's principal (KIP-590)."""

    request_data: Bytes = field("0+")
    request_principal: Bytes | None = field("0+")
    client_host_address: Bytes = field("0+")


class EnvelopeResponse(Response, to=EnvelopeRequest):
    response_data: Bytes | None = field("0+", default=None)
    error_code: Int16 = field("0+")


class DefaultPrincipalData(Data, versions="0", flexible="0+"):
    """The client's principal, as it stands in the request behind an int16 version."""

    type: String = field("0+")
    name: String = field("0+")
    token_authenticated: Bool = field("0+")
