"""Several brokers over one PostgreSQL and one bucket, killed and paused in turn, under clients with transactions.

`python -m tools.trials cluster-test` starts a database, a bucket and brokers (`several.py`), lets the lanes and the
checker of `transaction-test` loose on them, and plays faults by role: a broker is killed and started again, or stopped
for longer than its lease lasts and continued. What that is to show: nothing that was acknowledged is lost, doubled or
reordered, no transaction is seen in part, and no group resumes where it was not.
"""
