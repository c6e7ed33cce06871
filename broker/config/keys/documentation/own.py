"""Sentences for the keys in `keys/own.py`."""

from typing import Final

TEXT: Final = """
ottla.ack.fsync: Whether acks=all waits for the disk; false waits for the operating system only, as Apache Kafka does,
 and
 may lose what was acknowledged when the power fails.
ottla.cluster: The PostgreSQL database that orders what the brokers of a cluster write, as a URL; without it a broker is
 alone.
ottla.cluster.id: The id of the cluster that a new data directory belongs to; one that is there must belong to it. If
 unset, a new directory gets an id of its own.
ottla.control.listener: Where tests command this broker over HTTP (faults, its clock): a port of this machine
 alone, or an address and a port; empty for nowhere.
ottla.control.token: The token that a program must send to command this broker; if unset, there is a new one at
 each start.
ottla.drain: Whether a broker of a cluster is to be left by its clients and to coordinate nothing; false once it
 has been started again.
ottla.emulate: The release of Apache Kafka as which the broker answers clients, such as 3.7; empty for the newest.
ottla.group.state.max.bytes: Bytes of memory that consumer groups may take, their members and committed offsets
 together; what would take more is refused.
ottla.log.format: Form of log lines: text to be read, json to be processed, auto to choose by whether a terminal
 listens.
ottla.log.level: From which level on log lines are written.
ottla.metrics.listener: Where metrics, health and readiness are served over HTTP: a port of this machine alone, or an
 address and a port; empty for nowhere.
ottla.objects: Where the brokers of a cluster keep their records: a URL such as s3://bucket/prefix.
ottla.storage: Where data are kept: local on disk, memory until the broker stops.
ottla.telemetry.enable: Whether metrics that clients push are asked for and kept (KIP-714); false answers such clients,
 and throws away what they push, as Apache Kafka does without a plugin for it.
ottla.transaction.state.max.bytes: Bytes of memory that transactional ids may take, with the partitions of their open
 transactions; what would take more is refused.
ottla.validate.records: Of which uncompressed batches each record is looked at before they are stored, so that one that
 no consumer could read is refused: small ones, all, as Apache Kafka does, or none.
"""
