"""Holding a data directory against its own promises: `ottla check-log`. Reads, and never writes."""
