"""The only doors to time, chance, files and threads, each with its simulated twin.

Everything above takes these as arguments, so that a whole broker can run in a deterministic simulation. A test forbids
the direct use of what they wrap anywhere else.
"""
