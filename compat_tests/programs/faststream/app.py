"""Words from one topic to another and on, with FastStream on either of its libraries: app.py kafka|confluent BOOTSTRAP.

Its standard output has a line for each word that has arrived; it ends when all have.
"""

from __future__ import annotations

import asyncio
import importlib
import sys
from typing import Any

from faststream import FastStream

NUMBER = 50


def main(library: str, bootstrap: str) -> None:
    """Send, pass on, gather in batches."""
    made: Any = importlib.import_module(f"faststream.{library}")
    broker = made.KafkaBroker(bootstrap, logger=None)
    app = FastStream(broker, logger=None)
    source, target = f"faststream.{library}.in", f"faststream.{library}.out"
    arrived: list[str] = []

    @broker.subscriber(source, group_id=f"{library}-passing", auto_offset_reset="earliest")  # type: ignore[untyped-decorator]  # of a module that is chosen here
    @broker.publisher(target)  # type: ignore[untyped-decorator]  # likewise
    async def pass_on(word: str) -> str:
        return word.upper()

    @broker.subscriber(target, group_id=f"{library}-gathering", auto_offset_reset="earliest", batch=True)  # type: ignore[untyped-decorator]  # likewise
    async def gather(words: list[str]) -> None:
        for word in words:
            print(word)
        arrived.extend(words)
        if len(arrived) >= NUMBER:
            app.exit()

    @app.after_startup
    async def talk() -> None:
        for number in range(NUMBER):
            await broker.publish(f"word {number}", source, key=str(number).encode())

    asyncio.run(app.run())


if __name__ == "__main__":
    main(*sys.argv[1:])
