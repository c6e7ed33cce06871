"""InitProducerId without transactions: ids for idempotent producers."""

from __future__ import annotations

from typing import Any

from kproto.messages.init_producer_id import InitProducerIdRequest
from tools.answers.scenario import scenario
from tools.answers.stage import Stage


@scenario(InitProducerIdRequest)
def idempotent_producers(stage: Stage) -> None:
    def asked(**fields: Any) -> InitProducerIdRequest:
        defaults: dict[str, Any] = {"transactional_id": None, "transaction_timeout_ms": 60_000}
        return InitProducerIdRequest(**defaults | fields)

    stage.ask("one", asked())
    stage.ask("another", asked())
    for timeout in (0, -1, 1, 900_001, 0x7FFF_FFFF):
        stage.ask(f"timeout {timeout}", asked(transaction_timeout_ms=timeout))
    if stage.version >= 3:
        stage.ask("an id and its epoch", asked(producer_id=1000, producer_epoch=0))
        stage.ask("an id without epoch", asked(producer_id=1000))
        stage.ask("an epoch without id", asked(producer_epoch=3))
        stage.ask("negative", asked(producer_id=-2, producer_epoch=-2))
    stage.ask("an empty transactional id", asked(transactional_id=""))
