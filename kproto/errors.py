"""The two kinds of error the wire knows, and Kafka's table of error codes.

A peer can go wrong in two ways, and they are kept apart because they end differently:

* it breaks the wire itself (a frame that is too large, a body that ends early, a count that cannot be true). Nothing
  that follows on that connection can be trusted, so a :class:`ProtocolError` closes the connection;
* it asks for something that is refused (an unknown topic, a fenced epoch, a batch with a wrong checksum). The bytes
  were understood, so a :class:`KafkaError` carries one :class:`ErrorCode` into the reply and the connection goes on.

A third kind, a broken promise of our own, is an ``assert`` and never a polite code.

:class:`ErrorCode` is the complete table of the release. Codes, names and the retriable flag are facts of the
protocol that clients act on: a client repeats a request after a retriable code and gives up after any other, so the
choice between two similar codes is a choice of behaviour. The sentences are ours; they are what a broker says in an
``error_message`` field when there is nothing more precise to say.
"""

from enum import IntEnum

__all__ = [
    "ErrorCode",
    "FrameTooLarge",
    "KafkaError",
    "Malformed",
    "OverBudget",
    "ProtocolError",
    "Truncated",
    "UnsupportedVersion",
]


class ProtocolError(Exception):
    """The peer broke the wire format; the owner of the connection closes it, and only it."""


class Truncated(ProtocolError):
    """The bytes end before the value they announce."""


class Malformed(ProtocolError):
    """The bytes are all there and mean nothing: a negative count, an overlong varint, bad UTF-8, bytes left over."""


class OverBudget(ProtocolError):
    """Decoding would create more elements than the budget for one message allows."""


class FrameTooLarge(ProtocolError):
    """A frame announces a size that is negative or above the limit of the listener: `size`, as it came."""

    def __init__(self, message: str, size: int) -> None:
        super().__init__(message)
        self.size = size


class UnsupportedVersion(ProtocolError):
    """An unknown API key, or a version of a known one outside the served range."""


