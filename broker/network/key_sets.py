"""Where the keys of an issuer are read from: a file, or a web server. For a worker thread.

A door to the network (`tools/tidy/test_seams.py`): what is behind it is one GET, with an end to its time and to what it
may bring.
"""

from __future__ import annotations

import urllib.request
from typing import Final
from urllib.parse import unquote, urlparse

from broker.security.sasl.jwks import KeySetError
from storage.seams.disk import Disk

SECONDS: Final = 10.0
LARGEST: Final = 1 << 20


def load_key_set(url: str, disk: Disk) -> bytes:
    """The bytes at `url`, of the schemes file, http and https. Raises KeySetError."""
    if urlparse(url).scheme == "file":
        path = unquote(urlparse(url).path)
        try:
            content = disk.read_file(path)
        except OSError as error:
            raise KeySetError(f"{path} cannot be read: {error.strerror}") from error
        if content is None:
            raise KeySetError(f"{path} does not exist")
        return content
    request = urllib.request.Request(url, headers={"Accept": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=SECONDS) as response:
            data: bytes = response.read(LARGEST + 1)
    except (OSError, ValueError) as error:
        raise KeySetError(f"it does not answer: {error}") from error
    if len(data) > LARGEST:
        raise KeySetError(f"it has more than {LARGEST} bytes")
    return data
