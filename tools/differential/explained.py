"""Where Ottla answers something else than Apache Kafka on purpose: one table, each row with its reason.

A row names the scenarios and steps it is about (`Api/scenario: step`), the path in the answer, and if need be the two
values; `*` stands for anything. A row that explains nothing any more fails the comparison, so the table cannot rot.
"""

from __future__ import annotations

from tools.differential.comparison import ABSENT, Explanation
from tools.differential.peer import NoReply

NO_ANSWER = NoReply.SILENT.value

EXPLAINED: list[Explanation] = [
    # What is not served yet.
    Explanation("ApiVersions/*", "api_keys[*]", "only what is served is advertised", ours=ABSENT),
    Explanation(
        "ApiVersions/*", "*_features*", "features come with what they stand for: transactions, the new groups, ...",
    ),
    # What only Ottla has.
    Explanation("CreateTopics/*", "*.configs[ottla.*]", "keys of our own are shown like any other", kafkas=ABSENT),
    Explanation("DescribeConfigs/*", "*.configs[ottla.*]", "keys of our own are shown like any other", kafkas=ABSENT),
    Explanation("*", "*error_message", "we say why, where Kafka gives the code only", "<sentence>", None),
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
    # Where Kafka loses its way, and its client waits for ever.
    Explanation(
        "JoinGroup/bad-groups-and-members: a protocol twice", "", "of two protocols of one name the first counts",
        kafkas=NO_ANSWER,
    ),
    Explanation(
        "JoinGroup/a-subscription-that-cannot-be-read: in", "",
        "what members tell each other is theirs; a coordinator that cannot read it carries it all the same",
        kafkas=NO_ANSWER,
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
    # What is not there any more.
    Explanation(
        "ListOffsets/special-timestamps: -3 after *", "topics[~t].partitions[0].*",
        "the largest timestamp of what is left; Kafka goes on to find a record that is deleted",
    ),
    # Where Ottla says more precisely what is wrong.
    Explanation(
        "ListOffsets/isolation-levels: *", "topics[~t].partitions[0].error_code",
        "INVALID_REQUEST for a level that is none; Kafka fails with -1", 42, -1,
    ),
    Explanation(
        "FindCoordinator/share-partitions: negative", "coordinators[*].error_code",
        "there are no share groups yet, so every key is refused alike", 42, 15,
    ),
    Explanation(
        "Metadata/topics-by-id: neither name nor id", "*error_code", "INVALID_REQUEST tells more than -1", 42, -1
    ),
    Explanation(
        "DescribeTopicPartitions/topics: an empty name", "topics[]*",
        "a bad name is 17, as everywhere else; Kafka fails with -1",
    ),
    Explanation(
        "CreatePartitions/more-partitions: far too many", "results[~t].error_code",
        "POLICY_VIOLATION, as CreateTopics says for as many; Kafka's controller fails with -1", 44, -1,
    ),
    Explanation(
        "CreateTopics/names: colliding in one request", "topics[~c_d]*",
        "names whose metrics collide are refused; Kafka does not see it when both come in one request",
    ),
]  # fmt: skip