class ErrorCode(IntEnum):
    """Kafka's error codes: the value is the int16 on the wire.

    ``sentence`` explains the code to a person; ``retriable`` says whether clients repeat the request by themselves
    (source: ``org.apache.kafka.common.protocol.Errors``, as observed on a running broker).
    """

    sentence: str
    retriable: bool

    # The defaults are never used: they let a type checker accept the look-up ErrorCode(87).
    def __new__(cls, code: int, retriable: bool = False, sentence: str = "") -> "ErrorCode":
        member = int.__new__(cls, code)
        member._value_ = code
        member.retriable = retriable
        member.sentence = sentence
        return member

    UNKNOWN_SERVER_ERROR = -1, False, "The broker ran into something it did not expect; its log has the details."
    NONE = 0, False, "Nothing went wrong."
    OFFSET_OUT_OF_RANGE = (
        1,
        False,
        "There is no record at this offset: it lies before the start or beyond the end of the partition's log.",
    )
    CORRUPT_MESSAGE = 2, True, "The record batch is damaged: its checksum, size or format version is wrong."
    UNKNOWN_TOPIC_OR_PARTITION = 3, True, "This broker knows no such topic or partition."
    INVALID_FETCH_SIZE = 4, False, "The number of bytes asked for makes no sense."
    LEADER_NOT_AVAILABLE = 5, True, "The partition has no leader at the moment; one is being chosen."
    NOT_LEADER_OR_FOLLOWER = 6, True, "This broker neither leads nor follows the partition; ask for metadata again."
    REQUEST_TIMED_OUT = 7, True, "The work was not finished within the time the request allowed."
    BROKER_NOT_AVAILABLE = 8, False, "The broker that is needed is not there."
    REPLICA_NOT_AVAILABLE = 9, True, "The replica asked for is not on this broker."
    MESSAGE_TOO_LARGE = 10, False, "A record batch is larger than the topic's max.message.bytes."
    STALE_CONTROLLER_EPOCH = 11, False, "The request comes from a controller that has been replaced."
    OFFSET_METADATA_TOO_LARGE = (
        12,
        False,
        "The text committed beside an offset is longer than offset.metadata.max.bytes.",
    )
    NETWORK_EXCEPTION = 13, True, "The connection broke before the answer came."
    COORDINATOR_LOAD_IN_PROGRESS = 14, True, "The coordinator is still reading its log; ask again shortly."
    COORDINATOR_NOT_AVAILABLE = 15, True, "No coordinator can be named at the moment."
    NOT_COORDINATOR = (
        16,
        True,
        "This broker does not coordinate that group or transactional id; look up the coordinator again.",
    )
    INVALID_TOPIC_EXCEPTION = (
        17,
        False,
        "The topic's name is not allowed, or the operation is not allowed on this topic.",
    )
    RECORD_LIST_TOO_LARGE = 18, False, "The batch is larger than a whole segment of the log may be."
    NOT_ENOUGH_REPLICAS = 19, True, "Too few replicas are in sync to accept a write with the acknowledgement asked for."
    NOT_ENOUGH_REPLICAS_AFTER_APPEND = (
        20,
        True,
        "The batch was written, but too few replicas were in sync to keep the promise asked for.",
    )
    INVALID_REQUIRED_ACKS = 21, False, "acks must be -1, 0 or 1."
    ILLEGAL_GENERATION = 22, False, "The member speaks for a generation of the group that is not the current one."
    INCONSISTENT_GROUP_PROTOCOL = (
        23,
        False,
        "The member's protocol type or its protocols have nothing in common with the rest of the group.",
    )
    INVALID_GROUP_ID = 24, False, "The group id is missing or not allowed."
    UNKNOWN_MEMBER_ID = 25, False, "The group has no member with this id."
    INVALID_SESSION_TIMEOUT = 26, False, "The session timeout lies outside the range this broker allows."
    REBALANCE_IN_PROGRESS = 27, False, "The group is rebalancing; the member has to join again."
    INVALID_COMMIT_OFFSET_SIZE = 28, False, "The offsets to commit do not fit into one record batch."
    TOPIC_AUTHORIZATION_FAILED = 29, False, "The principal may not do this to the topic."
    GROUP_AUTHORIZATION_FAILED = 30, False, "The principal may not do this to the group."
    CLUSTER_AUTHORIZATION_FAILED = 31, False, "The principal may not do this to the cluster."
    INVALID_TIMESTAMP = 32, False, "A record's timestamp lies outside the range the topic accepts."
    UNSUPPORTED_SASL_MECHANISM = 33, False, "This listener does not offer the SASL mechanism asked for."
    ILLEGAL_SASL_STATE = 34, False, "This request does not fit the connection's state of authentication."
    UNSUPPORTED_VERSION = 35, False, "This version of the request is not served."
    TOPIC_ALREADY_EXISTS = 36, False, "A topic of this name exists already."
    INVALID_PARTITIONS = 37, False, "The number of partitions is not allowed."
    INVALID_REPLICATION_FACTOR = 38, False, "The replication factor is below one or above the number of brokers."
    INVALID_REPLICA_ASSIGNMENT = (
        39,
        False,
        "The assignment of replicas is inconsistent or names brokers that are not there.",
    )
    INVALID_CONFIG = 40, False, "A configuration key or its value is not valid."
    NOT_CONTROLLER = 41, True, "This broker is not the controller; ask the one that metadata names."
    INVALID_REQUEST = 42, False, "The request contradicts itself or leaves out something it needs."
    UNSUPPORTED_FOR_MESSAGE_FORMAT = 43, False, "The format of the stored records is too old for this operation."
    POLICY_VIOLATION = 44, False, "The request is well formed, but a policy of this cluster forbids it."
    OUT_OF_ORDER_SEQUENCE_NUMBER = 45, False, "The producer's sequence number leaves a gap."
    DUPLICATE_SEQUENCE_NUMBER = 46, False, "This sequence number was written before, too long ago to say where."
    INVALID_PRODUCER_EPOCH = 47, False, "The producer's epoch is older than one the broker has seen."
    INVALID_TXN_STATE = 48, False, "The transaction is in a state that does not allow this."
    INVALID_PRODUCER_ID_MAPPING = 49, False, "The producer id is not the one that belongs to the transactional id."
    INVALID_TRANSACTION_TIMEOUT = 50, False, "The transaction timeout is above transaction.max.timeout.ms."
    CONCURRENT_TRANSACTIONS = 51, True, "An earlier step of the same transactional id is still being completed."
    TRANSACTION_COORDINATOR_FENCED = 52, False, "A newer coordinator of this transactional id has taken over."
    TRANSACTIONAL_ID_AUTHORIZATION_FAILED = (
        53,
        False,
        "The principal may not use this transactional id, or the request does not name it.",
    )
    SECURITY_DISABLED = 54, False, "No authorizer or security feature is configured, so there is nothing to manage."
    OPERATION_NOT_ATTEMPTED = 55, False, "This part was not tried because another part of the same request failed."
    KAFKA_STORAGE_ERROR = 56, True, "The disk under this log failed."
    LOG_DIR_NOT_FOUND = 57, False, "No such log directory is configured on this broker."
    SASL_AUTHENTICATION_FAILED = 58, False, "The credentials were not accepted."
    UNKNOWN_PRODUCER_ID = 59, False, "Nothing is remembered about this producer id; its records may have been removed."
    REASSIGNMENT_IN_PROGRESS = 60, False, "The partition is being reassigned already."
    DELEGATION_TOKEN_AUTH_DISABLED = 61, False, "Delegation tokens are not enabled."
    DELEGATION_TOKEN_NOT_FOUND = 62, False, "There is no such delegation token."
    DELEGATION_TOKEN_OWNER_MISMATCH = 63, False, "The delegation token belongs to another principal."
    DELEGATION_TOKEN_REQUEST_NOT_ALLOWED = (
        64,
        False,
        "Delegation tokens cannot be asked for over this kind of connection.",
    )
    DELEGATION_TOKEN_AUTHORIZATION_FAILED = 65, False, "The principal may not do this to the delegation token."
    DELEGATION_TOKEN_EXPIRED = 66, False, "The delegation token has expired."
    INVALID_PRINCIPAL_TYPE = 67, False, "Principals of this type are not supported here."
    NON_EMPTY_GROUP = 68, False, "The group still has members."
    GROUP_ID_NOT_FOUND = 69, False, "There is no such group."
    FETCH_SESSION_ID_NOT_FOUND = 70, True, "There is no such fetch session on this broker."
    INVALID_FETCH_SESSION_EPOCH = 71, True, "The epoch of the fetch session is not the one expected next."
    LISTENER_NOT_FOUND = 72, True, "The leader has no listener of the name the client came through."
    TOPIC_DELETION_DISABLED = 73, False, "Deleting topics is switched off."
    FENCED_LEADER_EPOCH = 74, True, "The leader epoch in the request is older than the current one."
    UNKNOWN_LEADER_EPOCH = 75, True, "The leader epoch in the request is newer than any this broker knows."
    UNSUPPORTED_COMPRESSION_TYPE = (
        76,
        False,
        "The batch is compressed with a codec that is unknown, or not allowed in this version of the request.",
    )
    STALE_BROKER_EPOCH = 77, False, "The broker speaks with an epoch from before its latest registration."
    OFFSET_NOT_AVAILABLE = 78, True, "A new leader cannot name the offset yet; it is catching up."
    MEMBER_ID_REQUIRED = 79, False, "Join again with the member id given in this answer."
    PREFERRED_LEADER_NOT_AVAILABLE = 80, True, "The preferred leader cannot be elected now."
    GROUP_MAX_SIZE_REACHED = 81, False, "The group has as many members as it may have."
    FENCED_INSTANCE_ID = 82, False, "Another member uses the same static instance id."
    ELIGIBLE_LEADERS_NOT_AVAILABLE = 83, True, "No replica that may become leader is available."
    ELECTION_NOT_NEEDED = 84, True, "The partition already has the leader that an election would give it."
    NO_REASSIGNMENT_IN_PROGRESS = 85, False, "No reassignment of this partition is going on."
    GROUP_SUBSCRIBED_TO_TOPIC = 86, False, "A member of the group is subscribed to the topic, so its offsets stay."
    INVALID_RECORD = 87, False, "A record or its batch breaks a rule of the format or of the topic."
    UNSTABLE_OFFSET_COMMIT = 88, True, "Offsets committed in an open transaction are not decided yet."
    THROTTLING_QUOTA_EXCEEDED = 89, True, "A quota is used up; wait as long as the answer says."
    PRODUCER_FENCED = 90, False, "A newer producer with the same transactional id has taken over."
    RESOURCE_NOT_FOUND = 91, False, "The named resource does not exist."
    DUPLICATE_RESOURCE = 92, False, "The same resource is named twice."
    UNACCEPTABLE_CREDENTIAL = 93, False, "The credential does not meet the requirements."
    INCONSISTENT_VOTER_SET = 94, False, "The voters named by the two sides differ."
    INVALID_UPDATE_VERSION = 95, False, "The feature cannot be moved to this version level."
    FEATURE_UPDATE_FAILED = 96, False, "The change of finalized features could not be applied."
    PRINCIPAL_DESERIALIZATION_FAILURE = 97, False, "A forwarded request carries a principal that cannot be read."
    SNAPSHOT_NOT_FOUND = 98, False, "There is no such snapshot."
    POSITION_OUT_OF_RANGE = 99, False, "The position lies outside the snapshot."
    UNKNOWN_TOPIC_ID = 100, True, "This broker knows no topic with this id."
    DUPLICATE_BROKER_REGISTRATION = 101, False, "Another running broker is registered under the same node id."
    BROKER_ID_NOT_REGISTERED = 102, False, "No broker with this node id is registered."
    INCONSISTENT_TOPIC_ID = 103, True, "The topic id in the request differs from the id the log was made with."
    INCONSISTENT_CLUSTER_ID = 104, False, "The cluster id in the request is not this cluster's."
    TRANSACTIONAL_ID_NOT_FOUND = 105, False, "There is no such transactional id."
    FETCH_SESSION_TOPIC_ID_ERROR = 106, True, "The fetch session and the request disagree on using topic ids."
    INELIGIBLE_REPLICA = 107, False, "The replica may not join the in-sync set now."
    NEW_LEADER_ELECTED = 108, False, "The request moved leadership to another broker; metadata has to be read again."
    OFFSET_MOVED_TO_TIERED_STORAGE = 109, False, "The offset has moved to tiered storage."
    FENCED_MEMBER_EPOCH = 110, False, "The member's epoch was fenced by the group coordinator; it has to join afresh."
    UNRELEASED_INSTANCE_ID = 111, False, "The static instance id is still held by another member."
    UNSUPPORTED_ASSIGNOR = 112, False, "The group coordinator does not know the assignor asked for."
    STALE_MEMBER_EPOCH = 113, False, "The member's epoch is not the current one; it should wait for its next heartbeat."
    MISMATCHED_ENDPOINT_TYPE = 114, False, "The request went to an endpoint of the other kind, broker or controller."
    UNSUPPORTED_ENDPOINT_TYPE = 115, False, "This type of endpoint is not supported here."
    UNKNOWN_CONTROLLER_ID = 116, False, "No controller has this node id."
    UNKNOWN_SUBSCRIPTION_ID = 117, False, "The metrics were gathered under a subscription that is no longer current."
    TELEMETRY_TOO_LARGE = 118, False, "The metrics pushed are larger than the broker accepts."
    INVALID_REGISTRATION = 119, False, "The controller cannot accept the broker's registration."
    TRANSACTION_ABORTABLE = 120, False, "The transaction cannot be committed; abort it and start another."
    INVALID_RECORD_STATE = 121, False, "The record is in a share-group state that does not allow this acknowledgement."
    SHARE_SESSION_NOT_FOUND = 122, True, "There is no such share session on this broker."
    INVALID_SHARE_SESSION_EPOCH = 123, True, "The epoch of the share session is not the one expected next."
    FENCED_STATE_EPOCH = 124, False, "The share coordinator knows a newer state epoch of this partition."
    INVALID_VOTER_KEY = 125, False, "The voter's directory id does not match its node id."
    DUPLICATE_VOTER = 126, False, "The voter is a member of the quorum already."
    VOTER_NOT_FOUND = 127, False, "The quorum has no such voter."
    INVALID_REGULAR_EXPRESSION = 128, False, "The subscription pattern is not a valid regular expression."
    REBOOTSTRAP_REQUIRED = 129, False, "The client should start over from its bootstrap servers."
    STREAMS_INVALID_TOPOLOGY = 130, False, "The streams application sent a topology that is not valid."
    STREAMS_INVALID_TOPOLOGY_EPOCH = 131, False, "The epoch of the streams topology is not valid."
    STREAMS_TOPOLOGY_FENCED = 132, False, "The streams group has moved on to a newer topology epoch."
    SHARE_SESSION_LIMIT_REACHED = 133, True, "This broker holds as many share sessions as it may."
    GROUP_DELETION_FAILED = 134, False, "The group could not be deleted."
    STREAMS_TOPOLOGY_DESCRIPTION_UPDATE_FAILED = 135, False, "The description of the streams topology was not stored."
    CONTROLLER_ID_NOT_REGISTERED = 136, False, "No controller with this id is registered."


class KafkaError(Exception):
    """An expected refusal: ``code`` goes into the reply, ``message`` into its error message field.

    Without a message of its own it says the code's sentence.
    """

    def __init__(self, code: ErrorCode, message: str | None = None) -> None:
        super().__init__(code, message)
        self.code = code
        self.message = code.sentence if message is None else message

    def __str__(self) -> str:
        return f"{self.code.name}: {self.message}"
