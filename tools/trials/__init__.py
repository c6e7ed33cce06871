"""Instruments for those who work on Ottla: benchmarks, crash tests, comparisons with Apache Kafka. Not in the wheel."""
