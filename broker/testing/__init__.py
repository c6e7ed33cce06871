"""Tools for testing what is built on the broker's contracts: a log that fails on command, handlers' surroundings."""
