"""`sasl.jaas.config`: the line in which Kafka's Java clients keep a user's name and password.

    org.apache.kafka.common.security.scram.ScramLoginModule required username="alice" password="it's \\"x\\"";

A module's class, a flag, options as name=value with or without quotes, and a semicolon.
"""

from __future__ import annotations

import re
from typing import Final

from tools.failures import Misunderstood

_OPTION: Final = re.compile(r'\s*([\w.\-]+)\s*=\s*("(?:\\.|[^"\\])*"|\'(?:\\.|[^\'\\])*\'|[^\s;"\']+)')
_ESCAPE: Final = re.compile(r"\\(.)")


def jaas_options(text: str) -> dict[str, str]:
    """The options of the one login module in `text`. Raises Misunderstood."""
    words = text.strip().split(None, 2)
    if len(words) < 2 or not text.rstrip().endswith(";"):
        raise Misunderstood("sasl.jaas.config is not of the form 'MODULE required NAME=\"VALUE\" ...;'")
    rest = (words[2] if len(words) > 2 else "").rstrip().rstrip(";")
    found: dict[str, str] = {}
    at = 0
    while rest[at:].strip():
        match = _OPTION.match(rest, at)
        if match is None:
            raise Misunderstood('sasl.jaas.config has an option that is not of the form NAME="VALUE"')
        value = match[2]
        found[match[1]] = _ESCAPE.sub(r"\1", value[1:-1]) if value[0] in "\"'" else value
        at = match.end()
    return found
