"""What a cluster stands on, looked at and moved from outside its brokers: a PostgreSQL and an object store."""
