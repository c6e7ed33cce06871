"""Applications that consume, transform and produce, each with a client library of its own, while all of it is killed.

`python -m tools.trials exactly-once-test` runs

* **the feed** (`feed.py`): an idempotent producer that is never killed and writes numbered records into one topic for
  each application, a steady number a second;
* **the applications** (`python -m compat_tests copy`, processes of their own): they copy their topic to another one,
  each record in the same transaction as the offset behind it;
* **the kills** (`run.py`): every second the broker or one of the applications gets SIGKILL, and is started at once;
* **the judge** (`judge.py`): in the end every partition of a target must hold, for readers of committed records,
  exactly what that of its source holds, in the same order.

What was done so far is in the directory: the broker's data, and how many seconds of kills are left. A run that was
interrupted goes on where it was (`--directory`).
"""
