"""One record, there and back, with confluent-kafka: pip install confluent-kafka"""

import os

from confluent_kafka import Consumer, KafkaException, Producer

servers = {"bootstrap.servers": os.environ.get("BOOTSTRAP_SERVERS", "localhost:9092")}
producer = Producer(servers)
producer.produce("examples.confluent-kafka", b"hello from confluent-kafka")
producer.flush(30)

consumer = Consumer({**servers, "group.id": "examples", "auto.offset.reset": "earliest"})
consumer.subscribe(["examples.confluent-kafka"])
message = consumer.poll(60)
if message is None or message.error():
    raise KafkaException(None if message is None else message.error())
print(message.value().decode())
consumer.close()
