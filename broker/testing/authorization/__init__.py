"""The matrix of authorization: what each API requires, as data from which cases are made.

* `rows.py`: one row or more for each API: the request, and the permissions that it takes.
* `requests.py`: a request of any API about a few names, made from its declaration.
* `situations.py`: who asks, and what ACLs this client has: none, just enough, one too few, one that denies ...

The test `broker/tests/security/test_matrix.py` asks every case of a broker in this process. The instrument
`python -m tools.trials compare-authorization` asks the same of a secured Kafka, and compares what the two answer.
"""
