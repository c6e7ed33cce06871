"""Formats of records and payloads that are not requests: internal topics, control records, snapshots, the consumer
protocol."""
