"""Several brokers over one PostgreSQL and one bucket, killed and paused in turn, under clients with transactions.

`python -m tools.trials cluster-test` starts a database, a bucket and brokers (`whole.py`, `several.py`), lets the lanes
and the checker of `transaction-test` loose on them, and plays faults by role: a broker, the database (`--fault
database`) or the bucket is killed and started again, or stopped for longer than a broker's lease lasts and continued.
What that is to show: nothing that was acknowledged is lost, doubled or reordered, no transaction is seen in part, and
no group resumes where it was not.

**A series** (`--series DIRECTORY`, `series.py`) is many long runs, in pieces that are recorded and checked one after
the other, so that it can be interrupted at any moment and goes on when the same is said again. Each piece is a process
of its own, with a seed of its own; the pieces of one run share a cluster, which ends and comes back between them.
"""
