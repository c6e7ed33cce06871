"""The first request of a kind: what answers it is loaded in a thread, once, however many of the kind come together.

An API's handler is imported, and the codecs of one version are compiled, when they are first needed. That takes some
milliseconds, so a thread does it. After a start thousands of clients may send the same request before it is done: they
wait for the one that loads, and are then decoded where they would be anyway.
"""

from __future__ import annotations

import trio

from broker.handlers import handler
from kproto.connection import has_codecs, load_codecs
from storage.seams.offload import Lane, Offload


class Kinds:
    """Which kinds of requests, API and version, are being loaded."""

    def __init__(self) -> None:
        self._loading: dict[tuple[int, int], trio.Event] = {}

    async def load(self, api_key: int, api_version: int, offload: Offload) -> None:
        """Return when a request of this kind can be decoded and answered."""
        kind = api_key, api_version
        while not has_codecs(*kind):
            if (other := self._loading.get(kind)) is not None:
                await other.wait()  # it has loaded them then, unless its client has gone
                continue
            mine = self._loading[kind] = trio.Event()
            try:
                await offload.run(_load, *kind, abandonable=True, lane=Lane.REQUESTS)
            finally:
                del self._loading[kind]
                mine.set()


def _load(api_key: int, api_version: int) -> None:
    """In a thread. Left alone it changes nothing that another does not find as it needs it."""
    handler(api_key)
    load_codecs(api_key, api_version)
