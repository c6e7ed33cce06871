"""InitProducerId, as Kafka answers it to producers without transactions."""

from __future__ import annotations

import pytest

from broker.testing.contexts import versions_of, world
from kproto.errors import ErrorCode
from kproto.messages.init_producer_id import InitProducerIdRequest


def request(producer_id: int = -1, epoch: int = -1, transactional_id: str | None = None) -> InitProducerIdRequest:
    return InitProducerIdRequest(
        transactional_id=transactional_id,
        transaction_timeout_ms=60_000,
        producer_id=producer_id,
        producer_epoch=epoch,
    )


@pytest.mark.parametrize("version", versions_of(InitProducerIdRequest))
async def test_every_version_gives_each_producer_an_id_of_its_own(version: int) -> None:
    """Epoch 0."""
    async with world() as w:
        answers = [await w.ask(request(), version) for _ in range(3)]
        assert [(answer.producer_id, answer.producer_epoch, answer.error_code) for answer in answers] == [
            (0, 0, 0),
            (1, 0, 0),
            (2, 0, 0),
        ]


async def test_a_producer_that_names_its_old_id_gets_a_new_one() -> None:
    """Without transactions there is nothing to fence: Kafka answers any id and epoch so."""
    async with world() as w:
        for number, (producer_id, epoch) in enumerate([(0, 0), (77_777, 3), (-5, -5)]):
            answer = await w.ask(request(producer_id, epoch), 5)
            assert (answer.producer_id, answer.producer_epoch, answer.error_code) == (number, 0, 0)


@pytest.mark.parametrize(("producer_id", "epoch"), [(5, -1), (-1, 4)])
async def test_an_id_without_epoch_makes_no_sense(producer_id: int, epoch: int) -> None:
    """INVALID_REQUEST, either way round."""
    async with world() as w:
        answer = await w.ask(request(producer_id, epoch), 5)
        assert (answer.producer_id, answer.producer_epoch) == (-1, -1)
        assert answer.error_code == ErrorCode.INVALID_REQUEST


@pytest.mark.parametrize("version", versions_of(InitProducerIdRequest))
async def test_an_empty_transactional_id_is_refused(version: int) -> None:
    """It is a client's mistake, and no id."""
    async with world() as w:
        assert (await w.ask(request(transactional_id=""), version)).error_code == ErrorCode.INVALID_REQUEST
