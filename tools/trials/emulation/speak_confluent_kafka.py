"""librdkafka, by any release of confluent-kafka: write (idempotent, then in a transaction), read in a group, commit.

Arguments: the bootstrap servers."""

import sys
import uuid

from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

BOOTSTRAP = {"bootstrap.servers": sys.argv[1]}
NAME = f"emulated-{uuid.uuid4().hex}"

admin = AdminClient({**BOOTSTRAP})
for made in admin.create_topics([NewTopic(NAME, 2, 1)]).values():
    made.result(30)
producer = Producer({**BOOTSTRAP, "enable.idempotence": True, "compression.type": "zstd"})
for number in range(10):
    producer.produce(NAME, b"%d" % number, b"%d" % number)
assert producer.flush(30) == 0, "not all was written"
transactional = Producer({**BOOTSTRAP, "transactional.id": NAME})
transactional.init_transactions(30)
for ends in (transactional.abort_transaction, transactional.commit_transaction):
    transactional.begin_transaction()
    for number in range(10, 20):
        transactional.produce(NAME, b"%d" % number, b"%d" % number)
    transactional.flush(30)
    ends(30)
consumer = Consumer({
    **BOOTSTRAP, "group.id": NAME, "auto.offset.reset": "earliest", "enable.auto.commit": False,
    "isolation.level": "read_committed",
})  # fmt: skip
consumer.subscribe([NAME])
received: list[bytes] = []
for _ in range(60):
    received += [record.value() or b"" for record in consumer.consume(100, 1.0) if record.error() is None]
    if len(received) >= 20:
        break
assert sorted(received) == sorted(b"%d" % number for number in range(20)), f"{len(received)} records were read"
consumer.commit(asynchronous=False)
committed = consumer.committed([TopicPartition(NAME, number) for number in range(2)], 30)
assert all(each.offset > 0 for each in committed), f"{committed} were committed"
consumer.close()
