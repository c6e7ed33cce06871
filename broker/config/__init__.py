"""Configuration: every key, the settings that code reads, the files and listeners they come from."""
