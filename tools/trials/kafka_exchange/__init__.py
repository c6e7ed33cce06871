"""Moving data between Ottla and Apache Kafka on disk, in both directions, and comparing what either then says."""
