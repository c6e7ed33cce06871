"""Fetch, the parts that deserve a name: sessions (KIP-227) and those who wait for more bytes."""
