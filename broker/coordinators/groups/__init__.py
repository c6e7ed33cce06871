"""The group coordinator: who is in which group, who reads which partitions, and how far they have come."""
