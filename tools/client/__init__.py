"""How the command reaches a cluster, Kafka's client properties, TLS, SASL, and who answers what."""
