"""Names of files are made durable, also those that a process before this one has made."""

from __future__ import annotations

from storage.log_config import LogConfig
from storage.tests.log_lives import PowerCutMachine


def test_what_a_killed_process_has_made_is_synced_by_the_next_one() -> None:
    """Its files are in the page cache, and so are their names: what opens the log after it syncs both before a recovery
    point says that they are durable. Without that a power cut took the segment, and the log was offline."""
    lives = PowerCutMachine()
    try:
        lives.begin(
            config=LogConfig(segment_bytes=2000, index_interval_bytes=150, delete=False, compact=True, ack_fsync=False)
        )
        lives.produce(
            codec=0, durable=True, epoch_step=1, records=[(b"b", None, 420)], step=0, transactional=True, who=2
        )
        lives.reopen(accidents=[], kill=True)
        lives.reopen(accidents=[("recovery-point-offset-checkpoint", 2, "zeros", 5443)], kill=True)
        lives.reopen(accidents=[], kill=False)
        lives.power_cut(number=174)
    finally:
        lives.teardown()
