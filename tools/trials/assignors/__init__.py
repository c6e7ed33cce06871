"""Our assignors beside Kafka's own: random groups with histories, and who owns what after each step."""
