"""Record formats of internal topics, declared like messages."""
