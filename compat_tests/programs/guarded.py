"""A broker with a listener SASL_SSL for programs, and an authorizer; its plain listener, for the stage, may do all."""

from __future__ import annotations

from collections.abc import Iterable

from confluent_kafka.admin import (
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialUpsertion,
)

from compat_tests.brokers import Broker
from compat_tests.programs.acls import Acl
from compat_tests.secured import Files, sasl_settings

PROTOCOL, MECHANISM = "SASL_SSL", "SCRAM-SHA-512"
PATIENCE_SECONDS = 20
SILENT = {"log_level": 0}
"""A broker that is stopped before its clients is no news."""


def settings(files: Files, port: int) -> dict[str, str]:
    """Settings of such a broker, Ottla or Kafka, with the listener at that port."""
    return {
        **sasl_settings(files, {PROTOCOL: port}, {"admin": "admin-secret"}),
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "super.users": "User:ANONYMOUS",
        "auto.create.topics.enable": "false",
    }


class Guarded:
    """The broker; users get in when they have a password, and may do what ACLs give them."""

    def __init__(self, broker: Broker, files: Files, port: int) -> None:
        self.servers = f"localhost:{port}"
        """Of the guarded listener."""
        self.plain = broker.bootstrap
        self.admin = AdminClient({"bootstrap.servers": broker.bootstrap, **SILENT})
        self._files = files

    def properties(self, user: str) -> dict[str, str]:
        """What a Java client connects with as that user, who is made if there is none."""
        password = f"{user}-secret"
        change = UserScramCredentialUpsertion(
            user, ScramCredentialInfo(ScramMechanism.SCRAM_SHA_512, 4096), password.encode()
        )
        for done in self.admin.alter_user_scram_credentials([change]).values():
            done.result(PATIENCE_SECONDS)
        module = "org.apache.kafka.common.security.scram.ScramLoginModule"
        return {
            "security.protocol": PROTOCOL,
            "ssl.truststore.location": self._files.of("ca"),
            "ssl.truststore.type": "PEM",
            "sasl.mechanism": MECHANISM,
            "sasl.jaas.config": f'{module} required username="{user}" password="{password}";',
        }

    def allow(self, acls: Iterable[Acl]) -> None:
        """Make ACLs."""
        for done in self.admin.create_acls([each for acl in acls for each in _bindings(acl)]).values():
            done.result(PATIENCE_SECONDS)

    def allowed(self, user: str, topic: str) -> set[str]:
        """The operations on a topic that ACLs of exactly this name allow the user."""
        kind, pattern, allow = ResourceType.TOPIC, ResourcePatternType.LITERAL, AclPermissionType.ALLOW
        asked = AclBindingFilter(kind, topic, pattern, f"User:{user}", "*", AclOperation.ANY, allow)
        return {each.operation.name for each in self.admin.describe_acls(asked).result(PATIENCE_SECONDS)}


def _bindings(acl: Acl) -> list[AclBinding]:
    return [
        AclBinding(
            ResourceType[acl.kind],
            acl.name,
            ResourcePatternType[acl.pattern],
            f"User:{acl.user}",
            "*",
            AclOperation[operation],
            AclPermissionType.ALLOW,
        )
        for operation in acl.operations
    ]
