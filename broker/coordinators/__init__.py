"""Pure machines, replayed from internal topics, and the one runtime that does their I/O. Start at `machine.py`."""
