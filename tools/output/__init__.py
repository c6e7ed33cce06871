"""What verbs print: tables for people, Kafka's own lines for scripts, JSON for programs, and a bar on long work."""
