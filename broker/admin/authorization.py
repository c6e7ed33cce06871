"""The authorizer that the configuration asks for, kept at the ACLs of the cluster."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

if TYPE_CHECKING:
    from broker.config.settings import BrokerConfig
    from broker.coordinators.cluster import ClusterChange, ClusterCoordinator
    from broker.security.authorizer import Authorizer


def authorizer_of(cluster: ClusterCoordinator, config: BrokerConfig) -> Authorizer | None:
    """What `authorizer.class.name` names, with the ACLs of the cluster's image now and whenever they change; None if it
    names nothing. It is loaded only then."""
    if not config.authorizer_class_name:
        return None
    from broker.security.authorizer import Authorizer, super_users

    authorizer = Authorizer(super_users(config.super_users), config.allow_everyone_if_no_acl_found, trio.current_time)
    authorizer.update((), cluster.image.acls.values())

    def follow(change: ClusterChange) -> None:
        if change.acls_removed or change.acls_added:
            authorizer.update(change.acls_removed, change.acls_added)

    cluster.subscribe(follow)
    return authorizer
