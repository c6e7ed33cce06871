"""What AlterConfigs would make of TLS is tried before it is stored: stores are read, certificates compared.

A broker whose stored configuration names a key store that cannot be read would start with it one day, and not before
then would that be noticed. So, as in Kafka (`SslFactory.validateReconfiguration`), an alteration of `ssl.*` that could
not come into force is refused with INVALID_REQUEST, and a sentence of which key is the reason. Reading takes a thread.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from broker.config.tls_settings import BadTls
from broker.coordinators.cluster import Alteration, ResourceType
from kproto.errors import ErrorCode, KafkaError

if TYPE_CHECKING:
    from broker.config.settings import BrokerConfig
    from broker.security.tls.contexts import Contexts
    from storage.seams.offload import Offload


async def check_tls(alteration: Alteration, config: BrokerConfig, tls: Contexts | None, offload: Offload) -> None:
    """Raises KafkaError where listeners could not be secured as the alteration has it."""
    if tls is None or alteration.resource_type != ResourceType.BROKER:
        return
    defaults, own = config.dynamic_defaults, config.dynamic
    if alteration.name:
        own = alteration.compute(own)
    else:
        defaults = alteration.compute(defaults)
    wanted = config.with_dynamic(defaults, own).tls_settings()
    if wanted == config.tls_settings():
        return
    try:
        await offload.run(tls.check, wanted, abandonable=True)
    except BadTls as error:
        raise KafkaError(ErrorCode.INVALID_REQUEST, f"{error.key}: {error}") from error
