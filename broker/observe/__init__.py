"""What the broker tells people about itself: log lines, and later metrics."""
