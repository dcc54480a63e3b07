"""The tracker as it was written for one source, in plain steps over matrices: the oracle of the one that takes many."""
