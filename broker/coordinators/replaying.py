"""Reading a coordinator's log into its machine: batch by batch, in slices, from an offset to where the log ends.

A log is replayed when its machine is made, and where several brokers write to it, whenever another one has
(`following.py`). Nothing is skipped that cannot be read: a batch that does not match its checksum, or a record that the
machine cannot follow, ends the replay with an error, for state is not built on damage.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Generic, TypeVar

import trio

from broker.coordinators.machine import Machine
from kproto.batches.header import HEADER_SIZE, LOG_OVERHEAD, BatchHeader, has_valid_crc, read_header
from kproto.batches.records import RecordData, iter_records
from kproto.errors import ErrorCode, KafkaError, ProtocolError
from storage.engine import LogStore, PartitionLog, Read
from storage.seams.logging import Logger
from storage.seams.slices import Slices

MachineT = TypeVar("MachineT", bound=Machine[Any])

LOAD_CHUNK: Final = 1 << 20


class LogReplay(Generic[MachineT]):
    """Replays one log. `replay_control` is given the control records, which are passed over otherwise, and
    `replay_in_transaction` the records of producers' transactions, which count like any other otherwise."""

    def __init__(
        self,
        log: PartitionLog,
        store: LogStore,
        logger: Logger,
        replay_control: Callable[[MachineT, BatchHeader, RecordData], None] | None,
        replay_in_transaction: Callable[[MachineT, BatchHeader, RecordData], None] | None,
    ) -> None:
        self._log = log
        self._store = store
        self._logger = logger
        self._replay_control = replay_control
        self._replay_in_transaction = replay_in_transaction
        self.replayed_bytes = 0
        """Of all batches replayed."""
        self.last_timestamp = -1
        """Of the last batch replayed; -1 before the first."""

    async def to_the_end(self, machine: MachineT, position: int) -> int:
        """Replay everything from offset `position` on; returns the offset behind it.

        Raises KafkaError when the log cannot be read or replayed, ProtocolError when what it holds is damaged; the
        machine is of no use then.
        """
        slices = Slices()
        while position < self._log.log_end_offset:
            question = Read(self._log, position, LOAD_CHUNK, self._log.log_end_offset)
            [found] = await self._store.read_many([question], LOAD_CHUNK)
            if isinstance(found, KafkaError):
                raise found
            records = found.records
            data = records if isinstance(records, bytes | memoryview) else records.read()
            try:
                reached = await self._batches(machine, memoryview(data), position, slices)
            except (KafkaError, ProtocolError):
                raise
            except Exception as error:
                self._logger.error("a record cannot be replayed", offset=position, exc_info=error)
                raise KafkaError(
                    ErrorCode.KAFKA_STORAGE_ERROR, f"a record at or after offset {position} cannot be replayed"
                ) from error
            if not data:
                # Offsets without records may end a log: after a power cut, the name of a segment may have outlived the
                # records before it, which had not been acknowledged. What is missing further down, reads step over.
                reached = self._log.log_end_offset
            if reached == position:
                raise KafkaError(ErrorCode.KAFKA_STORAGE_ERROR, f"nothing can be read at offset {position}")
            position = reached
            await trio.lowlevel.checkpoint()
        return position

    async def _batches(self, machine: MachineT, data: memoryview, position: int, slices: Slices) -> int:
        """Replay the whole batches in `data` from offset `position` on, in slices; returns the offset after them.

        Raises KafkaError(CORRUPT_MESSAGE) for a batch that does not match its CRC: state is not built on damage.
        """
        cursor = 0
        while len(data) - cursor >= HEADER_SIZE:
            header = read_header(data, cursor)
            size = LOG_OVERHEAD + header.batch_length
            if len(data) - cursor < size:
                break
            if header.last_offset >= position:
                if not has_valid_crc(header, data, cursor):
                    raise KafkaError(ErrorCode.CORRUPT_MESSAGE, f"the batch at offset {header.base_offset} is damaged")
                replay_each = self._replay_control if header.is_control else None
                if header.is_transactional and not header.is_control:
                    replay_each = self._replay_in_transaction
                if replay_each is not None:
                    async for record in slices.over(iter_records(data[cursor : cursor + size])):
                        if record.offset >= position:
                            replay_each(machine, header, record)
                elif not header.is_control:
                    async for record in slices.over(iter_records(data[cursor : cursor + size])):
                        if record.offset >= position and (decoded := machine.decode(record)) is not None:
                            machine.replay(decoded)
                position = header.last_offset + 1
                self.replayed_bytes += size
                self.last_timestamp = header.max_timestamp
            cursor += size
        return position
