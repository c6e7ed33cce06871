"""Where Ottla answers something else than Apache Kafka on purpose: one table, each row with its reason.

A row names the scenarios and steps it is about (`Api/scenario: step`), the path in the answer, and if need be the two
values; `*` stands for anything. A row that explains nothing any more fails the comparison, so the table cannot rot.
"""

from __future__ import annotations

from tools.answers.comparison import ABSENT, Explanation
from tools.answers.peer import NoReply

NO_ANSWER, CLOSED = NoReply.SILENT.value, NoReply.CLOSED.value

EXPLAINED: list[Explanation] = [
    # What is not served yet.
    Explanation("ApiVersions/*", "api_keys[*]", "only what is served is advertised", ours=ABSENT),
    Explanation(
        "ApiVersions/*", "*_features*", "features come with what they stand for: transactions, the new groups, ...",
    ),
    # What only Ottla has.
    Explanation("CreateTopics/*", "*.configs[ottla.*]", "keys of our own are shown like any other", kafkas=ABSENT),
    Explanation("DescribeConfigs/*", "*.configs[ottla.*]", "keys of our own are shown like any other", kafkas=ABSENT),
    Explanation("*/*: described", "*.configs[ottla.*]", "keys of our own are shown like any other", kafkas=ABSENT),
    Explanation(
        "DescribeConfigs/brokers: *", "*.configs[log.dir].*value", "where data are kept by default", "ottla-data",
        "/tmp/kafka-logs",
    ),
    Explanation(
        "DescribeConfigs/brokers: *", "*.configs[listeners].value", "there is no listener for controllers to show",
        "PLAINTEXT://127.0.0.1:<port>", "PLAINTEXT://127.0.0.1:<port>,CONTROLLER://127.0.0.1:<controller>",
    ),
    Explanation(
        "DescribeConfigs/brokers: *", "*.configs[listeners].synonyms[0].value",
        "there is no listener for controllers to show",
        "PLAINTEXT://127.0.0.1:<port>", "PLAINTEXT://127.0.0.1:<port>,CONTROLLER://127.0.0.1:<controller>",
    ),
    *(
        Explanation(
            "DescribeConfigs/brokers: all with synonyms", f"*.configs[{name}].synonyms[1]*",
            "the defaults are those of a single node that starts without a file",
        )
        for name in (
            "controller.listener.names", "group.initial.rebalance.delay.ms", "listeners", "node.id",
            "offsets.topic.replication.factor", "process.roles", "share.coordinator.state.topic.min.isr",
            "share.coordinator.state.topic.replication.factor", "transaction.state.log.min.isr",
            "transaction.state.log.replication.factor",
        )
    ),
    Explanation(
        "DescribeConfigs/brokers: named 01", "*", "a broker's name is its id as one writes it: 1, and not 01",
    ),
    Explanation(
        "IncrementalAlterConfigs/brokers: named 01", "*", "a broker's name is its id as one writes it: 1, and not 01",
    ),
    Explanation(
        "IncrementalAlterConfigs/brokers: *: far out of range", "responses[*].error_*",
        "the number of these threads has no meaning here, so its growth has no bounds",
    ),
    Explanation("*", "*error_message", "we say why, where Kafka gives the code only", "<sentence>", None),
    # What the quorum's records would say: a new cluster here is at kraft.version 0, as one that Kafka's
    # `kafka-storage format` makes without --standalone. Kafka at that level answers as Ottla does.
    Explanation(
        "DescribeQuorum/quorum: the log", "topics[*].replica_directory_id", "voters have no ids at kraft.version 0",
        "<no id>",
    ),
    Explanation(
        "DescribeQuorum/quorum: the log", "nodes[1].listeners", "there is no listener for controllers to show",
    ),
    Explanation(
        "AddRaftVoter/voters-to-add: *", "error_code", "no voter can be added at kraft.version 0", 35,
    ),
    Explanation(
        "RemoveRaftVoter/voters-to-remove: *", "error_code", "no voter can be removed at kraft.version 0", 35, 127,
    ),
    # Where Ottla is faster.
    Explanation(
        "Metadata/topics-made-on-demand: *", "topics[*",
        "a topic made on demand has its leaders at once, and a refusal its reason; Kafka answers 3 or 5 first",
    ),
    Explanation(
        "CreateTopics/only-tried: *o time", "topics[~hurry]*",
        "the topic is made before its time is up; Kafka's controller finds the deadline passed already",
    ),
    Explanation(
        "DeleteTopics/deleting: no time", "responses[~four]*",
        "the topic is gone before its time is up; Kafka's controller finds the deadline passed already",
    ),
    Explanation(
        "CreateTopics/only-tried: negative time", "topics[~hurrier]*",
        "the topic is made before its time is up; Kafka's controller finds the deadline passed already",
    ),
    # Where Kafka loses its way, and its client waits forever.
    Explanation("Produce/lengths: null", "", "no records are INVALID_RECORD, like too few of them", kafkas=NO_ANSWER),
    Explanation(
        "JoinGroup/bad-groups-and-members: a protocol twice", "", "of two protocols of one name the first counts",
        kafkas=NO_ANSWER,
    ),
    Explanation(
        "AlterConfigs/replacing: the same twice", "", "each of the two is refused, as IncrementalAlterConfigs does",
        kafkas=NO_ANSWER,
    ),
    Explanation(
        "AddPartitionsToTxn/*", "", "a request about no transaction at all is answered with none", kafkas=NO_ANSWER,
    ),
    # What no client sends.
    Explanation(
        "AddPartitionsToTxn/many-transactions-at-once: one twice", "results_by_transaction[*",
        "of two entries for one transaction each is answered; Kafka answers one of them twice",
    ),
    # What belongs to copies between brokers, which the engines keep.
    Explanation(
        "ListOffsets/replicas: replica *", "topics[~t].partitions[0].*",
        "who pretends to be a broker is refused, with 29",
    ),
    Explanation(
        "OffsetForLeaderEpoch/replicas: replica *", "topics[~t].partitions[0].*",
        "who pretends to be a broker is refused, with 29",
    ),
    Explanation("Fetch/replicas: replica *", "*", "who pretends to be a broker is refused, with 29"),
    # What is not there any more.
    Explanation(
        "Fetch/epochs-of-sessions: an empty session", "session_id", "there is nothing to remember", 0, "<session 5>",
    ),
    Explanation(
        "ListOffsets/special-timestamps: -3 after *", "topics[~t].partitions[0].*",
        "the largest timestamp of what is left; Kafka goes on to find a record that is deleted",
    ),
    # What is the same to every client that sends what makes sense.
    Explanation(
        "Produce/acknowledgements: acks 2 for a topic that is not there", "*.error_code",
        "acks that do not exist are refused before anything is looked at", 21,
    ),
    Explanation(
        "Produce/destinations: no partitions", "responses", "what is asked for empty is answered empty; Kafka drops it",
    ),
    Explanation(
        "Produce/destinations: a * twice", "responses[*",
        "each batch is written and answered; of two for one partition Kafka forgets the first",
    ),
    Explanation(
        "Produce/destinations: the end of 0", "topics[~t].partitions[0].offset",
        "each batch is written and answered; of two for one partition Kafka forgets the first",
    ),
    Explanation(
        "Heartbeat/headers: a client id of length -2", "",
        "null is -1 and nothing else; to Kafka it is every length below zero", ours=CLOSED,
    ),
    # What is looked at more closely than Kafka does.
    *(
        Explanation(
            f"Produce/records: length too {what}, {codec}", "responses[*].partition_responses[0].*",
            "the length of a compressed record counts as that of any other; Kafka does not look at it",
        )
        for what in ("large", "small")
        for codec in ("gzip", "zstd")
    ),
    *(
        Explanation(
            f"Produce/dialects: {case}", "responses[*].partition_responses[0].*",
            "what other clients could not read is not stored",
        )
        for case in ("gzip, a reserved flag", "zstd, half a frame behind it")
    ),
    # Where Ottla says more precisely what is wrong.
    Explanation(
        "Produce/*: unknown codec", "*.error_code",
        "UNSUPPORTED_COMPRESSION_TYPE; Kafka fails with -1, after which clients send the same again", 76, -1,
    ),
    Explanation(
        "Produce/*: no gzip", "*.error_code",
        "INVALID_RECORD; Kafka fails with -1, after which clients send the same again", 87, -1,
    ),
    Explanation(
        "Produce/codecs: codec *", "*.error_code",
        "UNSUPPORTED_COMPRESSION_TYPE; Kafka fails with -1, after which clients send the same again", 76, -1,
    ),
    *(
        Explanation(
            f"Produce/{scenario}: *", "*.error_code",
            "INVALID_RECORD; Kafka fails with -1, after which clients send the same again", 87, -1,
        )
        for scenario in ("compressed-payloads", "dialects", "fields-of-records", "records")
    ),
    Explanation(
        "Produce/lengths: length huge", "*.error_code",
        "INVALID_RECORD; Kafka fails with -1, after which clients send the same again", 87, -1,
    ),
    Explanation(
        "Fetch/isolation-levels: *", "*error_code",
        "INVALID_REQUEST for a level that is none; Kafka fails with -1", 42, -1,
    ),
    Explanation(
        "Fetch/limits: * negative", "responses[*].partitions[0].*",
        "a negative limit is a small one, under which the first batch is given out; Kafka fails with -1",
    ),
    Explanation(
        "IncrementalAlterConfigs/topics: * operation", "*.error_code",
        "INVALID_REQUEST for an operation that is none; Kafka fails with -1", 42, -1,
    ),
    Explanation(
        "ListOffsets/isolation-levels: *", "topics[~t].partitions[0].error_code",
        "INVALID_REQUEST for a level that is none; Kafka fails with -1", 42, -1,
    ),
    Explanation(
        "FindCoordinator/share-partitions: negative", "coordinators[*].error_code",
        "there are no share groups yet, so every key is refused alike", 42, 15,
    ),
    Explanation(
        "Metadata/topics-by-id: neither name nor id", "*error_code", "INVALID_REQUEST says more than -1", 42, -1
    ),
    Explanation(
        "DescribeTopicPartitions/topics: an empty name", "topics[]*",
        "a bad name is 17, as everywhere else; Kafka fails with -1",
    ),
    Explanation(
        "CreateTopics/names: colliding in one request", "topics[~c_d]*",
        "names whose metrics collide are refused; Kafka does not see it when both come in one request",
    ),
]  # fmt: skip
