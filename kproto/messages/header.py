"""The headers in front of requests and responses, as messages; :mod:`kproto.headers` reads them on the hot path."""

from kproto.schema.declare import Header, Int16, Int32, String, field


class RequestHeader(Header, versions="1-2", flexible="2+"):
    request_api_key: Int16 = field("0+")
    request_api_version: Int16 = field("0+")
    correlation_id: Int32 = field("0+")
    client_id: String | None = field("1+", flexible="none")


class ResponseHeader(Header, versions="0-1", flexible="1+"):
    correlation_id: Int32 = field("0+")
