"""Logs. This layer knows partitions, offsets and producers; never what a topic means, and never groups.

Start reading at `engine.py` (the contract), then `memory/engine.py` (the same as a readable specification).
"""
