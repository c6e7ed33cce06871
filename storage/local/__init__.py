"""The local engine: logs in Kafka's own files, on one machine's disk. FORMAT.md beside this file holds the bytes."""
