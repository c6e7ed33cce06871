"""Disks for tests: one in memory, one that loses what is not synced, one that fails on command."""
