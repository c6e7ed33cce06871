"""Where the keys of an issuer are read from: a file, or a web server. For a worker thread.

A door to the network (`tools/tidy/test_seams.py`): what is behind it is one GET, with an end to its time and to what it
may bring. The time counts for the whole body: a server that sends a byte now and then would else hold the thread for
weeks. An address with TLS is not left for one without, wherever the server sends us.
"""

from __future__ import annotations

import time
import urllib.request
from http.client import HTTPException
from typing import Any, Final
from urllib.error import URLError
from urllib.parse import unquote, urlparse

from broker.security.sasl.jwks import READ_SECONDS, KeySetError
from storage.seams.disk import Disk

LARGEST: Final = 1 << 20
PIECE: Final = 64 * 1024


def load_key_set(url: str, disk: Disk, *, seconds: float = READ_SECONDS) -> bytes:
    """The bytes at `url`, of the schemes file, http and https. Raises KeySetError, also when they have not all come
    within `seconds`."""
    if urlparse(url).scheme == "file":
        path = unquote(urlparse(url).path)
        try:
            if (size := disk.file_size(path)) is not None and not 0 < size <= LARGEST:
                raise KeySetError(
                    f"{path} is empty, or no file" if size == 0 else f"{path} is larger than {LARGEST} bytes"
                )
            content = disk.read_file(path)
        except OSError as error:
            raise KeySetError(f"{path} cannot be read: {error.strerror}") from error
        if content is None:
            raise KeySetError(f"{path} does not exist")
        return content
    request = urllib.request.Request(url, headers={"Accept": "application/json"})
    ends = time.monotonic() + seconds
    data = bytearray()
    try:
        with urllib.request.build_opener(_Redirects).open(request, timeout=seconds) as response:
            while piece := response.read1(PIECE):
                data += piece
                if len(data) > LARGEST:
                    raise KeySetError(f"it has more than {LARGEST} bytes")
                if time.monotonic() >= ends:
                    raise KeySetError(f"it has not come to an end within {seconds:g} s")
    except (OSError, ValueError, HTTPException) as error:
        raise KeySetError(f"it does not answer: {str(error) or type(error).__name__}") from error
    return bytes(data)


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows where the server sends us, but not out of TLS."""

    def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Any:
        wanted = ("https",) if req.type == "https" else ("http", "https")
        if urlparse(newurl).scheme not in wanted:
            raise URLError(f"it sends us on to an address that is not {wanted[0]}:")
        return super().redirect_request(req, fp, code, msg, headers, newurl)
