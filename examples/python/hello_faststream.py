"""One record, there and back, with FastStream: pip install 'faststream[kafka]'"""

import asyncio
import os

from faststream import FastStream
from faststream.kafka import KafkaBroker

broker = KafkaBroker(os.environ.get("BOOTSTRAP_SERVERS", "localhost:9092"), logger=None)
app = FastStream(broker, logger=None)


@broker.subscriber("examples.faststream", group_id="examples", auto_offset_reset="earliest")
async def hear(words: str) -> None:
    print(words)
    app.exit()


@app.after_startup
async def talk() -> None:
    await broker.publish("hello from FastStream", "examples.faststream")


asyncio.run(app.run())
