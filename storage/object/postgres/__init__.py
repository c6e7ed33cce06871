"""The control plane on PostgreSQL 16 and newer: libpq on trio, the schema, and its functions."""
