"""SaslHandshake, API 17."""

from kproto.schema.declare import Array, Int16, Request, Response, String, field


class SaslHandshakeRequest(Request, api=17, versions="0-1"):
    """Choose a SASL mechanism; the reply lists those the listener offers.

    From v1 on the exchange itself travels in SaslAuthenticate (KIP-152).
    """

    mechanism: String = field("0+")


class SaslHandshakeResponse(Response, to=SaslHandshakeRequest):
    error_code: Int16 = field("0+")
    mechanisms: Array[String] = field("0+")
