"""Every API's longest lists: each array of each request with near the most elements that Ottla's decoder takes.

Once the elements are equal, once they differ. `broker/testing/long_lists.py` makes the requests from the declarations.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from broker.testing.long_lists import arrays_of, filled
from kproto.messages import request_type
from kproto.schema.declare import Field, Request
from tools.trials.abuse.attack import Attack, Site, Steps, answer_or_cut

ENTRIES = 199_000


def attacks(versions: dict[int, tuple[int, int]]) -> Iterator[Attack]:
    """One attack for each array of each request in `versions`, and for equal and different elements."""
    for key in sorted(versions):
        request = request_type(key)
        newest = min(versions[key][1], request.max_version)
        for path in arrays_of(request, newest):
            for equal in (True, False):
                words = f"{request.__name__.removesuffix('Request')} {'.'.join(field.name for field in path)}"
                name = f"{words}, {'equal' if equal else 'different'}"
                yield Attack(name, "a list as long as it goes", partial(send, request, newest, path, equal))


def send(request: type[Request], version: int, path: tuple[Field, ...], equal: bool, site: Site) -> Steps:
    """Send it, and wait for what comes."""
    message = filled(request, version, path, equal, ENTRIES)
    client = site.client()
    yield
    answer_or_cut(client, message, version)
