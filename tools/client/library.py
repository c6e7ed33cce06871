"""The client library for records, confluent-kafka, and what it is told: librdkafka's properties out of Kafka's.

It is librdkafka, so `ottla consume` reads as fast, and by the same rules, as kcat does. The library is the extra `cli`;
everything but records works without it. librdkafka reads PEM, and Kafka's properties become it in `tls.py`; a property
that librdkafka does not know (`key.serializer`) means nothing here and is left out.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar

from tools.client.properties import ClientProperties
from tools.client.sasl import credentials_of
from tools.client.tls import tls_material
from tools.failures import Failed, Misunderstood

Client = TypeVar("Client")

_JAVAS: Final = re.compile(
    r"(bootstrap\.servers|metadata\.broker\.list|security\.protocol|ssl\.(?!cipher|curves|sigalgs|providers)|sasl\.).*"
)
_UNKNOWN: Final = re.compile(r'No such configuration property: "([^"]+)"')


def made(make: Callable[[dict[str, Any]], Client], properties: ClientProperties, own: Mapping[str, Any]) -> Client:
    """A producer or a consumer: `own` over what the user has set over what connects. Raises Failed."""
    try:
        from confluent_kafka import KafkaException
    except ImportError:
        raise missing() from None
    told = {**library_properties(properties), **own}
    while True:
        try:
            return make(told)
        except KafkaException as error:
            complaint = str(error.args[0].str())
            unknown = _UNKNOWN.search(complaint)
            if unknown is None or unknown[1] in own:
                raise Misunderstood(complaint) from None
            del told[unknown[1]]


def missing() -> Failed:
    """The sentence for a machine without the library."""
    return Failed("records are read and written by the library confluent-kafka: pip install 'ottla[cli]'")


def library_properties(properties: ClientProperties) -> dict[str, Any]:
    """What librdkafka is told so that it connects, and every other property as it came. Raises Misunderstood."""
    told: dict[str, Any] = {key: value for key, value in properties.given.items() if not _JAVAS.fullmatch(key)}
    told["bootstrap.servers"] = properties.addresses
    told["security.protocol"] = properties.protocol.lower()
    told.setdefault("client.id", "ottla")
    told["logger"] = _silent()
    if properties.protocol.endswith("SSL"):
        material = tls_material(properties)
        told["ssl.endpoint.identification.algorithm"] = "https" if material.checks_name else "none"
        told |= {
            key: value
            for key, value in (
                ("ssl.ca.pem", material.authorities),
                ("ssl.certificate.pem", material.certificate),
                ("ssl.key.pem", material.key),
                ("ssl.key.password", material.password),
            )
            if value is not None
        }
    told |= _sasl(properties)
    return told


def _sasl(properties: ClientProperties) -> dict[str, Any]:
    known = credentials_of(properties)
    if known is None:
        return {}
    if known.mechanism == "OAUTHBEARER":
        import time

        return {
            "sasl.mechanism": known.mechanism,
            "oauth_cb": lambda _: (credentials_of(properties).bearer, time.time() + 3600),  # type: ignore[union-attr]  # it is OAUTHBEARER
        }
    if known.token:
        raise Misunderstood("records cannot be read or written with a delegation token: librdkafka does not know them")
    return {"sasl.mechanism": known.mechanism, "sasl.username": known.user, "sasl.password": known.password}


def _silent() -> logging.Logger:
    """librdkafka's log, which goes nowhere: what matters comes as an error of its own."""
    logger = logging.getLogger("ottla.librdkafka")
    logger.addHandler(logging.NullHandler())
    logger.propagate = False
    return logger
