"""TEMPORARY: transactional APIs are compared before they are served."""

from __future__ import annotations

from broker.handlers import SERVED_VERSIONS as NOW
from kproto.release.apis import APIS

SERVED_VERSIONS = {**{key: (APIS[key].oldest, APIS[key].newest) for key in (24, 25, 26, 27, 28, 61, 65, 66)}, **NOW}
