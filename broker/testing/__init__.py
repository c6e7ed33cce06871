"""Tools for testing what is built on the broker's contracts: handlers' surroundings, logs that fail on command, long
lists."""
