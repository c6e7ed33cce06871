"""UnregisterController, API 94."""

from kproto.schema.declare import Int16, Int32, Request, Response, String, field


class UnregisterControllerRequest(Request, api=94, versions="0", flexible="0+"):
    """Remove a controller's registration."""

    controller_id: Int32 = field("0+")


class UnregisterControllerResponse(Response, to=UnregisterControllerRequest):
    throttle_time_ms: Int32 = field("0+")
    error_code: Int16 = field("0+")
    error_message: String | None = field("0+")
