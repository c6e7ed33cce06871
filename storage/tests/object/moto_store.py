"""An S3 store in this process (moto), for tests that should be quick; each has buckets of its own."""

from __future__ import annotations

import contextlib
import itertools
import logging
import urllib.request
from collections.abc import Iterator

_NUMBERS = itertools.count()

KEYS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "testsecret123"}
"""What a test's environment has beside."""


@contextlib.contextmanager
def moto_store() -> Iterator[str]:
    """The address of a store, which lasts as long as the context."""
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        yield f"http://{host}:{port}"
    finally:
        server.stop()


def new_bucket(address: str) -> str:
    """The URL of a bucket that has just been made in the store at `address`."""
    name = f"bucket-{next(_NUMBERS)}"
    # A request without credentials is enough for moto.
    urllib.request.urlopen(urllib.request.Request(f"{address}/{name}", method="PUT"), timeout=10).close()
    return f"s3://{name}/folder?endpoint={address}"
