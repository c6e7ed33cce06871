"""kafka-python, any release from 1.4 on: write, read in a group, commit. Arguments: the bootstrap servers."""

import sys
import uuid

from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import KafkaAdminClient, NewTopic

BOOTSTRAP = sys.argv[1]
NAME = f"emulated-{uuid.uuid4().hex}"

admin = KafkaAdminClient(bootstrap_servers=BOOTSTRAP)
admin.create_topics([NewTopic(NAME, 2, 1)])
producer = KafkaProducer(bootstrap_servers=BOOTSTRAP, acks="all", compression_type="gzip")
sent = {b"%d" % number for number in range(20)}
for value in sent:
    producer.send(NAME, value, key=value, headers=[("h", b"1")]).get(timeout=30)
producer.close()
consumer = KafkaConsumer(
    NAME, bootstrap_servers=BOOTSTRAP, group_id=NAME, auto_offset_reset="earliest", enable_auto_commit=False,
    consumer_timeout_ms=30_000,
)  # fmt: skip
received = set()
for record in consumer:
    received.add(record.value)
    if received == sent:
        break
assert received == sent, f"{len(received)} of {len(sent)} values were read"
consumer.commit()
partitions = [TopicPartition(NAME, number) for number in range(2)]
committed = sum(consumer.committed(each) or 0 for each in partitions)
assert committed == len(sent), f"{committed} was committed"
consumer.close()
groups = [row[0] for row in admin.list_consumer_groups()]
assert NAME in groups, "the group is not listed"
admin.close()
