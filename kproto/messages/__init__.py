"""Every message of the protocol, a module for each API; modules load on demand.

An API is named by the table of the release (`kproto/release/apis.py`), its module is called like it in snake_case, and
the module's request is called like it too. So a broker imports what it serves and nothing else.
"""

from importlib import import_module
from typing import Final

from kproto.release.apis import APIS
from kproto.schema.declare import Request

__all__ = ["APIS", "api_name", "request_type"]

_REQUEST_TYPES: Final[dict[int, type[Request]]] = {}


def request_type(api_key: int) -> type[Request]:
    """The request class of an API; its ``response_type`` is the answer's. Raises KeyError for an unknown key."""
    known = _REQUEST_TYPES.get(api_key)
    if known is None:
        api = APIS[api_key]
        known = _REQUEST_TYPES[api_key] = getattr(import_module(f"{__name__}.{api.module}"), f"{api.name}Request")
    return known


def api_name(api_key: int) -> str:
    """Kafka's name of an API, such as ``ListOffsets``; ``Unknown(n)`` for a key that is not in the table."""
    api = APIS.get(api_key)
    return api.name if api is not None else f"Unknown({api_key})"
