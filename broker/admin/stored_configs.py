"""What the cluster's log says that has no effect here: it is said at the start, or stops it.

A log that Apache Kafka has written, or another release, may hold what this broker cannot obey: a class to load, a
listener to open, a value that it does not understand, ACLs where no authorizer asks. Such things cannot be refused as
in a file: a broker that does not start could not be made to forget them. So each is named, and the caller logs the
sentences as warnings. Only one thing ends the start: a topic in tiered storage, whose older records are where nothing
here finds them. It would be served as if they had never been.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Final

from broker.config.keys import FILE_ONLY, GROUP_KEYS, TOPIC_KEYS, BadValue, ConfigKey, broker_key
from broker.config.settings import ConfigError, Contradiction
from broker.coordinators.cluster.image import ResourceType
from broker.coordinators.cluster.quotas import check_entity, check_values
from kproto.errors import KafkaError

if TYPE_CHECKING:
    from broker.config.settings import BrokerConfig
    from broker.coordinators.cluster.image import ClusterImage
    from broker.coordinators.cluster.quotas import Entity, Quotas

MOST_SENTENCES: Final = 20
"""A release that nothing here understands would otherwise fill the log."""

TIERED: Final = "remote.storage.enable"


def without_effect(image: ClusterImage, config: BrokerConfig) -> list[str]:
    """Sentences about what is stored and not obeyed.

    Raises ConfigError for a topic in tiered storage.
    """
    found = [*_of_brokers(image, config), *_of_topics_and_groups(image)]
    left_out = len(found) - MOST_SENTENCES
    if left_out > 0:
        found[MOST_SENTENCES:] = [f"{left_out} more configs in the cluster's log are passed over"]
    if image.acls and not config.authorizer_class_name:
        found.append(
            f"{len(image.acls)} ACLs in the cluster's log are not enforced: authorizer.class.name names no authorizer"
        )
    if idle := sum(not _is_obeyed(*each) for each in image.client_quotas.items()):
        found.append(f"the quotas of {idle} entities in the cluster's log mean nothing here, or not all of them")
    return found


def _is_obeyed(entity: Entity, quotas: Quotas) -> bool:
    try:
        check_entity(entity)
        check_values(entity, quotas)
    except KafkaError:
        return False
    return True


def _of_brokers(image: ClusterImage, config: BrokerConfig) -> Iterator[str]:
    defaults, own = image.broker_configs(""), image.broker_configs(config.node_id)
    for whose, stored in (("all brokers", defaults), (f"broker {config.node_id}", own)):
        for name, text in stored.items():
            key = broker_key(name)
            complaint = "it can only be set in the file" if name in FILE_ONLY else _complaint(key, text)
            if complaint is not None:
                yield _sentence(name, text, whose, complaint, secret=key is None or key.sensitive)
    try:
        config.check_dynamic(defaults, own)
    except Contradiction as error:
        yield f"the dynamic configs of brokers in the cluster's log contradict the file, and none counts: {error}"


def _of_topics_and_groups(image: ClusterImage) -> Iterator[str]:
    tables: Mapping[int, Mapping[str, ConfigKey]] = {
        ResourceType.TOPIC: TOPIC_KEYS,
        ResourceType.GROUP: GROUP_KEYS,
    }
    for (resource_type, resource), stored in image.configs.items():
        table = tables.get(resource_type)
        if table is None:
            continue
        whose = f"{'topic' if resource_type == ResourceType.TOPIC else 'group'} {resource}"
        for name, text in stored.items():
            complaint = _complaint(table.get(name), text)
            if complaint is not None and name == TIERED:
                raise ConfigError(
                    f"{whose} has {name}={text}, and there is no tiered storage here, so its older records would be "
                    "missing: let Kafka bring them back or delete the topic first"
                )
            if complaint is not None:
                yield _sentence(name, text, whose, complaint)


def _complaint(key: ConfigKey | None, text: str) -> str | None:
    if key is None:
        return "it is unknown"
    try:
        key.parse(text)
    except BadValue as error:
        return str(error)
    return None


def _sentence(name: str, text: str, whose: str, complaint: str, *, secret: bool = False) -> str:
    shown = name if secret else f"{name}={text}"
    return f"{shown} of {whose} in the cluster's log is passed over: {complaint}"
