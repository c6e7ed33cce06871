"""The authorizer: may this client do that to this resource? Kafka's StandardAuthorizer, by name and by its rules.

`authorizer.class.name` names it; without one there is none, `Services.authorizer` is None and nothing is asked. An
answer depends on three things, in this order:

1. `super.users`, principals separated by semicolons: they may do everything, whatever ACLs say. The other brokers of
   the cluster may act as such (CLUSTER_ACTION).
2. The ACLs of the cluster's log, as `acls.py` says.
3. Where a resource has no ACL at all, `allow.everyone.if.no.acl.found`, which is false unless set.

ACLs count from the moment when the image that has them is published, which is when they are durable and before the
client that made them is answered. Each request asks, so ACLs take effect on open connections as on new ones. What a
client was found to be allowed is remembered until the next change of any ACL, for the little that the same clients ask
about all the time: `REMEMBERED` permissions at most, then the memory begins again. Refusals are looked up each time.

**The audit log** is this module's logger. A refusal is a line of the level info, a permission one of the level debug,
with the principal, the host, the operation, the resource and the rule that decided. What a peer has chosen is a field,
in which control characters are escaped. A peer can repeat a refused request as fast as it likes: of each operation on
each kind of resource one line a second is written, which says how many it stands for. A question whose answer is not a
refusal (does this topic belong into the list?) is asked quietly, as in Kafka.

Source: `StandardAuthorizer`, `StandardAuthorizerData`, `AclAuthorizer.logAuditMessage`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from broker.security.acls import ALLOWED_BY, DENIED_BY, Acl, AclIndex, Said, spelled
from broker.security.operations import CLUSTER_NAME, SUPPORTED, SUPPORTED_BITS, Operation, Resource
from storage.seams.logging import RateLimitedLogger, get_logger, process_lines

REMEMBERED: Final = 4096
"""Permissions that are known, about 250 bytes each."""

OF_BROKERS: Final = "Broker:"
"""Principals that only brokers of the same cluster can have (`broker/security/sasl/brokers.py`)."""

LONGEST_REMEMBERED: Final = 249
"""Characters of a name: as many as a topic's has. Groups may have names of 32,767."""

_DEBUG: Final = 10


def super_users(text: str) -> frozenset[str]:
    """The principals of the setting `super.users`, which has been checked."""
    return frozenset(filter(None, map(str.strip, text.split(";"))))


class Authorizer:
    """Decides by super users and ACLs, and writes down what it has decided."""

    def __init__(self, all_powerful: frozenset[str], allow_everyone: bool, now: Callable[[], float]) -> None:
        """`now` returns monotonic seconds, for the rate of log lines."""
        self._all_powerful = all_powerful
        self._allow_everyone = allow_everyone
        self._acls = AclIndex()
        self._known: set[tuple[str, str, Operation, Resource, str]] = set()
        self._somewhere: dict[tuple[str, str, int, Operation], bool] = {}
        self._lines = process_lines()
        self.version = 0
        """Another one with each change of ACLs."""
        self.log = RateLimitedLogger(get_logger(__name__), now)
        """Its owner calls `flush` now and then while it `holds`."""

    def update(self, removed: Iterable[Acl], added: Iterable[Acl]) -> None:
        """Other ACLs hold from now on."""
        self.version += 1
        self._known.clear()
        self._somewhere.clear()
        self._acls.change(removed, added)

    def is_super_user(self, principal: object) -> bool:
        """Whether `super.users` names this principal."""
        return str(principal) in self._all_powerful

    def authorized(
        self,
        principal: object,
        host: str,
        operation: Operation,
        kind: Resource,
        name: str = CLUSTER_NAME,
        *,
        quiet: bool = False,
    ) -> bool:
        """Whether a client may do this. `quiet`: a no is no refusal, and is not written down."""
        asked = str(principal), host, operation, kind, name
        if asked in self._known and not self._lines.wants(__name__, _DEBUG):
            return True
        allowed, rule = self._decide(*asked)
        if not allowed:
            if not quiet:
                self._write_down("denied", self.log.info, *asked, rule)
            return False
        if len(name) <= LONGEST_REMEMBERED:
            if len(self._known) >= REMEMBERED:
                self._known.clear()
            self._known.add(asked)
        if self._lines.wants(__name__, _DEBUG):
            self._write_down("allowed", self.log.debug, *asked, rule)
        return True

    def _decide(self, who: str, host: str, operation: Operation, kind: Resource, name: str) -> tuple[bool, str]:
        """Whether a client may do this, and by which rule."""
        if who in self._all_powerful:
            return True, "super user"
        if operation is Operation.CLUSTER_ACTION and who.startswith(OF_BROKERS):
            return True, "a broker of the cluster"
        asked = Said(ALLOWED_BY[operation], DENIED_BY[operation])
        allowed, denied = self._acls.said_of(kind, name, who, spelled(host), asked)
        if denied:
            return False, "an ACL denies it"
        if allowed:
            return True, "an ACL allows it"
        if self._allow_everyone and not self._acls.is_named(kind, name):
            return True, "the resource has no ACL"
        return False, "no ACL allows it"

    def authorized_somewhere(self, principal: object, host: str, operation: Operation, kind: Resource) -> bool:
        """Whether there is a resource of this kind, existing or not, that the client may do this to."""
        who = str(principal)
        if self.authorized(who, host, operation, kind, "hardcode", quiet=True):  # Kafka's name: one without ACLs
            return True
        asked = who, host, kind, operation
        found = self._somewhere.get(asked)
        if found is None:  # a look at all ACLs of the client, which may have a hundred thousand
            if len(self._somewhere) >= REMEMBERED:
                self._somewhere.clear()
            found = self._somewhere[asked] = self._acls.allows_some(kind, operation, who, spelled(host))
        if found:
            return True
        self._write_down("denied", self.log.info, who, host, operation, kind, "(any)", "no ACL allows it")
        return False

    def operations(self, principal: object, host: str, kind: Resource, name: str = CLUSTER_NAME) -> int:
        """The bit field of all that the client may do to a resource (KIP-430)."""
        who = str(principal)
        if who in self._all_powerful:
            return SUPPORTED_BITS[kind]
        said = self._acls.said_of(kind, name, who, spelled(host))
        unnamed = self._allow_everyone and not self._acls.is_named(kind, name)
        return sum(
            1 << operation
            for operation in SUPPORTED[kind]
            if unnamed or (said.allowed & ALLOWED_BY[operation] and not said.denied & DENIED_BY[operation])
        )

    @staticmethod
    def _write_down(
        outcome: str,
        write: Callable[..., None],
        principal: str,
        host: str,
        operation: Operation,
        kind: Resource,
        name: str,
        rule: str,
    ) -> None:
        write(
            f"access {outcome}",
            kind=f"{outcome} {operation.name} {kind.name}",
            principal=principal,
            host=host,
            operation=operation.name,
            resource=f"{kind.name}:{name}",
            rule=rule,
        )
