"""What the broker says of itself over HTTP: metrics for Prometheus, health and readiness.

Nothing here is imported unless `ottla.metrics.listener` is set. What is installed for it is the extra `ottla[metrics]`.
"""
