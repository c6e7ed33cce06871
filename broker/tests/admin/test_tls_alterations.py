"""An alteration of TLS is tried before it is stored."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from broker.admin.config_changes import ConfigOp, Operation, incremental
from broker.admin.tls_alterations import check_tls
from broker.config.loading import parse_config
from broker.coordinators.cluster import Alteration, ResourceType
from broker.security.tls.contexts import Contexts
from broker.testing.certificates import Authority
from kproto.errors import ErrorCode, KafkaError
from storage.seams.clock import SystemClock
from storage.seams.disk import SystemDisk
from storage.seams.offload import InlineOffload

AUTHORITY = Authority()
LOCATION = "listener.name.ssl.ssl.keystore.location"


@pytest.mark.parametrize(
    ("subject", "key", "reason"),
    [
        ("O=Ottla,CN=broker", LOCATION, None),
        ("O=Ottla,CN=another", LOCATION, "ssl.allow.dn.changes: the new certificate is that of CN=another,O=Ottla"),
        ("", LOCATION, "ssl.keystore.location: the store .* cannot be used: it has no private key"),
        ("", "num.network.threads", None),
    ],
)
async def test_what_could_not_come_into_force_is_refused(
    tmp_path: Path, subject: str, key: str, reason: str | None
) -> None:
    """With INVALID_REQUEST and a sentence; what fits, and what has nothing to do with TLS, passes."""
    old, new = tmp_path / "old.pem", tmp_path / "new.pem"
    old.write_text(AUTHORITY.issue("O=Ottla,CN=broker").combined)
    new.write_text(AUTHORITY.issue(subject).combined if subject else AUTHORITY.certificate)
    file = f"node.id=1\nlisteners=SSL://127.0.0.1:0\nssl.keystore.location={old}\nssl.keystore.type=PEM\n"
    config = parse_config(file, "server.properties", {})
    contexts = Contexts(config.tls_settings(), SystemDisk(), InlineOffload(), SystemClock())
    ops = [ConfigOp(key, Operation.SET, str(new) if key == LOCATION else "5")]
    alteration = Alteration(ResourceType.BROKER, "1", incremental(ResourceType.BROKER, "1", ops, config))
    check = partial(check_tls, alteration, config, contexts, InlineOffload())
    if reason is None:
        await check()
    else:
        with pytest.raises(KafkaError, match=reason) as refused:
            await check()
        assert refused.value.code is ErrorCode.INVALID_REQUEST
