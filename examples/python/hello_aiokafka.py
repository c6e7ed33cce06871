"""One record, there and back, with aiokafka: pip install aiokafka"""

import asyncio
import os

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer


async def main() -> None:
    servers = os.environ.get("BOOTSTRAP_SERVERS", "localhost:9092")
    async with AIOKafkaProducer(bootstrap_servers=servers) as producer:
        await producer.send_and_wait("examples.aiokafka", b"hello from aiokafka")
    async with AIOKafkaConsumer(
        "examples.aiokafka", group_id="examples", bootstrap_servers=servers, auto_offset_reset="earliest"
    ) as consumer:
        message = await consumer.getone()
        print(message.value.decode())


asyncio.run(main())
