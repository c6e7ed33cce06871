"""The broker: connections in, requests dispatched, answers out; and the coordinators that decide.

Start reading at `server.py`, the order of starting and stopping; then `docs/tour.md`.
"""
