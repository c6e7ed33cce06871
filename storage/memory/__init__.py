"""Logs in memory: the contract of `storage/engine.py` as a specification one can read and run."""
