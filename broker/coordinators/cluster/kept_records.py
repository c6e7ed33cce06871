"""What the cluster log says about things that have no use here: kept, not used.

A directory that Apache Kafka has written holds registrations of brokers and controllers, SCRAM credentials and
delegation tokens. None of them changes what Ottla does, but a return to Kafka needs
them, and a snapshot takes the place of the records before it. So they are folded exactly as Kafka folds them
(`ClusterDelta`, `ScramDelta`, `DelegationTokenDelta`) and written into each snapshot.

Each thing is one record under a key; a later record of the same key takes its place, a removal takes it away. Changes
of a broker's registration are merged into it.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from typing import Final, TypeVar, cast

from kproto.formats.cluster_metadata import (
    BrokerRegistrationChangeRecord,
    DelegationTokenRecord,
    FenceBrokerRecord,
    RegisterBrokerRecord,
    RegisterControllerRecord,
    RemoveDelegationTokenRecord,
    RemoveUserScramCredentialRecord,
    UnfenceBrokerRecord,
    UnregisterBrokerRecord,
    UnregisterControllerRecord,
    UserScramCredentialRecord,
)
from kproto.schema.declare import Record

Key = tuple[type[Record], Hashable]
RecordT = TypeVar("RecordT", bound=Record)

CLUSTER: Final = (RegisterBrokerRecord, RegisterControllerRecord)
"""What Kafka writes in front of the topics."""

SECURITY: Final = (UserScramCredentialRecord, DelegationTokenRecord)


class KeptRecords:
    """The fold. Records in it are never changed, so that a copy of it is a copy of references."""

    def __init__(self) -> None:
        self._records: dict[Key, Record] = {}

    def __len__(self) -> int:
        return len(self._records)

    def copy(self) -> KeptRecords:
        """The same, for a reader while this one changes."""
        copied = KeptRecords()
        copied._records = dict(self._records)
        return copied

    def of(self, kinds: Iterable[type[Record]]) -> list[Record]:
        """The records of these kinds, kind by kind, oldest key first."""
        return [record for kind in kinds for (its_kind, _), record in self._records.items() if its_kind is kind]

    def get(self, kind: type[RecordT], key: Hashable) -> RecordT | None:
        """The record of this kind and key, or None."""
        return cast("RecordT | None", self._records.get((kind, key)))

    def replay(self, record: Record) -> bool:
        """Apply one record; False if it is of a kind that is not kept here."""
        match record:
            case RegisterBrokerRecord():
                self._put(record, record.broker_id)
            case RegisterControllerRecord():
                self._put(record, record.controller_id)
            case UserScramCredentialRecord():
                self._put(record, (record.mechanism, record.name))
            case DelegationTokenRecord():
                self._put(record, record.token_id)
            case UnregisterBrokerRecord():
                self._drop(RegisterBrokerRecord, record.broker_id)
            case UnregisterControllerRecord():
                self._drop(RegisterControllerRecord, record.controller_id)
            case RemoveUserScramCredentialRecord():
                self._drop(UserScramCredentialRecord, (record.mechanism, record.name))
            case RemoveDelegationTokenRecord():
                self._drop(DelegationTokenRecord, record.token_id)
            case FenceBrokerRecord():
                self._change_broker(BrokerRegistrationChangeRecord(broker_id=record.id, fenced=1))
            case UnfenceBrokerRecord():
                self._change_broker(BrokerRegistrationChangeRecord(broker_id=record.id, fenced=-1))
            case BrokerRegistrationChangeRecord():
                self._change_broker(record)
            case _:
                return False
        return True

    def _put(self, record: Record, key: Hashable) -> None:
        self._records[type(record), key] = record

    def _drop(self, kind: type[Record], key: Hashable) -> None:
        self._records.pop((kind, key), None)

    def _change_broker(self, change: BrokerRegistrationChangeRecord) -> None:
        """Merge into a registration what changes of it (Kafka: BrokerRegistration.cloneWith)."""
        old = self._records.get((RegisterBrokerRecord, change.broker_id))
        if not isinstance(old, RegisterBrokerRecord):
            return
        cordoned = old.cordoned_log_dirs if change.cordoned_log_dirs is None else change.cordoned_log_dirs
        self._put(
            RegisterBrokerRecord(
                broker_id=old.broker_id,
                is_migrating_zk_broker=old.is_migrating_zk_broker,
                incarnation_id=old.incarnation_id,
                broker_epoch=old.broker_epoch,
                end_points=old.end_points,
                features=old.features,
                rack=old.rack,
                fenced=change.fenced > 0 if change.fenced else old.fenced,
                in_controlled_shutdown=old.in_controlled_shutdown or change.in_controlled_shutdown > 0,
                log_dirs=change.log_dirs or old.log_dirs,
                cordoned_log_dirs=cordoned,
            ),
            old.broker_id,
        )
