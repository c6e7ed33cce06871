"""Each way in which a part of a cluster can fail, done to real processes while clients write; then all is counted.

`python -m tools.trials cluster-failures` starts three brokers over a PostgreSQL, with a synchronous standby, and a
SeaweedFS. Between them stand two proxies, commanded from here. A *row* of the matrix (`rows.py`) is one failure: for
some seconds producers write without it, with it, and after it. Then a consumer reads everything, and the judge
(`load.py`) holds it against what was acknowledged: nothing lost, nothing twice, nothing out of order, every
acknowledged offset real. What the bucket holds must be live, due for deletion, collected, or an orphan.
`docs/cluster-failures.md` has the result.
"""
