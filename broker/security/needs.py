"""What permission an API needs: an operation on a resource.

Some APIs need the same of every request: a JoinGroup needs READ on the group that it names, a DescribeLogDirs needs
DESCRIBE on the cluster. Such needs stand in the API's row of `HANDLERS`; a request without them is refused as a whole,
with the code of the resource's kind. Others depend on what the request says (a Produce needs WRITE on each of its
topics, and on its transactional id if it has one), and their refusals stand in the place of one topic or one group of
an otherwise good answer. Their rows say `DEPENDS`, and their handlers ask.

The dispatch asks for what the rows say, before a request's handler sees it (`broker/network/dispatch.py`).

Source: KIP-11, KIP-152, `AclEntry.supportedOperations`, and the checks at the top of each handler of `KafkaApis`.
"""

from __future__ import annotations

from typing import Final, NamedTuple, TypeAlias

from broker.security.operations import Operation, Resource


class Need(NamedTuple):
    """An operation on one resource. `named_by` is the request's field that has the resource's name; the cluster needs
    none."""

    resource: Resource
    operation: Operation
    named_by: str | None = None


Needs: TypeAlias = tuple[Need, ...] | None
"""All of these, of every request, in this order; None where it depends on the request. A handler may ask for more."""

NONE: Final[Needs] = ()
"""No permission at all: how a client finds out whom it talks to."""
DEPENDS: Final[Needs] = None
READ_GROUP: Final[Needs] = (Need(Resource.GROUP, Operation.READ, "group_id"),)
DELETE_GROUP: Final[Needs] = (Need(Resource.GROUP, Operation.DELETE, "group_id"),)
WRITE_TRANSACTION: Final[Needs] = (Need(Resource.TRANSACTIONAL_ID, Operation.WRITE, "transactional_id"),)
WRITE_TRANSACTION_READ_GROUP: Final[Needs] = (
    Need(Resource.TRANSACTIONAL_ID, Operation.WRITE, "transactional_id"),
    Need(Resource.GROUP, Operation.READ, "group_id"),
)
ALTER_CLUSTER: Final[Needs] = (Need(Resource.CLUSTER, Operation.ALTER),)
DESCRIBE_CLUSTER: Final[Needs] = (Need(Resource.CLUSTER, Operation.DESCRIBE),)
CREATE_CLUSTER: Final[Needs] = (Need(Resource.CLUSTER, Operation.CREATE),)
CLUSTER_ACTION: Final[Needs] = (Need(Resource.CLUSTER, Operation.CLUSTER_ACTION),)
DESCRIBE_CLUSTER_CONFIGS: Final[Needs] = (Need(Resource.CLUSTER, Operation.DESCRIBE_CONFIGS),)
ALTER_CLUSTER_CONFIGS: Final[Needs] = (Need(Resource.CLUSTER, Operation.ALTER_CONFIGS),)
