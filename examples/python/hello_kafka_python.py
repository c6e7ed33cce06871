"""One record, there and back, with kafka-python: pip install kafka-python"""

import os

from kafka import KafkaConsumer, KafkaProducer

servers = os.environ.get("BOOTSTRAP_SERVERS", "localhost:9092")
with KafkaProducer(bootstrap_servers=servers) as producer:
    producer.send("examples.kafka-python", b"hello from kafka-python").get(timeout=30)

consumer = KafkaConsumer(
    "examples.kafka-python", group_id="examples", bootstrap_servers=servers, auto_offset_reset="earliest"
)
print(next(consumer).value.decode())
consumer.close()
