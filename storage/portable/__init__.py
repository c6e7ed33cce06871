"""Copies of all logs in a form that is kept and carried: a data directory of Kafka's, in one file or unpacked."""
