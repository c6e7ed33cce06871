"""The matrix of authorization, asked of Ottla and of a secured Apache Kafka, and compared answer by answer.

`secured.py` starts the two brokers with the same settings: an authorizer, SASL PLAIN, and a user for each situation of
each row. `asking.py` makes what the cases are about, gives the users their ACLs, and asks. `explained.py` says where
the answers differ on purpose. The rows themselves are those of the test suite (`broker/testing/authorization`).
"""
